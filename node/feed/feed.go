// Package feed hands everything that happens to everybody who watches.
//
// A Feed never waits for a reader. A Subscription that is not read in time fills: first Paused reports it, so that its owner
// can hold back what can wait; then it drops, counts what it dropped, and says so in an event of its own.
//
// Its methods may be called from any goroutine. It may be imported by node, and imports nothing of ours.
package feed

import (
	"context"
	"slices"
	"sync"
)

const (
	// PauseEvents is the number of unread events at which a subscription is Paused.
	PauseEvents = 4096
	// ResumeEvents is the number of unread events at which Resume tells of it. If it did at once, the owner would
	// stop again after each event.
	ResumeEvents = PauseEvents / 2
	// MaxEvents is the number of unread events at which a subscription begins to drop, counted by Lagged.
	MaxEvents = 4 * PauseEvents
)

// Subscription is one reader's stream of events. A reader that wants no more of it must Close it: a full subscription
// that nobody reads is Paused for good.
type Subscription[E any] struct {
	feed *Feed[E]

	// guarded by feed.mu
	queue   []E
	dropped uint64
	closed  bool

	wake chan struct{} // holds one token while the queue may be non-empty or closed
}

// Feed hands every event to every subscription.
type Feed[E any] struct {
	resume chan struct{} // one token when a subscription has fallen below ResumeEvents
	lagged func(dropped uint64) E

	mu     sync.Mutex
	subs   []*Subscription[E]
	closed bool
}

// New returns a feed. lagged makes the event that tells a reader how many events it missed.
func New[E any](lagged func(dropped uint64) E) *Feed[E] {
	return &Feed[E]{lagged: lagged, resume: make(chan struct{}, 1)}
}

// Resume holds a token when a subscription has been read, or closed, so that Paused may report false.
func (f *Feed[E]) Resume() <-chan struct{} { return f.resume }

// Subscribe returns a new subscription that sees every event from now on.
func (f *Feed[E]) Subscribe() *Subscription[E] {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &Subscription[E]{feed: f, wake: make(chan struct{}, 1), closed: f.closed}
	if f.closed {
		s.signal()
		return s
	}
	f.subs = append(f.subs, s)
	return s
}

// Publish hands e to every subscription and never blocks.
func (f *Feed[E]) Publish(e E) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.subs {
		if len(s.queue) >= MaxEvents {
			s.dropped++
			continue
		}
		if s.dropped > 0 {
			s.queue = append(s.queue, f.lagged(s.dropped))
			s.dropped = 0
		}
		s.queue = append(s.queue, e)
		s.signal()
	}
}

// Paused reports whether a subscription has so much unread that what can wait should.
func (f *Feed[E]) Paused() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.subs {
		if len(s.queue) >= PauseEvents {
			return true
		}
	}
	return false
}

// Close ends every subscription once it has been read to its end.
func (f *Feed[E]) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, s := range f.subs {
		s.closed = true
		s.signal()
	}
}

func (s *Subscription[E]) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next returns the next event, waiting for it. It reports false when ctx ends, or when the node or the subscription was
// closed and everything has been read.
func (s *Subscription[E]) Next(ctx context.Context) (E, bool) {
	for {
		e, ok, closed := s.take()
		if ok || closed {
			return e, ok
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return e, false
		}
	}
}

// take removes the first event without waiting.
func (s *Subscription[E]) take() (e E, ok, closed bool) {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(s.queue) == 0 {
		s.queue = nil
		return e, false, s.closed
	}
	var none E
	e, s.queue[0] = s.queue[0], none
	s.queue = s.queue[1:]
	if len(s.queue) > 0 || s.closed {
		s.signal()
	}
	if len(s.queue) == ResumeEvents-1 {
		select {
		case f.resume <- struct{}{}:
		default:
		}
	}
	return e, true, false
}

// Close ends the subscription; Next reports false from then on.
func (s *Subscription[E]) Close() {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subs = slices.DeleteFunc(f.subs, func(x *Subscription[E]) bool { return x == s })
	s.queue, s.closed = nil, true
	s.signal()
	select {
	case f.resume <- struct{}{}:
	default:
	}
}
