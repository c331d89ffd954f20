package node

import (
	"bufio"
	"context"
	"sync/atomic"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki/authority"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// TestLANLateMemberReadsWhatWasSaid has C come when A has gone: B hands it A's share and A's messages.
func TestLANLateMemberReadsWhatWasSaid(t *testing.T) {
	t.Parallel()
	w := newLAN(t, "A", "B", "C")
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	said := numbered("said", 3*maxFlying)
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
	cfg.faults.dropTopic = func() bool { return armed.Load() && n.Add(1)%3 != 0 }
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
	said := numbered("on the LAN", 2*maxFlying)
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

// TestAttackOutsiderAsksAMember has an outsider ask a member for what is on its shelf.
func TestAttackOutsiderAsksAMember(t *testing.T) {
	t.Parallel()
	for _, off := range []bool{false, true} {
		w := newLAN(t, "A", "B")
		cfg := w.config("A")
		cfg.faults.anyBacklog, cfg.faults.open = off, true
		a := w.joinWith(cfg, "A")
		b := w.join("B")
		agree(t, []wire.Role{"A", "B"}, a, b)
		a.state(a.send("sealed"), Delivered)
		h, err := overlay.NewHost(overlay.HostConfig{Identity: w.outsider(), Log: quiet("outsider")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		to := peer.AddrInfo{ID: a.run.node.self.Peer, Addrs: a.run.node.listening()}
		told := false
		if err := overlay.Connect(ctx, h, to); err == nil {
			if s, err := overlay.OpenStream(ctx, h, to.ID, overlay.BacklogProtocol); err == nil {
				_ = s.SetDeadline(time.Now().Add(patience))
				m, err := wire.ReadMessage(bufio.NewReader(s), wire.TypeHeads)
				told = err == nil && len(m.(*wire.Heads).Heads) > 0
			}
		}
		if told != off {
			t.Errorf("with the defence off = %v the outsider was told: %v", off, told)
		}
	}
}

// listening returns where a member that runs accepts connections.
func (n *Node) listening() []ma.Multiaddr {
	heard := make(chan []ma.Multiaddr, 1)
	if err := n.call(context.Background(), func(e *engine) { heard <- e.n.host.Network().ListenAddresses() }); err != nil {
		return nil
	}
	return <-heard
}
