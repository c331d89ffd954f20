// Package backlog is the relay node's log of sealed batches: what a member that was away, or whose queue was full, can
// fetch by start and counter.
//
// The relay node cannot read a frame, but its header is readable: the session's prefix, the sender's index, the number
// of the sender's process start and the frame's counter. The log is indexed by these. A *chain* is one (prefix, sender,
// start) of one signer; its frames are counted from 0. Control batches have no header: they are kept, and nothing asks
// for them.
//
//	Append(batch)  -->  log  -->  Heads: which chains, from which counter to which
//	                         -->  Fetch(chain, from, to): the batches that hold these frames
//
// # What a Store guarantees
//
//   - A batch whose Append returned is durable.
//   - A batch is named by its hash and kept once, however often it is appended.
//   - Heads say what the log holds now: a chain's lowest and highest counter. Frames in between may be missing; a fetch
//     that finds nothing there says so by leaving them out.
//   - What is too old, or too much, is dropped oldest first, and the heads' low ends move up with it.
//
// # Signers
//
// Headers are claims: a member may sign a batch whose frames name another's index. Members refuse such a batch, but an
// index built from it could hide the real one. So chains are kept for each signer apart, and a fetch may name the signer.
//
// # Retention and fairness
//
// Age applies to all alike. When the log is too large in bytes or in batches, the signer that uses most of what is
// scarce loses its oldest batch, until it fits. A member that floods thereby drops its own history and, once it is down
// to what the next largest uses, no more than its equal share of the rest. In a quiet group this is nearly "oldest
// first" for all. The number of chains of one signer is bounded too; beyond it that signer's oldest batches go.
//
// # What it does not
//
// It verifies nothing: the caller has checked the batch's signature, or knows that the sender sent it. It runs no timer:
// somebody has to call Expire.
//
// SQLite passes the suite of package backlogtest, and answers as the simple log there does. Only relaynode and tests import this package.
package backlog
