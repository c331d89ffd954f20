package relaynode

import (
	"testing"

	"conclave/overlay/wire"
	"conclave/pki/pkitest"
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
	if n.count.get(closeOlder) != 1 {
		t.Errorf("%d connections were counted as replaced", n.count.get(closeOlder))
	}
}

// TestOlderConnectionStays is the same without the defence.
func TestOlderConnectionStays(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	cfg := relayConfig(g)
	cfg.defences.keepOldConns = true
	n := startRelay(t, cfg)
	old := join(t, g, "A", n)
	old.roundTrip()
	join(t, g, "A", n)
	<-old.over
	if got := len(n.host.Network().ConnsToPeer(old.id.Cert.Peer)); got != 2 {
		t.Errorf("%d connections, want both", got)
	}
}
