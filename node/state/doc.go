// Package state is what a member keeps between two runs, in one SQLite file: the key agreement's records, the frame
// sessions, the outbox, and which messages have been shown.
//
// A Change gathers what belongs together; Commit makes it durable in one transaction, in the order in which it was
// gathered, or not at all. The file belongs to one process (durable.ErrLocked otherwise), is readable by its owner alone,
// and what is erased from it is overwritten: a state file stolen now opens nothing whose keys were erased before.
//
// A Ledger is how one goroutine, its owner, uses the store without waiting for the disk: what the owner writes into the
// gathering Change is committed by another goroutine, one transaction at a time, in order, and what follows from a step is
// called on the owner's goroutine once the step is on disk. A commit that fails is tried again until there is room.
//
//	owner ──Change, Queue, Done──► gathering ──Settle──► Run: commit ──Post──► Then's functions, on the owner's goroutine
//
// It knows nothing of what it stores: records and sessions are bytes to it. Wiping the file is safe; the member then
// agrees on new keys and is deaf only to what was sealed for the old ones.
//
// It may be imported by node alone. It imports overlay/durable and overlay/wire.
package state
