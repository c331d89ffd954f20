package relaynode

import (
	"testing"
	"time"

	"conclave/overlay/wire"
	"conclave/pki/pkitest"
)

// TestQuietMemberIsNotPresent has a member say nothing for a while: the others are told that it is not there, its session
// stays, and with its first word it is there again.
func TestQuietMemberIsNotPresent(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	cfg := relayConfig(g)
	cfg.Limits.Quiet = 400 * time.Millisecond
	n := startRelay(t, cfg)

	a := pinging(t, g, "A", n, 50*time.Millisecond)
	b := pinging(t, g, "B", n, time.Hour)
	last := 0 // how many are present, as A was told last
	told := func(want int) func() bool {
		return func() bool {
			for m, ok := take[*wire.Presence](a, nil); ok; m, ok = take[*wire.Presence](a, nil) {
				last = len(m.Online)
			}
			return last == want
		}
	}
	eventually(t, "B is not there any more", func() bool {
		status, err := n.Status(t.Context())
		return err == nil && status.Members[0].Online && !status.Members[1].Online
	})
	eventually(t, "A is told so", told(1))
	for last != 2 { // B may fall silent again before A is told that it is back
		b.roundTrip()
		for range 10 {
			if told(2)() {
				break
			}
			a.roundTrip()
		}
	}
	if n.count.get(closeReplaced) != 0 || b.conn.Err() != nil {
		t.Errorf("the silent member's session ended: %v", b.conn.Err())
	}
}

// pinging is join with a session that pings that often.
func pinging(t *testing.T, g *pkitest.Group, role string, n *Node, every time.Duration) *client {
	t.Helper()
	id := g.Member(role)
	cfg := sessionConfig(g, id, g.Roster)
	cfg.Ping = every
	h := newHost(t, id.Identity)
	connect(t, h, n)
	c, err := handshake(t, g, id, h, n, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
