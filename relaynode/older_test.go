package relaynode

import (
	"testing"

	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// TestOlderConnectionIsClosed has a member come back over a new connection while its old one still stands, as after a
// change of its address: the old one goes, so that nothing is sent into it. A living process is told before.
func TestOlderConnectionIsClosed(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n := startRelay(t, relayConfig(g))
	old := join(t, g, "A", n)
	old.roundTrip() // its session has begun there too
	join(t, g, "A", n)
	await(old, func(m *wire.Refusal) bool { return m.Code == wire.RefusedReplaced })
	eventually(t, "the old connection is closed", func() bool { return len(old.host.Network().ConnsToPeer(n.Peer())) == 0 })
	eventually(t, "one connection is left", func() bool { return len(n.host.Network().ConnsToPeer(old.id.Cert.Peer)) == 1 })
	if got := n.count.get("connection-replaced"); got != 1 {
		t.Errorf("%d connections were counted as replaced", got)
	}
}

// sessionStreams returns how many session streams of a peer are open.
func sessionStreams(n *Node, p peer.ID) (open int) {
	for _, c := range n.host.Network().ConnsToPeer(p) {
		for _, s := range c.GetStreams() {
			if s.Protocol() == overlay.SessionProtocol {
				open++
			}
		}
	}
	return open
}

// TestReplacedIsToldThoughItReadsLate: why a session ends reaches a member that was too busy to read it when it ended.
func TestReplacedIsToldThoughItReadsLate(t *testing.T) {
	for name, listen := range map[string]string{"TCP": "/ip4/127.0.0.1/tcp/0", "QUIC": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(name, func(t *testing.T) {
			g := pkitest.NewGroup(t, "A", "B")
			cfg := relayConfig(g)
			cfg.Listen = []ma.Multiaddr{ma.StringCast(listen)}
			n := startRelay(t, cfg)
			id := g.Member("A")
			h := newHost(t, id.Identity)
			connect(t, h, n)
			old, err := initiate(h, n, sessionConfig(g, id, g.Roster))
			if err != nil {
				t.Fatal(err)
			}
			defer old.Abort()
			eventually(t, "the first session has begun", func() bool { return n.table.online(id.Cert.Peer) })
			// Over the same connection: an older one is closed, and what is on its way in it goes with it.
			if _, err := handshake(t, g, id, h, n, sessionConfig(g, id, g.Roster)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "its stream has ended", func() bool { return sessionStreams(n, id.Cert.Peer) == 1 })
			for {
				m, err := old.Receive()
				if err != nil {
					t.Fatalf("the session ended (%v) without a reason", err)
				}
				if r, ok := m.(*wire.Refusal); ok {
					if r.Code != wire.RefusedReplaced {
						t.Fatalf("the reason is %v", r.Code)
					}
					return
				}
			}
		})
	}
}
