// Package frame seals and opens chat frames: what members send one another under the keys of one session.
//
// A session is what a completed epoch leaves behind: a PRK, a transcript that names it, and its members in role order.
// From them every sender gets a key schedule of its own (SPEC.md section 7.3):
//
//	PRK ──► root 0 ──► root 1 ──► root 2 ──► …      one per sender, one step per process start
//	           │          │          │
//	           ▼          ▼          ▼
//	        chain 0    chain 1    chain 2              one per start
//	           │
//	           ├─ step 0 ─► AES key, MAC key            one step per counter, each with its own two keys
//	           ├─ step 1 ─► AES key, MAC key
//	           └─ …
//
// Each arrow is an HKDF-Expand with a label of its own, and what an arrow starts from is erased when it is done. A frame
// is a readable header, a random IV, AES-256-CTR ciphertext and an HMAC-SHA256 over the group, the whole transcript and
// everything before the MAC (encrypt-then-MAC).
//
// What it guarantees:
//   - A frame that Open returns was sealed by the member that it names: the MAC shows somebody with the session's key
//     made it, and the batch signature, whose verified signer the caller hands to Open, shows which.
//   - A frame opens once. Replayed, too old and foreign frames are refused for ever; after a restart too, as far as the
//     state was committed.
//   - An error leaves the session as it was. In particular a header with a far counter, which anybody can write, moves
//     nothing until its MAC was checked. (ErrContent is the exception that it documents.)
//   - All failures of authentication are one error, ErrForged.
//   - A state stolen now opens nothing that was sent or received before. Frames that are known to be missing are the
//     exception: their keys wait, 2,000 for each start.
//
// What it does not: nothing here recovers from a stolen state by itself, later frames of the session are readable with
// it until a new epoch. Go gives no way to erase the expanded AES key inside crypto/aes, nor what the garbage collector
// copied; the package clears the memory that it owns. Sizes are visible up to their bucket, times and senders entirely.
// And a frame whose acceptance was not committed before a crash is accepted again after it; the message ID tells.
//
// # Starts and states
//
// The keys of a start must never be used by two runs of a process, so the next start's number must be on disk before the
// first frame is sealed. New and Restore therefore return a session that refuses to seal (ErrNotCommitted) until the
// caller has written a Checkpoint durably and has said so with Committed. The same two calls commit the replay windows
// afterwards, in groups:
//
//	s, err := frame.Restore(state, rand)   // or New; s is in its next start
//	c := s.Checkpoint()                    // a state in which that start is used up
//	write c.Bytes() durably, in one transaction with whatever belongs to it
//	s.Committed(c)                         // from here on s seals
//
// A send counter is never stored, and the present start's own chain never reaches the disk.
//
// The package does no I/O and reads no clock. It may be imported by package node and what is above it; relaynode must
// not link it.
package frame
