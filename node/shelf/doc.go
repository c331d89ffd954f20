// Package shelf keeps the sealed batches that a member has at hand for others: its own, and those that it received.
//
// Where there is no relay node, it is what the relay node's backlog is otherwise (overlay/SPEC.md section 7.5): a member that
// missed something finds it at any other that has it, and when a relay node appears, whoever reaches it first brings it
// what it has not got.
//
//	own batches, received batches ──Put──► shelf ──Heads, Fetch──► other members
//	                                         │
//	                                         └──Unstored, Stored──► relay node
//
// A batch is kept once, under the signer whose signature it carries, whatever its frames claim: so no member can hide or
// replace another's. The number of batches and of bytes is bounded; what has to go is the oldest of the signer who has the
// most, so a member that floods drops its own.
//
// It verifies nothing: only verified batches are put in. It does no I/O and has no goroutine; what is to survive the
// process the owner writes down. It is safe for several goroutines. It may be imported by node alone.
package shelf
