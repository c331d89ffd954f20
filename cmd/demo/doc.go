// Command demo shows Conclave on one machine: a relay node and the members A, B and C as four separate processes.
//
//	go run ./cmd/demo                 # from the source: builds the real binaries, makes a group, starts all four
//	A: hello                          # typed: A says hello
//	B <- A: hello                     # printed: B has received it
//
// It takes the binaries relay, node and ca that stand beside it, or builds them from the source it is run in. The group
// lives in a temporary home that is gone afterwards (--home keeps one, --keep keeps the temporary one). Once A, B and C hold
// one key to which all three contributed, it prints that key's fingerprint.
//
// What it guarantees: however it ends, none of the processes that it started stays. On Ctrl-C, SIGTERM, SIGHUP, a closed
// output or the unexpected end of one of the four it stops the others in order and removes its files; when it is killed
// outright, the kernel kills them with it (on Linux; elsewhere A, B and C end by themselves, at the end of their input).
//
// What it does not: it holds no key and links no protocol. It is a person with four terminals, done by a program; what
// it knows of the members is what they print. That all keys of the group are on one machine is fit for a demonstration
// and for nothing else.
package main
