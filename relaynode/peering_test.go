package relaynode

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"conclave/overlay/wire"
	"conclave/pki/authority"
	"conclave/pki/pkitest"
	"conclave/relaynode/backlog"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// newGroup returns a group with that many relay nodes.
func newGroup(t testing.TB, relays int, roles ...wire.Role) *pkitest.Group {
	t.Helper()
	return pkitest.New(t, pkitest.Config{Roles: roles, Relays: relays})
}

// pair starts two relay nodes, of which the second dials the first, and returns when they have a session.
func pair(t testing.TB, g *pkitest.Group, change ...func(i int, cfg *Config)) (one, two *Node) {
	t.Helper()
	var nodes []*Node
	for i := range 2 {
		cfg := relayConfigOf(g, i)
		if i > 0 {
			cfg.Peers = one.Addrs()
		}
		for _, c := range change {
			c(i, &cfg)
		}
		n := startRelay(t, cfg)
		nodes = append(nodes, n)
		one = nodes[0]
	}
	linked(t, nodes...)
	return nodes[0], nodes[1]
}

// linked returns when each relay node has a session with each other one, in the topic too.
func linked(t testing.TB, nodes ...*Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, n := range nodes {
		for _, other := range nodes {
			if n == other {
				continue
			}
			eventually(t, "a session between the relay nodes", func() bool { return n.peers.Linked(other.Peer()) })
			if err := n.topic.Meshed(ctx, other.Peer()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (c *client) sees(online ...string) {
	c.t.Helper()
	var want []peer.ID
	for _, role := range online {
		want = append(want, c.g.Member(role).Cert.Peer)
	}
	slices.Sort(want)
	await(c, func(p *wire.Presence) bool { return slices.Equal(p.Online, want) })
}

// Members at different relay nodes see each other, and what one publishes reaches the other and both backlogs.
func TestRelayNodesTogether(t *testing.T) {
	g := newGroup(t, 2, "A", "C")
	one, two := pair(t, g)
	a, c := join(t, g, "A", one), join(t, g, "C", two)
	a.sees("A", "C")
	c.sees("A", "C")
	topicA, topicC := joinTopic(t, g, a.host), joinTopic(t, g, c.host)
	warmUp(t, g, "A", topicA, topicC)
	data := signed(t, g, "A", frame(0, 0, 7, 'x'))
	publish(t, topicA, data)
	if got := receive(t, topicC); !bytes.Equal(got, data) {
		t.Error("something else came")
	}
	await(a, func(s *wire.Stored) bool { return slices.Contains(s.IDs, wire.BatchIDOf(data)) })
	for _, n := range []*Node{one, two} {
		eventually(t, "the batch is in the backlog", func() bool { return holds(t, n, "A", 7) })
	}
	c.conn.Abort()
	a.sees("A")
}

// holds reports whether a relay node's backlog has a frame of testPrefix and start 0.
func holds(t testing.TB, n *Node, role string, counter uint32) bool {
	t.Helper()
	m, ok := n.roster.Load().Member(wire.Role(role))
	if !ok {
		t.Fatalf("no member %s", role)
	}
	chain := backlog.Chain{Prefix: testPrefix, Signer: m.Peer}
	missing, err := n.backlog.Missing(context.Background(), backlog.Range{Chain: chain, From: counter, To: counter})
	if err != nil {
		t.Fatal(err)
	}
	return len(missing) == 0
}

// Mail for a member that is at another relay node goes there, and stays where it lies until the member has it.
func TestMailIsForwarded(t *testing.T) {
	g := newGroup(t, 2, "A", "C")
	one, two := pair(t, g)
	a := join(t, g, "A", one)
	if v := a.deposit(1, "C", "before C came"); v != wire.VerdictStored {
		t.Fatal(v)
	}
	c := join(t, g, "C", two)
	before := c.mail()
	a.sees("A", "C")
	if v := a.deposit(2, "C", "since C came"); v != wire.VerdictStored {
		t.Fatal(v)
	}
	since := c.mail()
	if string(before.Payload) != "before C came" || string(since.Payload) != "since C came" || since.From != a.id.Cert.Peer {
		t.Errorf("mail %q and %q", before.Payload, since.Payload)
	}
	if n := items(t, one); n != 2 {
		t.Errorf("%d mails are kept until C has them, want 2", n)
	}
	c.send(&wire.DeliveryAck{IDs: []wire.MailID{before.ID, since.ID}})
	eventually(t, "the mail is deleted", func() bool { return items(t, one) == 0 })
	if n := items(t, two); n != 0 {
		t.Errorf("%d mails are kept where they were not deposited", n)
	}
}

// Mail that was forwarded and not acknowledged is forwarded again, and delivered where the member goes.
func TestForwardedMailIsNotLost(t *testing.T) {
	g := newGroup(t, 2, "A", "C")
	one, two := pair(t, g, func(_ int, cfg *Config) { cfg.Limits.MailWindow = 200 * time.Millisecond })
	a := join(t, g, "A", one)
	a.deposit(1, "C", "a share")
	c := join(t, g, "C", two)
	for range 2 { // C does not acknowledge
		if m := c.mail(); string(m.Payload) != "a share" {
			t.Fatalf("mail %q", m.Payload)
		}
	}
	c.conn.Abort()
	moved := join(t, g, "C", one)
	m := moved.mail()
	moved.send(&wire.DeliveryAck{IDs: []wire.MailID{m.ID}})
	eventually(t, "the mail is deleted", func() bool { return items(t, one) == 0 })
}

// What one relay node missed while it was away, or while the two did not hear each other, it copies: also in the middle.
func TestBacklogIsCopied(t *testing.T) {
	for _, disk := range []bool{false, true} {
		t.Run(fmt.Sprintf("disk %v", disk), func(t *testing.T) {
			g := newGroup(t, 2, "A", "C")
			config := func(i int) Config {
				cfg := relayConfigOf(g, i)
				if disk {
					cfg.StatePath = filepath.Join(t.TempDir(), "state.db")
				}
				return cfg
			}
			one, two := startRelay(t, config(0)), startRelay(t, config(1))
			a, c := join(t, g, "A", one), join(t, g, "C", two)
			var ofA [][]byte
			for i := range uint32(40) {
				ofA = append(ofA, signed(t, g, "A", frame(0, 0, i, 'a')))
			}
			store(a, ofA...)
			store(c, ofA[0], ofA[5], ofA[39]) // the other has some
			store(c, signed(t, g, "C", frame(0, 0, 0, 'c')))
			if holds(t, two, "A", 3) || holds(t, one, "C", 0) {
				t.Fatal("they hear each other already: the test shows nothing")
			}
			next := g.Reissue(func(d *authority.Draft) { d.SetRelay(g.Relay(0).Cert, one.Addrs()) })
			if err := two.TakeRoster(next.Envelope); err != nil {
				t.Fatal(err)
			}
			linked(t, one, two)
			eventually(t, "the first has what came to the second", func() bool { return holds(t, one, "C", 0) })
			for i := range uint32(40) {
				eventually(t, "the second has what came to the first", func() bool { return holds(t, two, "A", i) })
			}
			if n := two.count.get("copy-too-old"); n != 0 {
				t.Errorf("%d copies were too old", n)
			}
		})
	}
}

// A copy lives no longer than what it was made from.
func TestCopyKeepsItsAge(t *testing.T) {
	g := newGroup(t, 2, "A")
	var late time.Duration
	now := func() time.Time { return time.Now().Add(late) }
	limit := func(_ int, cfg *Config) { cfg.Now = now; cfg.Limits.Backlog = backlog.DefaultLimits() }
	cfg := relayConfigOf(g, 0)
	limit(0, &cfg)
	one := startRelay(t, cfg)
	a := join(t, g, "A", one)
	store(a, signed(t, g, "A", frame(0, 0, 0, 'a')))
	late = 20 * 24 * time.Hour // of 30
	cfg = relayConfigOf(g, 1)
	limit(1, &cfg)
	cfg.Peers = one.Addrs()
	two := startRelay(t, cfg)
	eventually(t, "the batch is copied", func() bool { return holds(t, two, "A", 0) })
	if n, err := two.backlog.Expire(context.Background(), now().Add(11*24*time.Hour)); err != nil || n != 1 {
		t.Errorf("%d expired, %v, want 1", n, err)
	}
}

// store gives batches on the session stream and returns when they are durable.
func store(c *client, batches ...[]byte) {
	c.t.Helper()
	c.send(&wire.Store{Batches: batches})
	await(c, func(s *wire.Stored) bool { return slices.Contains(s.IDs, wire.BatchIDOf(batches[len(batches)-1])) })
}

// A newer roster goes from one relay node to the other. One that leaves a relay node out ends its session.
func TestRosterSpreadsBetweenRelayNodes(t *testing.T) {
	g := newGroup(t, 2, "A")
	one, two := pair(t, g)
	next := g.Reissue(nil)
	if err := one.TakeRoster(next.Envelope); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other has the roster", func() bool { return two.roster.Load().Version == next.Version })
	next = g.Reissue(func(d *authority.Draft) {
		if err := d.RemoveRelay("relay2"); err != nil {
			t.Fatal(err)
		}
	})
	if err := one.TakeRoster(next.Envelope); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session ended", func() bool { return !one.peers.Linked(two.Peer()) })
	eventually(t, "the connection is closed", func() bool { return len(one.host.Network().ConnsToPeer(two.Peer())) == 0 })
}

// Both dial at once: one session is left, and both sides mean the same.
func TestRelayNodesDialEachOther(t *testing.T) {
	g := newGroup(t, 2, "A")
	var addrs [2][]ma.Multiaddr
	for i := range 2 { // ports that are free, at an address from which nothing dials
		cfg := relayConfigOf(g, i)
		cfg.Listen = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.3/tcp/0")}
		n, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		addrs[i] = n.Addrs()
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	nodes := make([]*Node, 2)
	for i := range 2 {
		cfg := relayConfigOf(g, i)
		at, _ := ma.SplitLast(addrs[i][0])
		cfg.Listen, cfg.Peers = []ma.Multiaddr{at}, addrs[1-i]
		nodes[i] = startRelay(t, cfg)
	}
	linked(t, nodes...)
	eventually(t, "one session is left", func() bool {
		a, one := nodes[0].peers.Link(nodes[1].Peer())
		b, two := nodes[1].peers.Link(nodes[0].Peer())
		return one && two && a.Dialled != b.Dialled && a.Err == nil && b.Err == nil
	})
	// When one goes away and comes back, so does the session.
	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session ended", func() bool { return !nodes[1].peers.Linked(nodes[0].Peer()) })
	cfg := relayConfigOf(g, 0)
	at, _ := ma.SplitLast(addrs[0][0])
	cfg.Listen = []ma.Multiaddr{at}
	linked(t, startRelay(t, cfg), nodes[1])
}
