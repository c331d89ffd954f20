package node

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"conclave/node/reach"
	"conclave/overlay"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// punching has members take loopback for the world, so that they reach each other directly in a test.
func punching(c *Config) {
	reachable(c, manet.IsIPLoopback)
	c.Timing.PunchAfter, c.Timing.PunchRetry = 20*time.Millisecond, 200*time.Millisecond
	c.Listen = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0"), ma.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")}
}

// reachable has a member take for public addresses which ones it says.
func reachable(c *Config, which func(ma.Multiaddr) bool) {
	c.network.host = func(cfg overlay.HostConfig) (host.Host, error) {
		cfg.Reachable = which
		return overlay.NewHost(cfg)
	}
}

// path waits until a member is reached by a path, as the last event about it says.
func (p *person) path(of wire.Role, want Path) Peer {
	p.t.Helper()
	var last Peer
	p.until(fmt.Sprintf("%s to be reached by %q", of, want), func(events []Event) bool {
		for _, e := range all[Peer](events) {
			if e.Role == of {
				last = e
			}
		}
		return last.Role == of && last.Path == want
	})
	return last
}

// TestDirectConnections: members who are here connect to each other without the relay node in between, say so, and talk
// on when it is gone.
func TestDirectConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	w.tune = punching
	a, b, c := w.join("A"), w.join("B"), w.join("C")
	agree(t, abc, a, b, c)
	for _, p := range []*person{a, b, c} {
		for _, of := range abc {
			if of == p.role {
				continue
			}
			if e := p.path(of, ViaLAN); e.Reason == "" { // loopback is no network of somebody else's
				t.Errorf("%s gives no reason for the path to %s", p.role, of)
			}
		}
	}
	who, err := a.run.node.Who(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if m := who.Members[1]; m.Path != ViaLAN || m.Reason == "" {
		t.Errorf("A says of B: %+v", m)
	}
	w.stopRelay()
	a.send("without a relay node")
	b.reads("A", "without a relay node")
	c.reads("A", "without a relay node")
}

// TestDirectConnectionBreaks: while A talks, its direct connections are closed again and again. Nothing is lost, all
// comes in order, and they are made again.
func TestDirectConnectionBreaks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	w.tune = punching
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	var sent []string
	for round := range 3 {
		a.path("B", ViaLAN)
		for i := range 50 {
			sent = append(sent, fmt.Sprintf("%d.%d", round, i))
			a.send(sent[len(sent)-1])
			if i == 20 {
				cutDirect(a.run.node.host, b.run.node.self.Peer)
			}
		}
		b.reads("A", sent...)
	}
	a.path("B", ViaLAN)
	relayed := func(events []Event) bool {
		return slices.ContainsFunc(all[Peer](events), func(e Peer) bool { return e.Online && e.Path == ViaRelay && e.Reason == "the direct connection broke" })
	}
	a.until("the relay path in between", relayed)
}

// cutDirect closes the direct connections to a peer.
func cutDirect(h host.Host, to peer.ID) {
	for _, c := range h.Network().ConnsToPeer(to) {
		if !overlay.IsCircuit(c.RemoteMultiaddr()) {
			_ = c.Close()
		}
	}
}

// TestUnseenMember: without a public address no circuit is opened for hole punching, and the reason says so.
func TestUnseenMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	w.tune = func(c *Config) {
		punching(c)
		reachable(c, func(ma.Multiaddr) bool { return false })
	}
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	for _, p := range []*person{a, b} {
		p.until("the reason", func(events []Event) bool {
			return slices.ContainsFunc(all[Peer](events), func(e Peer) bool {
				return e.Path == ViaRelay && e.Reason == "no public address of this machine is known"
			})
		})
	}
}

// TestAttackOutsiderReachesMemberDirectly has somebody who is not in the roster connect to a member's own port.
func TestAttackOutsiderReachesMemberDirectly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A")
	w.tune = punching
	a := w.join("A")
	a.until("a link", func(events []Event) bool {
		return slices.ContainsFunc(all[Link](events), func(l Link) bool { return l.State == Ready })
	})
	h, err := overlay.NewHost(overlay.HostConfig{Identity: w.outsider(), Log: quiet("outsider")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = overlay.Connect(ctx, h, peer.AddrInfo{ID: a.run.node.self.Peer, Addrs: a.run.node.host.Addrs()})
	// What the member speaks is told by identify, the first thing that a connection is good for.
	spoken, err := h.Peerstore().GetProtocols(a.run.node.self.Peer)
	if err != nil {
		t.Fatal(err)
	}
	if len(spoken) > 0 {
		t.Errorf("the outsider gets an answer: %q", spoken)
	}
}

// TestSharesKeepToTheRing: in a group larger than a member keeps direct connections with, shares for somebody beyond those
// have circuits to go over and nothing else, whatever addresses identify told.
func TestSharesKeepToTheRing(t *testing.T) {
	t.Parallel()
	roles := []string{"A"}
	for i := range reach.MaxNeighbours + 3 {
		roles = append(roles, fmt.Sprintf("M%02d", i))
	}
	w := newWorld(t, roles...)
	a := w.join("A")
	a.until("a link", func(events []Event) bool {
		return slices.ContainsFunc(all[Link](events), func(l Link) bool { return l.State == Ready })
	})
	own, far := ma.StringCast("/ip4/127.0.0.1/tcp/1"), 0
	err := a.run.node.call(t.Context(), func(e *engine) {
		var everybody []peer.ID
		for _, m := range e.roster.Members {
			everybody = append(everybody, m.Peer)
		}
		e.reach.Hint("a test", everybody)
		for _, m := range e.roster.Members {
			if m.Role == e.self {
				continue
			}
			book := e.n.host.Peerstore()
			book.AddAddr(m.Peer, own, time.Minute)
			e.addAddresses(m.Peer)
			direct := slices.ContainsFunc(book.Addrs(m.Peer), func(a ma.Multiaddr) bool { return !overlay.IsCircuit(a) })
			circuit := slices.ContainsFunc(book.Addrs(m.Peer), overlay.IsCircuit)
			beyond := e.reach.Enough(m.Peer)
			if beyond {
				far++
			}
			if direct == beyond || !circuit {
				t.Errorf("%s, beyond the ring %v: %v", m.Role, beyond, book.Addrs(m.Peer))
			}
		}
	})
	if err != nil || far != len(roles)-1-reach.MaxNeighbours {
		t.Errorf("%d members are beyond the ring, want %d; %v", far, len(roles)-1-reach.MaxNeighbours, err)
	}
}
