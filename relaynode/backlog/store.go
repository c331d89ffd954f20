package backlog

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
)

// ErrTooLarge is returned by Append when a batch is larger than Limits.Batch.
var ErrTooLarge = errors.New("the batch is too large for the backlog")

// Entry is one batch to keep.
type Entry struct {
	// ID is the batch's hash (wire.BatchIDOf).
	ID wire.BatchID
	// Signer is the member whose signature the batch carries.
	Signer peer.ID
	// Data is the whole batch.
	Data []byte
	// Frames are the headers of its frames; none for a control batch.
	Frames []wire.FrameHeader
	// At is when it came first, if it is a copy of another relay node's. Zero: now. It ages from then.
	At time.Time
}

// Copy is a batch of the log and when it came.
type Copy struct {
	Data []byte
	At   time.Time
}

// Chain names a sender's frames of one process start in one session, as one signer sent them.
type Chain struct {
	Prefix wire.Prefix
	Sender uint16
	Start  uint32
	Signer peer.ID
}

// Head says what the log holds of a chain: its lowest and its highest counter.
type Head struct {
	Chain
	Low, High uint32
}

// Range asks for the frames of a chain from one counter to another, both included. With an empty Signer it means all
// signers that claimed the chain.
type Range struct {
	Chain
	From, To uint32
}

// Stats say what a backlog holds.
type Stats struct {
	Batches int
	Bytes   int64
	Chains  int
	Signers int
	Dropped int64 // batches dropped because there were too many, since the store was opened
}

// Store is a backlog. Its methods may be called from any goroutine.
type Store interface {
	// Append keeps batches, in one transaction, and makes room for them. It reports for each whether it was new; one
	// that is here already is left as it is. When it returns an error, nothing was kept.
	Append(ctx context.Context, batches []Entry, now time.Time) (added []bool, err error)

	// Heads returns the heads that changed after a revision, and the revision up to which they are told. Revision 0
	// asks for all. Revisions count from when the store was opened. A chain that is gone entirely is told only by its
	// absence from a full answer.
	Heads(ctx context.Context, since int64) (heads []Head, revision int64, err error)

	// Fetch returns the batches that hold a frame of the range, in the order of their counters, at most maxBytes of
	// them but always one. More says that the answer was cut short.
	Fetch(ctx context.Context, r Range, maxBytes int) (batches [][]byte, more bool, err error)

	// Copies is Fetch with the time at which each batch came.
	Copies(ctx context.Context, r Range, maxBytes int) (copies []Copy, more bool, err error)

	// Missing returns the parts of a range, which names a signer, of which the log holds nothing.
	Missing(ctx context.Context, r Range) ([]Range, error)

	// Expire drops what is too old and returns how many batches that were.
	Expire(ctx context.Context, now time.Time) (int, error)

	// Stats says what is here.
	Stats(ctx context.Context) (Stats, error)

	// Check compares index and books with the batches and returns an error when they differ.
	Check(ctx context.Context) error
}

var _ Store = (*SQLite)(nil)
