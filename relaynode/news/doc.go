// Package news tells whoever has a session with a relay node what has changed.
//
//	what happened ──Set──► News ──► its goroutine: tell(bits, acknowledgements) ──► messages
//	backlog ──Changed──► Heads ──Since──► Source.TellHeads
//	roster ─────────────────────────────► Source.TellRoster
//
// # Guarantees
//
// Telling is level triggered: whatever happens meanwhile, a slow peer is told once, and what it is told is the present state. So
// no queue grows; only acknowledgements of batches are a list, which is bounded. A News that has nothing to tell has no
// goroutine. Close returns when nothing is told any more.
//
// # What it does not do
//
// It does not write: what tells is passed in. Nor does it say who is present; that differs between members and relay nodes.
//
// Everything here is safe for several goroutines, but for Told, which belongs to the one that tells. Only relaynode and its
// rooms import this package.
package news
