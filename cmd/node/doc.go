// Command node runs one member of a group: it connects, agrees on Kabc with the others, and chats.
//
//	go run ./cmd/node --role B                      # the roster's relay node
//	go run ./cmd/node --role B --relay /dns4/…/p2p/… --ui json
//	go run ./cmd/node --role B --ui web             # a window in the browser
//	go run ./cmd/node doctor --role B               # what keeps B from its group
//
// On a terminal it shows a screen with the chat, the members, and what is happening (package tui); logs go there too.
// Elsewhere, or with --ui plain, it reads and writes lines.
//
// Standard output then carries only what the contract lists: in plain mode the line of each session key and the messages of
// the others, in json mode one object a line. Everything else goes to standard error. Lines of standard input are
// messages; in plain mode a line that begins with / is a command, and // sends a line that begins with /.
//
// With --ui web the member serves its window, a web page for this machine only, and prints on stderr lines
// `window: <address>`, each of which opens the window once; stdout keeps the lines of the session keys, and stdin is not
// read. --ui json,web and plain,web show the window beside the lines. --window says where it is served.
//
// What other members write is shown with every control character escaped: a message cannot move the cursor, change
// colours, or pretend to be a line of another member.
package main
