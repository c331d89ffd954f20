package relaynode

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/keystore"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// rawSession opens the session protocol without a handshake.
func rawSession(t testing.TB, h host.Host, n *Node) network.Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := overlay.OpenStream(ctx, h, n.Peer(), overlay.SessionProtocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Reset() })
	return s
}

// items returns how much mail lies at the relay node.
func items(t testing.TB, n *Node) int {
	t.Helper()
	s, err := n.mail.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s.Items
}

// Somebody deposits, stores and fetches without a handshake. The control does the same after one.
func TestAttackSessionWithoutHandshake(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n := startRelay(t, relayConfig(g))
	requests := []wire.Message{
		&wire.Deposit{Seq: 1, Items: []wire.MailItem{{To: g.Member("B").Cert.Peer, Kind: wire.KindShare, Payload: []byte("x")}}},
		&wire.Store{Batches: [][]byte{signed(t, g, "A", frame(0, 0, 0, 'x'))}},
		&wire.Fetch{Seq: 2, Prefix: testPrefix, To: 1, Signer: signerOf(g, "A")},
	}
	for name, h := range map[string]host.Host{"outsider": newHost(t, pkitest.NewIdentity(t)), "member": newHost(t, g.Member("A").Identity)} {
		connect(t, h, n)
		for _, m := range requests {
			s := rawSession(t, h, n)
			raw, err := wire.AppendMessage(nil, m)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(raw); err != nil {
				continue // refused already
			}
			if answer, err := io.ReadAll(s); err == nil || len(answer) > 0 {
				t.Errorf("%s: a %T without handshake was answered with %d bytes, %v", name, m, len(answer), err)
			}
		}
	}
	if got := items(t, n); got != 0 {
		t.Fatalf("%d mails were stored", got)
	}
	a := join(t, g, "A", n)
	for _, m := range requests {
		a.send(m)
	}
	await[*wire.DepositResult](a, nil)
	await[*wire.Stored](a, nil)
	if f := await[*wire.Fetched](a, nil); len(f.Batches) != 1 || items(t, n) != 1 {
		t.Fatalf("after a handshake: fetched %d, %d mails", len(f.Batches), items(t, n))
	}
}

// An outsider with a certificate of his own making opens a session.
func TestAttackOutsiderOpensSession(t *testing.T) {
	g, own := pkitest.NewGroup(t, "A", "B"), pkitest.NewGroup(t, "A", "B")
	n := startRelay(t, relayConfig(g))
	id := own.Member("A")
	h := newHost(t, id.Identity)
	connect(t, h, n)
	_, err := handshake(t, g, id, h, n, sessionConfig(g, id, g.Roster))
	if err == nil {
		t.Error("the attack works")
	}
	eventually(t, "the refusal is counted", func() bool { return n.count.get(handshakeFailed) > 0 })
	if n.table.online(h.ID()) {
		t.Error("the outsider has a session")
	}
}

// B presents A's certificate, which is no secret, to read A's mailbox.
func TestAttackMailboxReadByAnotherMember(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B", "C")
	n := startRelay(t, relayConfig(g))
	item := wire.MailItem{To: g.Member("A").Cert.Peer, Kind: wire.KindShare, Payload: []byte("for A alone")}
	if _, err := n.mail.Deposit(context.Background(), g.Member("C").Cert.Peer, []wire.MailItem{item}, time.Now()); err != nil {
		t.Fatal(err)
	}
	b := g.Member("B")
	h := newHost(t, b.Identity)
	connect(t, h, n)
	forged := sessionConfig(g, &keystore.Member{Papers: keystore.Papers{Cert: g.Member("A").Cert, Identity: b.Identity}}, g.Roster)
	spy, err := handshake(t, g, b, h, n, forged)
	if err == nil && soon(func() bool { _, ok := take[*wire.Delivery](spy, nil); return ok }) {
		t.Error("the attack works")
	}
	honest := join(t, g, "B", n)
	honest.roundTrip()
	if _, ok := take[*wire.Delivery](honest, nil); ok {
		t.Error("B was handed A's mail in a session of its own")
	}
}

// twoFaced is a session that proved another peer than its certificate names.
type twoFaced struct {
	peer peer.ID
	cert *pki.Certificate
}

func (c twoFaced) Peer() peer.ID            { return c.peer }
func (c twoFaced) Remote() *pki.Certificate { return c.cert }

