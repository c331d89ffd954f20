package relaynode

import (
	"context"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
)

// Somebody connects and stays silent, to hold connections and what they cost.
func TestAttackSilentConnection(t *testing.T) {
	for name, who := range map[string]func(t *testing.T, g *pkitest.Group, n *Node) host.Host{
		"outsider": func(t *testing.T, _ *pkitest.Group, n *Node) host.Host {
			return newHost(t, pkitest.NewIdentity(t))
		},
		"member without handshake": func(t *testing.T, g *pkitest.Group, n *Node) host.Host {
			return newHost(t, g.Member("A").Identity)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := pkitest.NewGroup(t, "A", "B")
			cfg := relayConfig(g)
			cfg.Limits.Admission = 150 * time.Millisecond
			n := startRelay(t, cfg)
			h := who(t, g, n)
			connect(t, h, n)
			eventually(t, "the connection is closed", func() bool { return h.Network().Connectedness(n.Peer()) == network.NotConnected })
		})
	}
}

// A member begins the handshake and never finishes it.
func TestAttackUnfinishedHandshake(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	cfg := relayConfig(g)
	cfg.Limits.Admission = 200 * time.Millisecond
	n := startRelay(t, cfg)
	h := newHost(t, g.Member("A").Identity)
	connect(t, h, n)
	s, err := overlay.OpenStream(context.Background(), h, n.Peer(), overlay.SessionProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte{byte(wire.TypeHello)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection is closed", func() bool { return h.Network().Connectedness(n.Peer()) == network.NotConnected })
}

// Whoever has a session keeps its connection, and one that lost it gets its time anew.
func TestAdmittedConnectionStays(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	cfg := relayConfig(g)
	cfg.Limits.Admission = 150 * time.Millisecond
	n := startRelay(t, cfg)
	a := join(t, g, "A", n)
	if soon(func() bool { return a.host.Network().Connectedness(n.Peer()) == network.NotConnected }) {
		t.Fatal("a member with a session was disconnected")
	}
	a.conn.Abort()
	eventually(t, "the connection without its session is closed", func() bool {
		return a.host.Network().Connectedness(n.Peer()) == network.NotConnected
	})
}

func TestAdmissionTakesTenSecondsByDefault(t *testing.T) {
	if got := (Limits{}).withDefaults().Admission; got != 10*time.Second {
		t.Errorf("a silent connection is closed after %v", got)
	}
}
