// Command node runs one member of a group: it connects, agrees on Kabc with the others, and chats.
//
//	go run ./cmd/node --role B                      # the roster's relay node
//	go run ./cmd/node --role B --relay /dns4/…/p2p/… --ui json
//
// On a terminal it shows a screen with the chat, the members, and what is happening (package tui); logs go there too.
// Elsewhere, or with --ui plain, it reads and writes lines.
//
// Standard output then carries only what the contract lists: in plain mode the line of each session key and the messages of
// the others, in json mode one object a line. Everything else goes to standard error. Lines of standard input are
// messages; in plain mode a line that begins with / is a command, and // sends a line that begins with /.
//
// What other members write is shown with every control character escaped: a message cannot move the cursor, change
// colours, or pretend to be a line of another member.
package main
