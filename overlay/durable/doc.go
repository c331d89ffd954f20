// Package durable is one SQLite file with one committing writer: what a node must not forget.
//
// The relay node keeps its mailbox and its backlog in such a file, a member its sessions, its chains and what it has yet
// to send. Both need the same three things: a write that is reported done is on the disk, many small writes do not cost
// one fsync each, and a file that cannot be trusted says so.
//
//	callers      Write   Write   Write            Read
//	               |       |       |                |
//	             +-v-------v-------v-+              |
//	             |  bounded queue    |              |
//	             +---------+---------+              |
//	                       v                        v
//	writer       BEGIN  save fn1, save fn2, save fn3  COMMIT + fsync   (reads run between two groups)
//	                       |
//	callers      <---------+ each gets its own result
//
// # What it guarantees
//
// Write returns nil only after the transaction that contains the write is on the disk (write-ahead log, synchronous
// FULL). While one group is being committed the next one gathers, so under load one fsync serves many writes. Each
// write of a group runs in a savepoint of its own: when its function returns an error its changes, and only they, are
// undone. Writes take effect in the order in which they were queued.
//
// A write whose Write returned an error has left nothing behind, with one exception that every such store has: when the
// disk itself failed while committing (ErrDisk), the write may still turn out to be there after a crash. Writers
// therefore have to be such that doing one again does no harm.
//
// The file belongs to one process: a second Open of it fails with ErrLocked. It is created with mode 0600 in a folder
// with mode 0700. A file written by a newer program is refused (NewerError), a damaged one too (CorruptError), one that
// others may read as well (ModeError). A full disk refuses writes (ErrFull) and harms nothing that was acknowledged;
// reads go on, the file can be closed and opened, and writes work again when there is room. Deleting may need room, too.
//
// What a caller keeps in memory beside the database can follow it exactly: see Tx.OnUndo.
//
// Each file carries a random ID, drawn when it was created. A file that was deleted and made anew has a different one.
//
// # What it does not
//
// It does not retry, does not encrypt and does not know what is stored. It is not for many megabytes in one write: a
// group is held back until its slowest write has run.
//
// It may be imported by node and relaynode and what is below them. It imports package wire.
package durable
