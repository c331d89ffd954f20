package mailbox

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
)

// Mail is one mail and its place in the order of deposits.
type Mail struct {
	// Seq grows with each deposit. While the store is open it is never used twice, not even after the mail is gone.
	Seq int64
	wire.Mail
}

// Stats say what a mailbox holds.
type Stats struct {
	Quota          // everything
	Recipients int // members for whom something lies here
	Senders    int // members from whom something lies here
}

// Store is a mailbox. Its methods may be called from any goroutine.
type Store interface {
	// Deposit takes all items from one sender in one transaction and returns one verdict for each, in order. When it
	// returns an error nothing was taken; when it returns none, what was not refused is durable.
	Deposit(ctx context.Context, from peer.ID, items []wire.MailItem, now time.Time) ([]wire.Verdict, error)

	// Pending returns the oldest mail for a recipient whose Seq is above after, at most limit mails and no more than fit
	// half a session message (but always one, if there is one). None means that there is no more.
	Pending(ctx context.Context, to peer.ID, after int64, limit int) ([]Mail, error)

	// Acknowledge deletes mail on its recipient's word and returns how much of it was there. Mail for others is left
	// alone whatever its ID.
	Acknowledge(ctx context.Context, to peer.ID, ids []wire.MailID) (int, error)

	// Forget deletes everything for a recipient that is no longer in the roster.
	Forget(ctx context.Context, to peer.ID) (int, error)

	// Expire deletes what is older than its time to live. Until then it is still delivered.
	Expire(ctx context.Context, now time.Time) (int, error)

	// Stats says what lies here.
	Stats(ctx context.Context) (Stats, error)

	// Check compares the books with what lies here and returns an error when they differ.
	Check(ctx context.Context) error
}

var _ Store = (*SQLite)(nil)
