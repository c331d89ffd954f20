package node

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"conclave/node/feed"
	"conclave/overlay/durable"
	"conclave/overlay/wire"
	"conclave/pki/authority"
)

// numbered returns texts that tell their place.
func numbered(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s %d", prefix, i)
	}
	return out
}

// TestBackToBack sends 1,000 messages as fast as Send takes them: all arrive everywhere, in order.
func TestBackToBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C", "D")
	roles := []wire.Role{"A", "B", "C", "D"}
	var people []*person
	for _, r := range roles {
		people = append(people, w.join(string(r)))
	}
	agree(t, roles, people...)
	texts := numbered("message", 1000)
	for _, text := range texts {
		people[0].send(text)
	}
	for _, p := range people[1:] {
		p.reads("A", texts...)
	}
	if err := people[0].run.node.Flush(t.Context()); err != nil {
		t.Fatalf("flushing: %v", err)
	}
}

// TestRandomDrops loses a third of what comes over the topic at each member, after the key is there: everything is
// fetched, shown once, and in its sender's order.
func TestRandomDrops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	var on atomic.Bool
	var dropped atomic.Int64
	w.tune = func(c *Config) {
		dropping(c, func() bool {
			if !on.Load() || mathrand.IntN(3) != 0 {
				return false
			}
			dropped.Add(1)
			return true
		})
	}
	people := map[string]*person{"A": w.join("A"), "B": w.join("B"), "C": w.join("C")}
	agree(t, abc, people["A"], people["B"], people["C"])
	on.Store(true)
	want := make(map[string][]string)
	for role, p := range people {
		texts := numbered("from "+role, 150)
		want[role] = texts
		go func() {
			for i, text := range texts {
				if _, err := p.run.node.SendWait(context.Background(), text); err != nil {
					t.Errorf("%s sends: %v", role, err)
				}
				if i%10 == 9 { // so that there are many batches to lose
					_ = p.run.node.Flush(context.Background())
				}
			}
		}()
	}
	for to, p := range people {
		for from := range people {
			if from != to {
				p.reads(wire.Role(from), want[from]...)
			}
		}
	}
	if dropped.Load() < 10 {
		t.Fatalf("only %d batches were dropped: the test shows nothing", dropped.Load())
	}
}

// TestDeafMember hears nothing over the topic at all and reads everything out of the backlog.
func TestDeafMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	a, c := w.join("A"), w.join("C")
	var on atomic.Bool
	cfg := w.config("B")
	dropping(&cfg, on.Load)
	b := w.joinWith(cfg, "B")
	agree(t, abc, a, b, c)
	on.Store(true)
	want := numbered("unheard", 300)
	for _, text := range want {
		a.send(text)
	}
	c.reads("A", want...)
	b.reads("A", want...)
}

// TestQueuedBeforeTheKey sends before anybody else is there, and before the relay node is.
func TestQueuedBeforeTheKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	w.stopRelay()
	a := w.join("A")
	id := a.send("early")
	a.state(id, Queued)
	a.leave()
	w.startRelay()
	a = w.join("A") // the outbox is on disk
	b := w.join("B")
	b.reads("A", "early")
	a.state(id, Relayed)
}

// TestSlowScreen has a screen that reads nothing for a while: nothing is lost, everything comes later.
func TestSlowScreen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	slow := b.run.node.Subscribe()
	defer slow.Close()
	want := numbered("line", 2*feed.PauseEvents)
	a.sendAll(want)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []string
	for len(got) < len(want) {
		e, ok := slow.Next(ctx)
		if !ok {
			t.Fatalf("only %d of %d messages came", len(got), len(want))
		}
		switch e := e.(type) {
		case Message:
			got = append(got, e.Text)
		case Lagged:
			t.Fatalf("%d events were dropped", e.Events)
		}
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("message %d is %q", i, got[i])
		}
	}
}

// TestStateInUse refuses a second process on one state file.
func TestStateInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	w.join("A")
	if _, err := New(w.config("A")); !errors.Is(err, durable.ErrLocked) {
		t.Fatalf("a second node on one state file: %v", err)
	}
}

// TestRemovedMemberReadsNothing removes B: what is sent from then on goes under a key that B does not get.
func TestRemovedMemberReadsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	a, b, c := w.join("A"), w.join("B"), w.join("C")
	agree(t, abc, a, b, c)
	a.send("for all three")
	b.reads("A", "for all three")
	w.reissue(w.group.Reissue(func(d *authority.Draft) { _ = d.RemoveMember("B") }))
	a.until("the new roster", func(e []Event) bool { return len(all[RosterChanged](e)) > 0 })
	a.send("for two")
	c.reads("A", "for all three", "for two")
	agree(t, []wire.Role{"A", "C"}, a, c)
	b.run.node.Rekey(t.Context()) // B is still there and may try what it likes
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := texts(b.events, "A"); len(got) != 1 {
		t.Fatalf("B read %q", got)
	}
}

// TestRefusedTexts lists what Send does not take.
func TestRefusedTexts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	a := w.join("A")
	for _, text := range []string{"", strings.Repeat("x", MaxText+1), "\xff"} {
		if _, err := a.run.node.Send(text); !errors.Is(err, ErrText) {
			t.Errorf("Send of %d bytes: %v", len(text), err)
		}
	}
	if _, err := a.run.node.Send(strings.Repeat("ü", MaxText/2)); err != nil {
		t.Errorf("Send of the longest text: %v", err)
	}
}
