package node

import (
	"crypto/rand"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"conclave/node/frame"
	"conclave/node/order"
	"conclave/node/state"
	"conclave/overlay/wire"
	"conclave/pki"
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
	want := numbered("waiting", 2*maxSeals*wire.MaxBatchItems)
	for _, text := range want {
		a.send(text)
	}
	b := w.join("B") // now there is a key, and all of it may go at once
	b.reads("A", want...)
}

// TestAcknowledgementsRide lets no time come at which acknowledgements would go by themselves: they go with a text.
func TestAcknowledgementsRide(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	a := w.join("A")
	w.tune = func(cfg *Config) { cfg.Timing.AckBase = time.Hour }
	b := w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	first := a.send("to be acknowledged")
	b.reads("A", "to be acknowledged")
	wait := func(d time.Duration) {
		if err := b.run.node.call(t.Context(), func(e *engine) { e.inbound.acks.since = time.Now().Add(-d) }); err != nil {
			t.Error(err)
		}
	}
	wait(10 * time.Minute) // so long ago they began to gather: too early
	b.send("alone")
	a.reads("B", "alone")
	a.until("nothing to be delivered yet", func(events []Event) bool {
		for _, e := range all[Sent](events) {
			if e.State == Delivered {
				t.Fatalf("delivered: %+v", e)
			}
		}
		return true
	})
	wait(40 * time.Minute)
	b.send("with acknowledgements")
	a.state(first, Delivered)
}

// TestAcknowledgementsGather hands out what has gathered for a while, and all of it.
func TestAcknowledgementsGather(t *testing.T) {
	e := &engine{cfg: Config{Timing: Timing{AckBase: time.Hour}}, roster: &pki.Roster{}}
	var a acks
	for i := range byte(3) {
		a.add(e, state.Shown{Sender: "B", ID: wire.MessageID{i}})
	}
	if got := a.ride(e); got != nil {
		t.Fatal("acknowledgements that began to gather just now do not wait for others")
	}
	a.since = time.Now().Add(-time.Hour)
	if got := a.ride(e); len(got) != 3 || got[2] != (owed{"B", wire.ShortID{2}}) {
		t.Fatalf("%v ride", got)
	}
	if got := a.ride(e); got != nil || !a.due.IsZero() {
		t.Fatalf("%v is left, due %v", got, a.due)
	}
}

// TestAcknowledgementsSplit puts no more into a frame than it holds, and returns what finds no room.
func TestAcknowledgementsSplit(t *testing.T) {
	e := &engine{cfg: Config{Now: time.Now}, random: rand.Reader}
	o := &outbox{e: e}
	list := make([]owed, 2*frame.MaxAcks+1)
	for i := range list {
		list[i] = owed{"B", wire.ShortID{byte(i), byte(i >> 8)}}
	}
	s, sizes := &sealed{chat: &chat{index: map[wire.Role]uint16{"B": 1}}}, []int(nil)
	left := o.thank(s, list, func(c frame.Content) bool {
		if len(sizes) == 2 {
			return false
		}
		sizes = append(sizes, len(slices.Collect(c.Acks())))
		return true
	})
	if !slices.Equal(sizes, []int{frame.MaxAcks, frame.MaxAcks}) || len(left) != 1 || len(s.acks) != 2*frame.MaxAcks {
		t.Fatalf("frames of %v, %d left, %d noted", sizes, len(left), len(s.acks))
	}
}

// TestGapGrace is shorter for a gap that a later frame shows than for one that only a relay node tells of.
func TestGapGrace(t *testing.T) {
	const grace = time.Minute
	for name, test := range map[string]struct {
		fill func(*order.Lane[[]byte])
		want time.Duration
	}{
		"hole": {func(q *order.Lane[[]byte]) { q.Put(order.Position{Counter: 1}, nil) }, grace},
		"hint": {func(q *order.Lane[[]byte]) { q.Hint(0, 0, 1) }, hintGrace * grace},
	} {
		l := newLane(nil, 0, frame.Member{}, order.Position{})
		test.fill(l.queue)
		began := time.Now()
		if ok, after := l.gapped(grace), l.due.Sub(began).Truncate(time.Second); !ok || after != test.want {
			t.Errorf("%s: a fetch is due after %v, want %v", name, after, test.want)
		}
	}
}

