// Package order puts the frames of one sender into their order.
//
// A Lane belongs to one sender in one session. Frames go in as they arrive, in any order and as often as they like, with
// their cleartext position (start, counter); they come out one by one in the order in which they were sealed. What is
// missing in between is told by Want, so that somebody can fetch it, and skipped by GiveUp when nobody has it:
//
//	         Put, Hint                     Next, Advance
//	arrivals ─────────► held frames ──────────────────────► opened and shown
//	                         │  ▲
//	                    Want │  │ Put
//	                         ▼  │
//	                      a fetch that answers, or GiveUp
//
// Frames wait unopened, so a crash loses nothing: what was not handed out is not in the replay window either, and is
// fetched again.
//
// A position counts as real only when a frame with it was Put, that is, when its sender signed it. A Hint, which comes
// from the relay node, leads to a Want and never moves the lane: a relay node that lies causes a useless fetch.
//
// It has no clock, no goroutine and no lock. It may be imported by node alone and imports nothing.
package order
