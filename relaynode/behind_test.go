package relaynode

import (
	"bytes"
	"slices"
	"testing"

	"conclave/overlay"
	"conclave/overlay/wire"
)

// A relay node behind another one offers session, mailbox, backlog and topic over a circuit through it.
func TestBehindAnotherRelayNode(t *testing.T) {
	g := newGroup(t, 2, "A", "B")
	outer, inner := pair(t, g, func(i int, cfg *Config) {
		if i == 1 {
			cfg.Via, cfg.Peers = cfg.Peers, nil
		}
	})
	eventually(t, "the inner one has a slot", func() bool { return outer.door.Reserved(inner.Peer()) })
	through := func(role string) *client {
		id := g.Member(role)
		h := newHost(t, id.Identity)
		if err := tryCircuit(outer, h, inner.Peer()); err != nil {
			t.Fatal(err)
		}
		if overlay.Direct(h, inner.Peer()) {
			t.Fatal("the connection is direct")
		}
		c, err := handshake(t, g, id, h, inner, sessionConfig(g, id, g.Roster))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := through("A"), through("B")
	if v := a.deposit(1, "B", "a share"); v != wire.VerdictStored {
		t.Fatal(v)
	}
	m := b.mail()
	b.send(&wire.DeliveryAck{IDs: []wire.MailID{m.ID}})
	topicA, topicB := joinTopic(t, g, a.host), joinTopic(t, g, b.host)
	warmUp(t, g, "A", topicA, topicB)
	data := signed(t, g, "A", frame(0, 0, 0, 'x'))
	publish(t, topicA, data)
	if got := receive(t, topicB); !bytes.Equal(got, data) {
		t.Error("something else came")
	}
	await(a, func(s *wire.Stored) bool { return slices.Contains(s.IDs, wire.BatchIDOf(data)) })
	b.send(&wire.Fetch{Seq: 7, Prefix: testPrefix, Signer: signerOf(g, "A")})
	if f := await(b, func(f *wire.Fetched) bool { return f.Seq == 7 }); len(f.Batches) != 1 || !bytes.Equal(f.Batches[0], data) {
		t.Errorf("fetched %d batches", len(f.Batches))
	}
	eventually(t, "the mail is gone", func() bool { return items(t, inner) == 0 })
}
