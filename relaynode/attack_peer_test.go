package relaynode

import (
	"context"
	"fmt"
	"testing"

	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"
	"conclave/pki/keystore"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/peer"
)

// asRelay opens a session between relay nodes with whatever certificate and key it is given.
func asRelay(t testing.TB, g *pkitest.Group, id *keystore.Member, n *Node) (*client, error) {
	t.Helper()
	h := newHost(t, id.Identity)
	connect(t, h, n)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := overlay.OpenStream(ctx, h, n.Peer(), overlay.PeerProtocol)
	if err != nil {
		return nil, err
	}
	cfg := sessionConfig(g, id, g.Roster)
	cfg.Peering = true
	conn, err := session.Initiate(ctx, s, cfg)
	if err != nil {
		return nil, err
	}
	c := &client{t: t, g: g, id: id, host: h, conn: conn, more: make(chan struct{}, 1), over: make(chan struct{})}
	go c.read()
	t.Cleanup(func() { conn.Abort(); <-c.over })
	return c, nil
}

// hostileRelay is a relay node of the roster that does as the test says.
func hostileRelay(t testing.TB, g *pkitest.Group, i int, n *Node) *client {
	t.Helper()
	r := g.Relay(i)
	id := &keystore.Member{Papers: r.Papers}
	c, err := asRelay(t, g, id, n)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// takenForRelay reports whether the relay node comes to take a member for another relay node.
func takenForRelay(n *Node, m *keystore.Member) bool {
	return soon(func() bool { return n.peers.Linked(m.Cert.Peer) })
}

// A member pretends to be a relay node, so as to be told everything and to speak for others' mail.
func TestAttackMemberPretendsToBeRelayNode(t *testing.T) {
	g := newGroup(t, 2, "A", "M")
	n := startRelay(t, relayConfig(g))
	m := g.Member("M")
	_, _ = asRelay(t, g, m, n)
	if takenForRelay(n, m) {
		t.Error("the attack works")
	}
	eventually(t, "the refusal is counted", func() bool { return n.count.get("peering-refused") > 0 })
}

// Somebody shows a relay node's certificate, which is public: a member, and a stranger.
func TestAttackRelayNodesCertificateIsShown(t *testing.T) {
	g := newGroup(t, 2, "A", "M")
	n := startRelay(t, relayConfig(g))
	m := g.Member("M")
	_, _ = asRelay(t, g, &keystore.Member{Papers: keystore.Papers{Cert: g.Relay(1).Cert, Identity: m.Identity}}, n)
	if takenForRelay(n, m) {
		t.Error("the attack works")
	}
	stranger := pkitest.NewIdentity(t)
	if _, err := asRelay(t, g, &keystore.Member{Papers: keystore.Papers{Cert: g.Relay(1).Cert, Identity: stranger}}, n); err == nil {
		t.Error("a stranger is answered")
	}
}

// A member says on its session stream what only relay nodes say to each other.
func TestAttackMemberForwardsMail(t *testing.T) {
	g := newGroup(t, 2, "A", "B", "M")
	for _, msg := range []wire.Message{
		&wire.Forward{Mails: []wire.ForwardedMail{{From: g.Member("A").Cert.Peer, To: g.Member("B").Cert.Peer, Kind: wire.KindShare, Payload: []byte("forged")}}},
		&wire.Collected{By: g.Member("B").Cert.Peer, IDs: make([]wire.MailID, 1)},
		&wire.Presence{Online: []peer.ID{g.Member("B").Cert.Peer}},
		&wire.Copied{Seq: 1},
	} {
		n := startRelay(t, relayConfig(g))
		m, b := join(t, g, "M", n), join(t, g, "B", n)
		m.send(msg)
		<-m.over // the session ends
		b.roundTrip()
		if d, ok := take[*wire.Delivery](b, nil); ok {
			t.Errorf("%s: B was handed %+v", msg.Type(), d)
		}
	}
}

// A hostile relay node says that a member has collected mail, to have it deleted. It can only lose what it was given.
func TestAttackRelayNodeDeletesMail(t *testing.T) {
	g := newGroup(t, 2, "A", "B", "C")
	n := startRelay(t, relayConfig(g))
	a := join(t, g, "A", n)
	a.deposit(1, "B", "for B")
	a.deposit(2, "C", "for C")
	evil := hostileRelay(t, g, 1, n)
	evil.send(&wire.Presence{Online: []peer.ID{g.Member("C").Cert.Peer}})
	f := await[*wire.Forward](evil, nil)
	if len(f.Mails) != 1 || string(f.Mails[0].Payload) != "for C" {
		t.Fatalf("%d mails forwarded", len(f.Mails))
	}
	forB := wire.MailIDOf(a.id.Cert.Peer, g.Member("B").Cert.Peer, wire.KindShare, []byte("for B"))
	evil.send(&wire.Collected{By: g.Member("B").Cert.Peer, IDs: []wire.MailID{forB}})
	evil.send(&wire.Collected{By: g.Member("C").Cert.Peer, IDs: []wire.MailID{f.Mails[0].ID()}})
	eventually(t, "what it was given is gone", func() bool { return items(t, n) == 1 })
	eventually(t, "the false word was counted", func() bool { return n.count.get("collected-not-given") == 1 })
	b := join(t, g, "B", n)
	if m := b.mail(); string(m.Payload) != "for B" {
		t.Errorf("mail %q", m.Payload)
	}
}

// A hostile relay node forges mail, names people who are no members, and gives batches that nobody signed. Nothing of it
// is kept, and members are told of members only.
func TestAttackRelayNodeForges(t *testing.T) {
	g := newGroup(t, 2, "A", "B", "C")
	n := startRelay(t, relayConfig(g))
	b := join(t, g, "B", n)
	evil := hostileRelay(t, g, 1, n)
	stranger := newHost(t, pkitest.NewIdentity(t)).ID()
	evil.send(&wire.Presence{Online: []peer.ID{stranger, g.Relay(0).Cert.Peer, g.Member("C").Cert.Peer}})
	b.sees("B", "C")

	from := g.Member("A").Cert.Peer
	mail := func(to, text string) wire.ForwardedMail {
		return wire.ForwardedMail{From: from, To: g.Member(to).Cert.Peer, Kind: wire.KindShare, Payload: []byte(text)}
	}
	large := mail("B", "")
	large.Payload = make([]byte, wire.MaxShareEnvelope+1)
	foreign := mail("B", "from nobody")
	foreign.From = stranger
	evil.send(&wire.Forward{Mails: []wire.ForwardedMail{mail("A", "A is not here"), large, foreign, mail("B", "forged")}})
	if got := b.mail(); string(got.Payload) != "forged" { // B sees by the signature that it is
		t.Errorf("B was handed %q", got.Payload)
	}
	for round := range 3 * 4096 / 1000 { // far more than may wait for B's acknowledgement
		many := &wire.Forward{}
		for i := range 1000 {
			many.Mails = append(many.Mails, mail("B", fmt.Sprint(round, i)))
		}
		evil.send(many)
	}
	eventually(t, "what was too much was dropped", func() bool { return n.count.get("forwarded-mail") > 1000 })
	if k := items(t, n); k != 0 {
		t.Errorf("%d forged mails are kept", k)
	}

	forged := signed(t, g, "A", frame(0, 0, 0, 'f'))
	forged[len(forged)-1] ^= 1
	real := signed(t, g, "C", frame(2, 0, 0, 'r'))
	evil.send(&wire.Heads{Full: true, Heads: []wire.Head{{Prefix: testPrefix, High: 1 << 30, Signer: signerOf(g, "A")}}})
	ask := await[*wire.Fetch](evil, nil)
	evil.send(&wire.Copied{Seq: ask.Seq, More: true, Copies: []wire.Copy{{Batch: forged}, {Batch: []byte("rubbish")}, {Batch: real}}})
	eventually(t, "the good batch is kept", func() bool {
		heads, _, err := n.backlog.Heads(context.Background(), 0)
		return err == nil && len(heads) == 1 && heads[0].Signer == g.Member("C").Cert.Peer
	})
}

// A relay node uses circuits to members, with whom it has no business. Members reach it, and relay nodes each other.
func TestAttackRelayNodeReachesMember(t *testing.T) {
	g := newGroup(t, 2, "A")
	n := startRelay(t, relayConfig(g))
	a := join(t, g, "A", n)
	evil := hostileRelay(t, g, 1, n)
	for _, c := range []*client{a, evil} {
		if _, err := overlay.Reserve(context.Background(), c.host, n.Peer()); err != nil {
			t.Fatalf("%s: %v", c.id.Cert.Role, err)
		}
	}
	if tryCircuit(n, evil.host, a.host.ID()) == nil {
		t.Error("the attack works")
	}
	if err := tryCircuit(n, a.host, evil.host.ID()); err != nil {
		t.Errorf("a member cannot reach a relay node behind this one: %v", err)
	}
}
