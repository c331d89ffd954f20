package node

import (
	"context"
	"io"
	"sync"
	"time"

	"conclave/node/state"
	"conclave/overlay/wire"
)

// inbox is where Send leaves messages for the engine. It counts everything that is not acknowledged yet, so that it can
// refuse more than the outbox holds.
type inbox struct {
	wake chan struct{} // one token while fresh is not empty

	mu      sync.Mutex
	fresh   []state.Outgoing // accepted, not yet seen by the engine
	next    int64            // place of the next message
	waiting int              // accepted and not acknowledged
	room    chan struct{}    // closed and renewed when waiting falls
	closed  bool
	mine    tally
}

func newInbox() *inbox {
	return &inbox{wake: make(chan struct{}, 1), room: make(chan struct{}), next: 1, mine: newTally()}
}

// restore counts what the outbox on disk holds, and knows again what this member, self, sent before.
func (b *inbox) restore(self wire.Role, shown []state.Shown, outbox []state.Outgoing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range shown {
		if s.Sender == self {
			b.mine.add(s.ID)
		}
	}
	for _, o := range outbox {
		b.mine.add(o.ID)
	}
	b.waiting += len(outbox)
	if len(outbox) > 0 {
		b.next = outbox[len(outbox)-1].Seq + 1
	}
}

// put accepts a message.
func (b *inbox) put(text string, now time.Time, random io.Reader) (wire.MessageID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return wire.MessageID{}, ErrClosed
	}
	if b.waiting >= maxOutbox {
		return wire.MessageID{}, ErrOutboxFull
	}
	id, err := b.mine.draw(random)
	if err != nil {
		return wire.MessageID{}, err
	}
	b.fresh = append(b.fresh, state.Outgoing{Seq: b.next, ID: id, Text: text, At: now})
	b.next++
	b.waiting++
	return id, nil
}

// ring wakes the engine.
func (b *inbox) ring() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// acknowledge notes that a member has shown a message of this one's: see tally.
func (b *inbox) acknowledge(short wire.ShortID, by wire.Role) (id wire.MessageID, all []wire.Role, news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mine.acknowledge(short, by)
}

// take returns what was accepted since the last call.
func (b *inbox) take() []state.Outgoing {
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh := b.fresh
	b.fresh = nil
	return fresh
}

// done makes room: n messages were acknowledged.
func (b *inbox) done(n int) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	full := b.waiting >= maxOutbox
	if b.waiting -= n; full { // nobody waits otherwise
		close(b.room)
		b.room = make(chan struct{})
	}
}

// count returns how many messages are not acknowledged.
func (b *inbox) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

// wait returns when there may be room.
func (b *inbox) wait(ctx context.Context) error {
	b.mu.Lock()
	room, full, closed := b.room, b.waiting >= maxOutbox, b.closed
	b.mu.Unlock()
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

// close refuses everything that comes later.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	close(b.room)
	b.room = make(chan struct{})
}
