package mailbox

import (
	"errors"
	"time"
)

// Implementation constants. They are the defaults that SPEC.md section 4.3 names; a relay node may choose others.
const (
	// DefaultTTL is how long mail is kept that nobody fetches.
	DefaultTTL = 30 * 24 * time.Hour
	// DefaultItem is the largest payload in bytes. A share's envelope has at most 8 KiB, a control batch seldom more.
	DefaultItem = 64 << 10

	pairItems    = 512       // epochs that a member may miss, several messages each
	pairBytes    = 2 << 20   // the same at 4 KiB a message
	defaultTotal = 1 << 30   // what a small disk can spare
	minSender    = 256 << 10 // even in the largest group
	pageBytes    = 512 << 10 // payload bytes that one Pending returns: half a session message
)

// Quota is how much may lie in a mailbox.
type Quota struct {
	Items int   // mails
	Bytes int64 // their payloads
}

// Limits bound a mailbox. There is no unlimited: a zero in any field refuses everything.
type Limits struct {
	// Item is the largest payload in bytes.
	Item int
	// Pair bounds what one sender has lying for one recipient.
	Pair Quota
	// Sender bounds what one sender has lying for everybody.
	Sender Quota
	// Recipient bounds what lies for one recipient. Below the sum of its pairs one sender can fill it for the others.
	Recipient Quota
	// Total bounds everything. Below the sum of all senders one sender can fill it for the others.
	Total Quota
	// TTL is how long mail is kept, counted from its first deposit.
	TTL time.Duration
}

// DefaultLimits returns the limits for a group of n members: 512 mails and 2 MiB for each pair, at most 1 GiB in all
// (256 KiB for each sender at least), and nobody's share at another's cost.
func DefaultLimits(members int) Limits {
	n := max(members, 2)
	pair := Quota{Items: pairItems, Bytes: pairBytes}
	sender := Quota{Items: n * pair.Items, Bytes: max(minSender, min(int64(n)*pair.Bytes, defaultTotal/int64(n)))}
	return Limits{
		Item:      DefaultItem,
		Pair:      Quota{Items: pair.Items, Bytes: min(pair.Bytes, sender.Bytes)},
		Sender:    sender,
		Recipient: Quota{Items: n * pair.Items, Bytes: int64(n) * pair.Bytes},
		Total:     Quota{Items: n * sender.Items, Bytes: int64(n) * sender.Bytes},
		TTL:       DefaultTTL,
	}
}

// ErrUnfair is returned by Fair when one sender could use up what others need.
var ErrUnfair = errors.New("a recipient's limit must be at least the sum of its pairs' and the total at least the sum of all senders'")

// Fair returns ErrUnfair when, in a group of n members, one sender that fills its share could make the mailbox refuse
// another's.
func (l Limits) Fair(members int) error {
	n := int64(max(members, 2))
	holds := func(whole, part Quota) bool {
		return int64(whole.Items) >= n*int64(part.Items) && whole.Bytes >= n*part.Bytes
	}
	if !holds(l.Recipient, l.Pair) || !holds(l.Total, l.Sender) {
		return ErrUnfair
	}
	return nil
}

// Fixed returns limits that never change, in the form that the constructors take. A relay node whose roster grows
// passes a function of its own instead.
func Fixed(l Limits) func() Limits { return func() Limits { return l } }
