package node

import (
	"testing"
	"time"

	"conclave/node/state"
	"conclave/overlay/wire"
)

// TestStoredBeforeWritten has a relay node store a message before this member's disk does: it is queued all the same, and
// is never written here. One that no relay node has is.
func TestStoredBeforeWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	w.tune = func(cfg *Config) { cfg.Timing.QueueCommit = time.Hour }
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	id := a.send("stored at once")
	a.state(id, Relayed)
	a.state(id, Queued)
	a.leave()
	store, err := state.Open(w.statePath("A"))
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := store.Load(t.Context())
	if err != nil || len(loaded.Outbox) != 0 {
		t.Fatalf("the outbox on disk holds %v, %v", loaded.Outbox, err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	w.stopRelay()
	w.tune = nil
	a = w.join("A")
	a.state(a.send("nobody has it"), Queued)
}

// TestMoreThanOneTurn queues more than the engine seals in one turn: what is left goes without anything else happening.
func TestMoreThanOneTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	w.disk = false
	a := w.join("A")
	want := numbered("waiting", 2*4*wire.MaxBatchItems)
	for _, text := range want {
		a.send(text)
	}
	b := w.join("B") // now there is a key, and all of it may go at once
	b.reads("A", want...)
}
