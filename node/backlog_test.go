package node

import (
	"sync/atomic"
	"testing"

	"conclave/overlay/wire"
	"conclave/pki/authority"
)

// TestLANLateMemberReadsWhatWasSaid has C come when A has gone: B hands it A's share and A's messages.
func TestLANLateMemberReadsWhatWasSaid(t *testing.T) {
	t.Parallel()
	w := newLAN(t, "A", "B", "C")
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	said := numbered("said", 200)
	for _, text := range said {
		a.send(text)
	}
	b.reads("A", said...)
	b.send("and B")
	a.reads("B", "and B")
	a.leave()
	c := w.join("C")
	c.reads("A", said...)
	c.reads("B", "and B")
}

// TestLANMissedBatchesAreFetched has B lose every third batch on its way.
func TestLANMissedBatchesAreFetched(t *testing.T) {
	t.Parallel()
	w := newLAN(t, "A", "B")
	a := w.join("A")
	cfg := w.config("B")
	var armed atomic.Bool
	var n atomic.Int64
	dropping(&cfg, func() bool { return armed.Load() && n.Add(1)%3 != 0 })
	b := w.joinWith(cfg, "B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	armed.Store(true)
	said := numbered("said", 100)
	for i, text := range said {
		id := a.send(text)
		if i%10 == 9 {
			a.state(id, Delivered) // batches that are apart; the last ones have nothing behind them
		}
	}
	b.reads("A", said...)
	if n.Load() == 0 {
		t.Fatal("nothing was dropped")
	}
}

// TestLANKeepsWhatWasSaidOverARestart has A say something that B has, restart, and hand it to C from its disk.
func TestLANKeepsWhatWasSaidOverARestart(t *testing.T) {
	t.Parallel()
	w := newLAN(t, "A", "B", "C")
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	said := numbered("said", 10)
	for _, text := range said {
		a.state(a.send(text), Delivered)
	}
	b.reads("A", said...)
	a.leave()
	b.leave()
	a = w.join("A")
	c := w.join("C")
	c.reads("A", said...)
	a.send("after the restart")
	c.reads("A", append(said, "after the restart")...)
}

// TestLANThenRelayNode has a relay node appear: A and B go on with the same key, and C, who reaches the relay node only, reads
// what was said before.
func TestLANThenRelayNode(t *testing.T) {
	t.Parallel()
	w := newLAN(t, "A", "B", "C")
	a, b := w.join("A"), w.join("B")
	key := agree(t, []wire.Role{"A", "B"}, a, b)
	said := numbered("on the LAN", 2*64)
	for _, text := range said {
		a.send(text)
	}
	b.reads("A", said...)
	w.relayOnLAN(loopbackName(t))
	for _, p := range []*person{a, b} {
		p.until("a link that is ready", func(events []Event) bool {
			links := all[Link](events)
			return len(links) > 0 && links[len(links)-1].State == Ready
		})
	}
	a.state(a.send("with a relay node"), Relayed)
	b.reads("A", append(said, "with a relay node")...)
	if now := a.now(); now.Fingerprint != key {
		t.Errorf("the key has changed from %s to %s", key, now.Fingerprint)
	}
	eventually(t, "everything is at the relay node", func() bool {
		return a.run.node.shelfLeft() == 0 && b.run.node.shelfLeft() == 0
	})
	w.tune = nil
	c := w.join("C")
	c.reads("A", append(said, "with a relay node")...)
}

// TestLANRemovedMemberReadsNothing has A learn that B was removed: C hears of it on the LAN, and B reads nothing more.
func TestLANRemovedMemberReadsNothing(t *testing.T) {
	t.Parallel()
	w := newLAN(t, "A", "B", "C")
	a, b, c := w.join("A"), w.join("B"), w.join("C")
	agree(t, abc, a, b, c)
	a.send("for all three")
	b.reads("A", "for all three")
	next := w.group.Reissue(func(d *authority.Draft) { _ = d.RemoveMember("B") })
	if err := a.run.node.TakeRoster(t.Context(), next.Envelope); err != nil {
		t.Fatal(err)
	}
	c.until("the new roster", func(e []Event) bool { return len(all[RosterChanged](e)) > 0 })
	a.send("for two")
	c.reads("A", "for all three", "for two")
	agree(t, []wire.Role{"A", "C"}, a, c)
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := texts(b.events, "A"); len(got) != 1 {
		t.Fatalf("B read %q", got)
	}
}

// shelfLeft returns how many batches no relay node is known to hold.
func (n *Node) shelfLeft() int {
	return len(n.shelf.Unstored(1<<30, func(int64) bool { return false }))
}
