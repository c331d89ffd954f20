package node

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conclave/node/keyagreement"
	"conclave/overlay/wire"
)

// inOrder has C read what A says, and then what B says after it.
func inOrder(a, b, c *person) {
	c.t.Helper()
	a.send("two")
	b.reads("A", "one", "two")
	b.send("three") // behind A's on its way to C
	c.reads("B", "three")
}

// lateShare has A and B agree on a session under which A says "one", and C join, who does not open A's share of it until late
// is called. All three have agreed on the next session then.
func lateShare(t *testing.T, tune func(*Config)) (a, b, c *person, late func()) {
	t.Helper()
	w := newWorld(t, "A", "B", "C")
	a, b = w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	of := a.now()
	a.state(a.send("one"), Delivered)
	cfg, wait := w.config("C"), make(chan struct{})
	tune(&cfg)
	cfg.faults.unwrap = func(u keyagreement.Unwrap) {
		if bytes.Contains(u.Label, of.ID[:]) && bytes.HasSuffix(u.Label, []byte("\x01A\x01C")) {
			<-wait
		}
	}
	c = w.joinWith(cfg, "C")
	late = sync.OnceFunc(func() { close(wait) })
	t.Cleanup(late) // before C leaves
	agree(t, abc, a, b, c)
	return a, b, c, late
}

// TestKeyAfterTheNext has C complete a session after the next one, as when a share is late: C shows what was sent under it
// before what was sent under the next.
func TestKeyAfterTheNext(t *testing.T) {
	t.Parallel()
	a, b, c, late := lateShare(t, func(*Config) {})
	inOrder(a, b, c)
	late()
	c.reads("A", "one", "two")
}

// TestKeyNever has C never complete an earlier session: what was sent under the next is not held back for good.
func TestKeyNever(t *testing.T) {
	t.Parallel()
	a, _, c, _ := lateShare(t, func(cfg *Config) { cfg.Timing.GapGiveUp = 2 * time.Second })
	a.send("two")
	c.reads("A", "two")
}

// TestFirstFrameLost has C miss A's only text under a session, and hear of it from A alone, under the next.
func TestFirstFrameLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	a, b := w.join("A"), w.join("B")
	cfg := w.config("C")
	var deaf atomic.Bool
	cfg.faults.dropHeads, cfg.faults.dropFrames = true, deaf.Load
	c := w.joinWith(cfg, "C")
	agree(t, abc, a, b, c)
	deaf.Store(true)
	a.state(a.send("one"), Relayed)
	b.reads("A", "one")
	before := a.now()
	a.run.node.Rekey(t.Context())
	a.until("the next session", func(e []Event) bool { k, ok := present(e); return ok && k.Transcript != before.Transcript })
	agree(t, abc, a, b, c) // over the topic, on which C has missed A's frame by now
	deaf.Store(false)
	inOrder(a, b, c)
	c.reads("A", "one", "two")
}

// TestTwoSessionsInOneTurn hands C what A sends under two sessions at once, which the relay node may have brought in one piece.
func TestTwoSessionsInOneTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	b := w.join("B")
	c, sessions := w.joinRevealing("C")
	agree(t, []wire.Role{"B", "C"}, b, c)
	b.run.node.Rekey(t.Context())
	first, second := <-sessions, <-sessions
	c.until("both keys", func(e []Event) bool { return len(all[SessionKey](e)) == 2 })
	one, two := sealAs(t, w, first, "A", 0, "one"), sealAs(t, w, second, "A", 0, "two")
	c.run.node.post(t.Context(), func(e *engine) {
		for _, data := range [][]byte{one, two} {
			e.inbound.frame(identityKey(w.group.Member("A").Identity), data, true)
		}
	})
	c.reads("A", "one", "two")
}

// TestSealedAgainWaitsForNothing takes texts back that are on their way, as when a member is removed: nobody is told to wait
// for the frames that they were in first.
func TestSealedAgainWaitsForNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	a.state(a.send("one"), Relayed)
	err := a.run.node.call(t.Context(), func(e *engine) {
		o := &e.outbox
		before, using := o.last, e.chats.using
		for _, text := range []string{"two", "three"} {
			if _, err := e.n.Send(text); err != nil {
				t.Error(err)
			}
			o.settle()
		}
		if n := len(o.flying); n < 2 || o.last == before {
			t.Errorf("%d batches fly, the last text is before %v: the test shows nothing", n, o.last)
		}
		e.chats.hold()
		if o.last != before {
			t.Errorf("after the texts were taken back the last one is before %v, want %v", o.last, before)
		}
		e.chats.use(using.about.Transcript)
	})
	if err != nil {
		t.Fatal(err)
	}
	b.reads("A", "one", "two", "three")
}
