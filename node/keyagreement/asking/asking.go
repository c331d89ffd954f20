// Package asking is the book of who asks for an epoch, and who was silent in one.
//
// A Book knows the newest request of each role, tells a new request from an old one that lay in a mailbox, and counts how
// often a contributor was silent and how often an opener's epochs failed. It decides nothing about epochs.
//
// It has no clock: it is told the time. It may be imported by the key agreement.
package asking

import (
	"slices"
	"time"

	"conclave/node/keyagreement/limits"
	"conclave/overlay/backoff"
	"conclave/overlay/wire"
)

// Request is the newest request of a role, as far as it is neither answered by a completed epoch nor too old.
type Request struct {
	Instance wire.Instance
	Sequence uint64
	Want     bool
	Came     time.Time // first heard of, so a repeat is no newcomer
	Heard    time.Time // last heard of
}

// Book is the requests and what is held against roles.
type Book struct {
	Newest map[wire.Role]Request // of each role, this member among them

	instances map[wire.Role][]run // the newest last, at most limits.MaxInstances
	strikes   map[wire.Role]strike
	failed    map[wire.Role]int // epochs of this opener that failed since one of its was completed
}

// run is one instance of a role and its highest sequence. Each run counts for itself: the clock of the next may be behind.
type run struct {
	instance wire.Instance
	highest  uint64
}

// strike counts how often a role was silent in an epoch that it had asked for.
type strike struct {
	n        int
	sequence uint64    // its request then: only a newer one counts
	until    time.Time // and not before this
}

// NewBook returns an empty book.
func NewBook() *Book {
	return &Book{
		Newest: map[wire.Role]Request{}, instances: map[wire.Role][]run{}, strikes: map[wire.Role]strike{}, failed: map[wire.Role]int{},
	}
}

// Take enters a request. A repeat is no newcomer, and what it once wanted it still wants.
func (b *Book) Take(p wire.Request, now time.Time) {
	old, had := b.Newest[p.Role]
	r := Request{p.Instance, p.Sequence, p.Want, now, now}
	if had && old.Instance == p.Instance {
		r.Came, r.Want = old.Came, r.Want || old.Want
	}
	b.Newest[p.Role] = r
}

// Fresh tells whether a request is newer than those seen of its role, and remembers it. A sequence above limit is not
// remembered. What lay in a mailbox speaks for a run that may be over, unless its sender is here.
func (b *Book) Fresh(p wire.Request, limit uint64, now time.Time, here bool) bool {
	runs := b.instances[p.Role]
	at := slices.IndexFunc(runs, func(r run) bool { return r.instance == p.Instance })
	if at < 0 {
		if runs = append(runs, run{instance: p.Instance}); len(runs) > limits.MaxInstances {
			runs = runs[1:]
		}
		at = len(runs) - 1
		b.instances[p.Role] = runs
	} else if p.Sequence <= runs[at].highest {
		return false
	}
	if p.Sequence <= limit {
		runs[at].highest = p.Sequence
	}
	return here || p.Sequence >= uint64(max(now.Add(-limits.RequestAge).UnixMilli(), 0))
}

// Failed counts an epoch of an opener that was given up.
func (b *Book) Failed(opener wire.Role) { b.failed[opener]++ }

// Completed forgets what failed of an opener.
func (b *Book) Completed(opener wire.Role) { delete(b.failed, opener) }

// Failures returns how many epochs of an opener failed since one was completed.
func (b *Book) Failures(opener wire.Role) int { return b.failed[opener] }

// Patience is how long a contributor to an opener's epoch may be silent: first, doubled with each that failed.
func (b *Book) Patience(opener wire.Role, first, most time.Duration) time.Duration {
	failures := b.failed[opener] // defence: patience-doubles
	return backoff.Wait(first, max(first, most), failures)
}

// Silent notes that a role was silent: it counts again after first, doubled each time, and once it has asked anew.
func (b *Book) Silent(role wire.Role, now time.Time, first, most time.Duration) {
	s := b.strikes[role]
	s.n++
	s.sequence = b.Newest[role].Sequence
	s.until = now.Add(first)
	if s.n > 1 { // defence: patience-doubles
		s.until = now.Add(backoff.Wait(first, most, s.n-1))
	}
	b.strikes[role] = s
}

// Forgive forgets that a role was silent.
func (b *Book) Forgive(role wire.Role) { delete(b.strikes, role) }

// Until returns until when a role does not count, and whether it has asked anew since it was silent.
func (b *Book) Until(role wire.Role) (until time.Time, anew bool) {
	s, struck := b.strikes[role]
	if struck && b.Newest[role].Sequence <= s.sequence {
		return s.until, false // defence: silent-asks-anew
	}
	return s.until, true
}

// Clear forgets all failures and silence: another relay node, or another roster, is another matter.
func (b *Book) Clear() {
	clear(b.failed)
	clear(b.strikes)
}

// SetBack makes nothing later than now, because the clock was set back.
func (b *Book) SetBack(now time.Time) {
	earlier := func(t time.Time) time.Time {
		if t.After(now) {
			return now
		}
		return t
	}
	for role, r := range b.Newest {
		r.Came, r.Heard = earlier(r.Came), earlier(r.Heard)
		b.Newest[role] = r
	}
	for role, s := range b.strikes {
		s.until = earlier(s.until)
		b.strikes[role] = s
	}
}
