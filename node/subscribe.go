package node

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// pauseEvents is the number of unread events at which the engine stops opening chat frames: what is not opened
	// stays in the ordering buffers and in the backlog, so a slow screen delays messages and loses none.
	pauseEvents = 4096
	// resumeEvents is the number of unread events at which it goes on. If it went on at once, it would stop again
	// after each message.
	resumeEvents = pauseEvents / 2
	// maxEvents is the number of unread events at which a subscription begins to drop, counted by Lagged.
	maxEvents = 4 * pauseEvents
)

// Subscription is one reader's stream of events. A reader that wants no more of it must Close it: a full subscription
// that nobody reads stops this member from taking in messages.
type Subscription struct {
	hub *hub

	// guarded by hub.mu
	queue   []Event
	dropped uint64
	closed  bool

	wake chan struct{} // holds one token while the queue may be non-empty or closed
}

// hub hands every event to every subscription.
type hub struct {
	resume chan struct{} // one token when a subscription has fallen below resumeEvents
	now    func() time.Time

	mu     sync.Mutex
	subs   []*Subscription
	closed bool
}

func newHub(now func() time.Time) *hub {
	return &hub{now: now, resume: make(chan struct{}, 1)}
}

// subscribe returns a new subscription that sees every event from now on.
func (h *hub) subscribe() *Subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &Subscription{hub: h, wake: make(chan struct{}, 1), closed: h.closed}
	if h.closed {
		s.signal()
		return s
	}
	h.subs = append(h.subs, s)
	return s
}

// publish hands e to every subscription and never blocks.
func (h *hub) publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.subs {
		if len(s.queue) >= maxEvents {
			s.dropped++
			continue
		}
		if s.dropped > 0 {
			s.queue = append(s.queue, Lagged{At: At{h.now()}, Events: s.dropped})
			s.dropped = 0
		}
		s.queue = append(s.queue, e)
		s.signal()
	}
}

// paused reports whether a subscription has so much unread that no more messages should be opened.
func (h *hub) paused() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.subs {
		if len(s.queue) >= pauseEvents {
			return true
		}
	}
	return false
}

// close ends every subscription once it has been read to its end.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, s := range h.subs {
		s.closed = true
		s.signal()
	}
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next returns the next event, waiting for it. It reports false when ctx ends, or when the node or the subscription was
// closed and everything has been read.
func (s *Subscription) Next(ctx context.Context) (Event, bool) {
	for {
		if e, ok, closed := s.take(); ok || closed {
			return e, ok
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// take removes the first event without waiting.
func (s *Subscription) take() (e Event, ok, closed bool) {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(s.queue) == 0 {
		s.queue = nil
		return nil, false, s.closed
	}
	e, s.queue[0] = s.queue[0], nil
	s.queue = s.queue[1:]
	if len(s.queue) > 0 || s.closed {
		s.signal()
	}
	if len(s.queue) == resumeEvents-1 {
		select {
		case h.resume <- struct{}{}:
		default:
		}
	}
	return e, true, false
}

// Close ends the subscription; Next reports false from then on.
func (s *Subscription) Close() {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs = slices.DeleteFunc(h.subs, func(x *Subscription) bool { return x == s })
	s.queue, s.closed = nil, true
	s.signal()
	select {
	case h.resume <- struct{}{}:
	default:
	}
}
