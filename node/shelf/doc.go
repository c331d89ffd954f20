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
// Beside the Shelf stand
//
//   - a Keeper, which belongs to its owner's goroutine: it decides what is on disk, and brings the next relay node what none
//     holds;
//   - a Server, the answering end of /conclave/backlog/1.0.0: only members are served, one stream each, within limits;
//   - a Visitor, the asking end: a stream to each member that is near, kept up with backoff, whose answers go to a Sink.
//
// The Shelf verifies nothing: only verified batches are put in. It does no I/O and has no goroutine, and is safe for several
// goroutines. The package may be imported by node alone, and imports overlay, overlay/wire and pki.
package shelf