// TestOtherFrame tells a repeated frame from another at its place, for as long as it is remembered.
func TestOtherFrame(t *testing.T) {
	l := newLane(nil, 0, frame.Member{}, order.Position{})
	data := func(i int) []byte { return append(make([]byte, wire.FrameMACSize-1), byte(i)) }
	at := func(i int) order.Position { return order.Position{Start: 1, Counter: uint32(i)} }
	for i := range recentFrames + 1 {
		l.remember(at(i), data(i))
	}
	for i, want := range map[int]bool{0: false, 1: true, recentFrames: true, recentFrames + 1: false} {
		if l.other(at(i), data(i)) || l.other(at(i), data(i+1)) != want {
			t.Errorf("frame %d: repeated %v, another %v", i, l.other(at(i), data(i)), l.other(at(i), data(i+1)))
		}
	}
}

// TestAcknowledgementsSpread has many members show a message at one moment: they do not acknowledge it at one moment, and
// none waits for ever.
func TestAcknowledgementsSpread(t *testing.T) {
	e := &engine{cfg: Config{Timing: Timing{AckBase: time.Hour}}, roster: &pki.Roster{}}
	tenths := make(map[time.Duration]bool)
	for range 200 {
		var a acks
		a.add(e, state.Shown{})
		wait := a.due.Sub(a.since)
		if wait < time.Hour || wait > 2*time.Hour {
			t.Fatalf("an acknowledgement waits %v, not one to two hours", wait)
		}
		tenths[(wait-time.Hour)/(6*time.Minute)] = true
	}
	if len(tenths) < 8 {
		t.Errorf("200 members acknowledge in %d of ten tenths of an hour", len(tenths))
	}
}

// TestResumeReachesEveryLane has one sender's lane stop because a screen is full, and another's look again when it is not
// full any more: the first goes on too.
func TestResumeReachesEveryLane(t *testing.T) {
	n := &Node{hub: newHub(time.Now)}
	in := newInbound(&engine{n: n}, nil)
	screen := n.hub.subscribe()
	for range pauseEvents {
		n.hub.publish(Note{})
	}
	lanes := make([]*lane, 2)
	for i, role := range []wire.Role{"A", "B"} {
		lanes[i] = newLane(&chat{}, uint16(i), frame.Member{Role: role}, order.Position{})
	}
	lanes[0].queue.Put(order.Position{}, nil)
	in.enter(lanes[0])
	in.flow(lanes[0])
	for range pauseEvents - resumeEvents + 1 {
		screen.Next(t.Context())
	}
	in.enter(lanes[1])
	in.flow(lanes[1])
	<-n.hub.resume
	in.resume()
	if !lanes[0].touched {
		t.Error("the lane that stopped first waits for good")
	}
}

// TestGapWithMuchBehind has a lane full of frames behind a long gap: what a fetch brings takes their room, so the gap is
// closed after a few fetches and not after one for each frame.
func TestGapWithMuchBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	w.disk = false
	a := w.join("A")
	var deaf atomic.Bool
	w.tune = func(cfg *Config) {
		cfg.Timing.GapGrace = time.Hour
		cfg.faults.dropTopic = deaf.Load
	}
	b := w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	const gap = 1000
	want := numbered("message", gap+order.MaxHeld+500)
	deaf.Store(true)
	a.sendAll(want[:gap])
	deaf.Store(false)
	a.sendAll(want[gap:])
	var before, after uint64
	for full := false; !full; {
		if err := b.run.node.call(t.Context(), func(e *engine) {
			for l := range e.inbound.gaps {
				if full = l.queue.Held() >= order.MaxHeld; full {
					l.due, before = time.Now(), e.relays.Number()
					e.cfg.Timing.GapGrace = 0 // what finds no room now is missed, and fetched, later
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	b.reads("A", want...)
	if err := b.run.node.call(t.Context(), func(e *engine) { after = e.relays.Number() }); err != nil {
		t.Fatal(err)
	}
	if fetches := after - before; fetches > 20 {
		t.Errorf("%d fetches for a gap of %d frames", fetches, gap)
	}
}
