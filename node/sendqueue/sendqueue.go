// Package sendqueue is where those who send leave messages for the goroutine that delivers them.
//
// A Queue counts every message that is not acknowledged yet, so that it can refuse more than it holds, or have a sender wait
// for room. It gives each message its place and its ID. What is in it is lost with the process: whoever takes messages out of
// it writes them down.
//
// Its methods may be called from any goroutine. It may be imported by node.
package sendqueue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"conclave/node/recent"
	"conclave/node/state"
	"conclave/overlay/wire"
)

var (
	// ErrFull is returned by Put when too many messages wait already.
	ErrFull = errors.New("too many messages are waiting to be sent")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the node is closed")
)

// Queue is where messages are left. It counts everything that is not acknowledged yet, so that it can
// refuse more than the outbox holds.
type Queue struct {
	max  int
	wake chan struct{} // one token while fresh is not empty

	mu      sync.Mutex
	fresh   []state.Outgoing // accepted and not taken
	next    int64            // place of the next message
	waiting int              // accepted and not acknowledged
	room    chan struct{}    // closed and renewed when waiting falls
	closed  bool
	ids     *recent.Map[wire.ShortID, struct{}] // of this member's messages, which all have other ones
}

// New returns an empty queue. max is how many messages may be unacknowledged, remembered how many have different short IDs.
func New(max, remembered int) *Queue {
	return &Queue{wake: make(chan struct{}, 1), room: make(chan struct{}), next: 1, ids: recent.New[wire.ShortID, struct{}](remembered), max: max}
}

// Restore counts what the outbox on disk holds, and the IDs of what this member, self, sent before.
func (q *Queue) Restore(self wire.Role, shown []state.Shown, outbox []state.Outgoing) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range shown {
		if s.Sender == self {
			q.ids.Add(s.ID.Short(), struct{}{})
		}
	}
	for _, o := range outbox {
		q.ids.Add(o.ID.Short(), struct{}{})
	}
	q.waiting += len(outbox)
	if len(outbox) > 0 {
		q.next = outbox[len(outbox)-1].Seq + 1
	}
}

// Wake holds a token after Ring.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

// Put accepts a message.
func (q *Queue) Put(text string, now time.Time, random io.Reader) (wire.MessageID, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return wire.MessageID{}, ErrClosed
	}
	if q.waiting >= q.max {
		return wire.MessageID{}, ErrFull
	}
	id, err := q.draw(random)
	if err != nil {
		return wire.MessageID{}, err
	}
	q.fresh = append(q.fresh, state.Outgoing{Seq: q.next, ID: id, Text: text, At: now})
	q.next++
	q.waiting++
	return id, nil
}

// errRandom is returned for a random source that gives the same again and again.
var errRandom = errors.New("the random source repeats itself")

// draw returns the ID of a new message.
func (q *Queue) draw(random io.Reader) (id wire.MessageID, err error) {
	for range 8 { // each fails with a probability of at most 2^-18
		if _, err := io.ReadFull(random, id[:]); err != nil {
			return id, fmt.Errorf("drawing a message ID: %w", err)
		}
		if q.ids.Add(id.Short(), struct{}{}) {
			return id, nil
		}
	}
	return id, errRandom
}

// Ring says that there is something to take.
func (q *Queue) Ring() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Take returns what was accepted since the last call.
func (q *Queue) Take() []state.Outgoing {
	q.mu.Lock()
	defer q.mu.Unlock()
	fresh := q.fresh
	q.fresh = nil
	return fresh
}

// Done makes room: n messages were acknowledged.
func (q *Queue) Done(n int) {
	if n == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	full := q.waiting >= q.max
	if q.waiting -= n; full { // nobody waits otherwise
		close(q.room)
		q.room = make(chan struct{})
	}
}

// Count returns how many messages are not acknowledged.
func (q *Queue) Count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// Wait returns when there may be room.
func (q *Queue) Wait(ctx context.Context) error {
	q.mu.Lock()
	room, full, closed := q.room, q.waiting >= q.max, q.closed
	q.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if !full {
		return nil
	}
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close refuses everything that comes later.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	close(q.room)
	q.room = make(chan struct{})
}
