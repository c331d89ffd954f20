// Command demo shows Conclave on one machine: a relay node and the members A, B and C as four separate processes, each
// with a window.
//
//	go run ./cmd/demo                 # from the source: builds the real binaries, makes a group, starts all four
//	A: hello                          # typed: A says hello
//	B <- A: hello                     # printed: B has received it
//	stop B                            # typed: B leaves; start B brings it back
//	restart relay                     # typed: the relay node ends and starts again
//
// With --lan there is no relay node: A, B and C find each other by multicast DNS, on this machine only, and the demonstration is
// three processes with three windows.
//
// It takes the binaries relay, node and ca that stand beside it, or builds them from the source it is run in. The group
// lives in a temporary home that is gone afterwards (--home keeps one, --keep keeps the temporary one). Once A, B and C hold
// one key to which all three contributed, it prints that key's fingerprint.
//
// The four windows are pages that the four processes serve. With a screen and a browser of Chrome's family they open as
// windows of their own, tiled two by two, in a throw-away profile; without such a browser, as tabs of the person's own.
// The four addresses are printed in any case, and each works once.
//
// What it guarantees: however it ends, none of the processes that it started stays. On Ctrl-C, SIGTERM, SIGHUP, a closed
// output, the last window closed, or the unexpected end of one of the four it stops the others in order and removes its
// files; when it is killed outright, the kernel kills them with it (on Linux; elsewhere A, B and C end by themselves, at
// the end of their input).
//
// What it does not: it holds no key and links no protocol. It is a person with four terminals, done by a program; what
// it knows of the members is what they print. That all keys of the group are on one machine is fit for a demonstration
// and for nothing else.
package main