// Whoever shows another's certificate is who the secure channel proved.
func TestAttackAnothersCertificateIsShown(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	b := g.Member("B").Cert.Peer
	if proven(twoFaced{b, g.Member("A").Cert}) != b {
		t.Error("the attack works")
	}
}

// B acknowledges A's mail, so that A never gets it.
func TestAttackMailDeletedByAnotherMember(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B", "C")
	n := startRelay(t, relayConfig(g))
	c, b := join(t, g, "C", n), join(t, g, "B", n)
	c.deposit(1, "A", "for A alone")
	id := wire.MailIDOf(c.id.Cert.Peer, g.Member("A").Cert.Peer, wire.KindShare, []byte("for A alone"))
	b.send(&wire.DeliveryAck{IDs: []wire.MailID{id}})
	b.roundTrip()
	if items(t, n) != 1 {
		t.Error("the attack works")
	}
}

// A hostile relay node of the roster hands a member's handshake on to another relay node, byte for byte and live, to be
// taken there for that member.
func TestAttackHelloForwardedBetweenRelayNodes(t *testing.T) {
	g := pkitest.New(t, pkitest.Config{Roles: []wire.Role{"A", "B"}, Relays: 2})
	n := startRelay(t, relayConfig(g))

	hostile, err := overlay.NewHost(overlay.HostConfig{Identity: g.Relay(1).Identity, Listen: relayConfig(g).Listen, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hostile.Close() })
	connect(t, hostile, n)
	forward := overlay.HandleStream(hostile, overlay.SessionProtocol, overlay.StreamLimits{Service: "hostile"}, func(ctx context.Context, in network.Stream) error {
		return pipe(ctx, hostile, n.Peer(), in)
	}, quiet())
	t.Cleanup(forward.Close)

	a := g.Member("A")
	h := newHost(t, a.Identity)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := overlay.Connect(ctx, h, peer.AddrInfo{ID: hostile.ID(), Addrs: hostile.Addrs()}); err != nil {
		t.Fatal(err)
	}
	s, err := overlay.OpenStream(ctx, h, hostile.ID(), overlay.SessionProtocol)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := session.Initiate(ctx, s, sessionConfig(g, a, g.Roster))
	if err == nil {
		defer conn.Abort()
	}
	taken := soon(func() bool { return n.table.online(a.Cert.Peer) || n.table.online(hostile.ID()) })
	if taken {
		t.Error("the attack works")
	}
}

// pipe copies bytes both ways between a stream and a new one to another peer.
func pipe(ctx context.Context, h host.Host, to peer.ID, in network.Stream) error {
	out, err := overlay.OpenStream(ctx, h, to, overlay.SessionProtocol)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(in, out)
		_ = in.Reset()
	}()
	_, err = io.Copy(out, in)
	_ = out.Reset()
	<-done
	return err
}

// A hello that was recorded is sent again: by the member who made it, and by another one.
func TestAttackRecordedHello(t *testing.T) {
	for _, by := range []string{"A", "B"} {
		t.Run("by "+by, func(t *testing.T) {
			g := pkitest.NewGroup(t, "A", "B")
			n := startRelay(t, relayConfig(g))
			recorded := recordHello(t, g, n)
			h := newHost(t, g.Member(by).Identity)
			connect(t, h, n)
			s := rawSession(t, h, n)
			if _, err := s.Write(recorded); err != nil {
				t.Fatal(err)
			}
			m, err := wire.ReadMessage(bufio.NewReader(s), wire.TypeHelloReply, wire.TypeRefusal)
			_, answered := m.(*wire.HelloReply)
			if err == nil && answered {
				t.Error("the attack works")
			}
		})
	}
}

// tape is a stream that keeps the first thing that is written to it.
type tape struct {
	network.Stream
	first []byte
}

// Write implements network.Stream.
func (t *tape) Write(b []byte) (int, error) {
	if t.first == nil {
		t.first = bytes.Clone(b)
	}
	return t.Stream.Write(b)
}

// recordHello returns the bytes of the hello with which A completes a handshake.
func recordHello(t testing.TB, g *pkitest.Group, n *Node) []byte {
	t.Helper()
	a := g.Member("A")
	h := newHost(t, a.Identity)
	connect(t, h, n)
	recorder := &tape{Stream: rawSession(t, h, n)}
	conn, err := session.Initiate(context.Background(), recorder, sessionConfig(g, a, g.Roster))
	if err != nil {
		t.Fatal(err)
	}
	conn.Abort()
	_ = h.Close()
	return recorder.first
}
