package news

import (
	"sync"

	"conclave/overlay/wire"
)

// Bits are the things that a peer may have to be told.
type Bits uint8

// What there is to tell.
const (
	Presence Bits = 1 << iota // who is online
	Roster                    // a newer roster
	Backlog                   // the backlog changed
	Mail                      // there may be mail, or room for more
)

// maxStored is how many acknowledgements wait for one peer. A member that reads none of so many loses further ones,
// which is counted; it then stores those batches again and learns that they are here.
const maxStored = 4 * wire.MaxListItems

// News is what one peer has yet to be told. A goroutine that tells it runs only while there is something to tell: a
// peer that is quiet costs no stack.
type News struct {
	tell func(Bits, []wire.BatchID) // static; told by one goroutine at a time

	mu      sync.Mutex
	bits    Bits           // guarded by mu
	stored  []wire.BatchID // guarded by mu
	telling bool           // guarded by mu: the goroutine runs
	closed  bool           // guarded by mu
	busy    sync.WaitGroup // the goroutine; added to under mu while not closed
}

// New returns a News with nothing to tell. One goroutine at a time calls tell, only while there is something.
func New(tell func(Bits, []wire.BatchID)) *News { return &News{tell: tell} }

// Set has the peer told of these things.
func (w *News) Set(b Bits) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bits |= b
	w.wake()
}

// Add notes batches of this peer that are durable and returns how many there was no room for.
func (w *News) Add(ids []wire.BatchID) (dropped int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	room := max(0, maxStored-len(w.stored))
	if len(ids) > room {
		dropped = len(ids) - room
		ids = ids[:room]
	}
	w.stored = append(w.stored, ids...)
	w.wake()
	return dropped
}

// wake starts the goroutine that tells unless it runs. The caller holds mu.
func (w *News) wake() {
	if w.telling || w.closed {
		return
	}
	w.telling = true
	w.busy.Go(w.run)
}

func (w *News) run() {
	for {
		bits, ids, more := w.take()
		if !more {
			return
		}
		w.tell(bits, ids)
	}
}

// take returns all there is to tell and forgets it. When there is nothing the goroutine ends.
func (w *News) take() (bits Bits, ids []wire.BatchID, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	bits, ids = w.bits, w.stored
	w.bits, w.stored = 0, nil
	w.telling = (bits != 0 || len(ids) > 0) && !w.closed
	return bits, ids, w.telling
}

// Close returns when nothing is told any more.
func (w *News) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.busy.Wait()
}
