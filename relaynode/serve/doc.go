// Package serve is the request loop of a session: it reads a message, has it handled, and answers.
//
//	Receive ──► rate ──► Handle ──► Verdict ──► Send the reply
//	                                   └──────► Refused: counted and logged; Send a Refusal
//
// Members and other relay nodes are served by the same loop. They differ in what is done with a message, in the log, and in
// that a relay node is told of a refusal only if it waits for an answer.
//
// # Guarantees
//
// Requests are answered one after the other, in their order. Each costs its sender one of its requests, and what comes too
// fast is refused by name. A handler neither replies nor logs nor counts: the loop does, in one place. To write waits for a peer
// that is slow, but not for ever.
//
// # What it does not do
//
// It does not know what a message asks for, but for its name and for the number that its answer repeats.
//
// The goroutine that calls Listen owns the loop; Send may be called from any. Only relaynode and its rooms import this package.
package serve
