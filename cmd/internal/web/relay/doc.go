// Package relay is the relay node's window: its log, how far each member has come, what it counts, and every byte of the
// latest batches and mails it holds, so that anyone can see for himself that it cannot read them.
//
// The window is a client of package relaynode's exported API and of the process's log, nothing deeper. It shows and never
// changes anything: there is no request that makes the relay node do something.
//
//	GET /               the page, with its first state rendered
//	GET /state          the state as JSON
//	GET /events         what changed: line, status, held
//	GET /held/{number}  the bytes of one batch or mail, and what each stretch of them is
//
// While no page is open nothing is polled.
//
// It may be imported by cmd/relay.
package relay
