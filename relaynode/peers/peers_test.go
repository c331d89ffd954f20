package peers_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/batch"
	"conclave/overlay/durable"
	"conclave/overlay/overlaytest"
	"conclave/overlay/session"
	"conclave/overlay/topic"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/pkitest"
	"conclave/relaynode/backlog"
	"conclave/relaynode/door"
	"conclave/relaynode/mailbox"
	"conclave/relaynode/news"
	"conclave/relaynode/peers"
	"conclave/relaynode/serve"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errClosed = errors.New("the test is over")

// relay is a relay node that has a Peers and stores, and as members' sessions what the test says.
type relay struct {
	t       testing.TB
	g       *pkitest.Group
	host    host.Host
	peers   *peers.Peers
	mail    mailbox.Store
	backlog backlog.Store
	news    news.Source

	mu      sync.Mutex
	members map[peer.ID]*member // guarded by mu
	counts  map[string]int      // guarded by mu
	offered [][]byte            // guarded by mu; rosters
}

// member is a member's session.
type member struct {
	handed peers.ForeignMail
	got    chan wire.Message
}

// Offer implements peers.Member.
func (m *member) Offer(msg wire.Message) error { m.got <- msg; return nil }

// Handed implements peers.Member.
func (m *member) Handed() *peers.ForeignMail { return &m.handed }

// Present implements peers.Members.
func (r *relay) Present() []peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.members))
}

// Heard implements peers.Members.
func (r *relay) Heard(p peer.ID) bool { _, ok := r.Session(p); return ok }

// Session implements peers.Members.
func (r *relay) Session(p peer.ID) (peers.Member, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[p]
	return m, m != nil
}

// Read implements peers.Batches.
func (r *relay) Read(data []byte) (backlog.Entry, error) {
	b, err := batch.Verify(topic.Name(r.g.Group.ID), data)
	if err != nil {
		return backlog.Entry{}, errors.New("forged")
	}
	signer, err := wire.PeerIDOf(b.Sender)
	if err != nil {
		return backlog.Entry{}, err
	}
	frames, err := b.FrameHeaders()
	return backlog.Entry{ID: wire.BatchIDOf(data), Signer: signer, Data: data, Frames: frames}, err
}

// Append implements peers.Batches.
func (r *relay) Append(ctx context.Context, entries []backlog.Entry, _ string) error {
	_, err := r.backlog.Append(ctx, entries, time.Now())
	r.news.Heads.Changed()
	return err
}

// start runs one of a group's relay nodes until the test ends.
func start(t testing.TB, g *pkitest.Group, i int, known ...ma.Multiaddr) *relay {
	t.Helper()
	db, err := durable.OpenMemory([]durable.Schema{mailbox.Schema(), backlog.Schema()}, durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	r := &relay{t: t, g: g, members: map[peer.ID]*member{}, counts: map[string]int{}}
	r.mail, r.backlog = mailbox.NewSQLite(db, mailbox.Fixed(mailbox.DefaultLimits(4))), backlog.NewSQLite(db, backlog.DefaultLimits())
	roster := func() *pki.Roster { return g.Roster }
	r.news = news.Source{Roster: roster, Heads: news.NewHeads(r.backlog)}
	log := slog.New(slog.DiscardHandler)
	closing, stop := context.WithCancelCause(context.Background())
	id := g.Relay(i)
	r.host = overlaytest.NewHost(t, id.Identity)
	d := door.New(door.Config{
		Roster: roster, HasSession: func(p peer.ID) bool { return true }, Count: func(name string) { r.count(name, 1) }, Log: log,
		Limits: door.Limits{Admission: time.Hour, Requests: 1000, Bytes: 1 << 20, Fetches: 1 << 20},
	})
	d.Watch(r.host.Network())
	r.peers = peers.New(peers.Config{
		Handshake: session.Config{
			Group: g.Group, Cert: id.Cert.DER, Identity: id.Identity, Roster: roster, Now: time.Now, Database: db.ID(),
			Nonces: session.NewNonceCache(), Log: log, Timeout: overlaytest.Patience,
		},
		Roster: roster, Known: known, Members: r, Batches: r, Mail: r.mail, Backlog: r.backlog, Door: d, News: r.news,
		TakeRoster: r.takeRoster, Presence: func() { r.count("presence", 1) }, Closing: closing, Count: r.count, Now: time.Now, Log: log,
		Limits: peers.Limits{
			Admission: overlaytest.Patience, Send: overlaytest.Patience, Heads: time.Millisecond, MailWindow: 200 * time.Millisecond,
			MailPage: 1 << 16, Streams: 16, Backlog: backlog.DefaultLimits(),
		},
	})
	r.peers.Open(r.host)
	ended := make(chan struct{})
	running, cancel := context.WithCancel(context.Background())
	go func() { defer close(ended); r.peers.Run(running) }()
	t.Cleanup(func() {
		stop(errClosed)
		cancel()
		<-ended
		r.peers.Close()
		d.Close()
	})
	return r
}

func (r *relay) takeRoster(msg *wire.RosterUpdate, _ string) serve.Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offered = append(r.offered, msg.Envelope)
	return serve.Verdict{}
}

func (r *relay) count(name string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[name] += n
}

func (r *relay) counted(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[name]
}

// addrs returns where a relay node can be dialled.
func (r *relay) addrs() []ma.Multiaddr {
	all, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: r.host.ID(), Addrs: r.host.Addrs()})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// enters gives a member a session here, or takes it away.
func (r *relay) enters(role string, enters bool) *member {
	m := &member{got: make(chan wire.Message, 16)}
	p := r.g.Member(role).Cert.Peer
	r.mu.Lock()
	if delete(r.members, p); enters {
		r.members[p] = m
	}
	r.mu.Unlock()
	r.peers.Tell(news.Presence)
	r.peers.Wake(p)
	return m
}

// deposits leaves mail here.
func (r *relay) deposits(from, to, text string) wire.MailID {
	r.t.Helper()
	sender, item := r.g.Member(from).Cert.Peer, wire.MailItem{To: r.g.Member(to).Cert.Peer, Kind: wire.KindShare, Payload: []byte(text)}
	if v, err := r.mail.Deposit(r.t.Context(), sender, []wire.MailItem{item}, time.Now()); err != nil || v[0] != wire.VerdictStored {
		r.t.Fatal(v, err)
	}
	r.peers.Wake(item.To)
	return wire.MailIDOf(sender, item.To, item.Kind, item.Payload)
}

func (r *relay) items() int {
	r.t.Helper()
	s, err := r.mail.Stats(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return s.Items
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(overlaytest.Patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func linked(t testing.TB, a, b *relay) {
	t.Helper()
	eventually(t, "a session", func() bool { return a.peers.Linked(b.host.ID()) && b.peers.Linked(a.host.ID()) })
}

func newGroup(t testing.TB) *pkitest.Group {
	return pkitest.New(t, pkitest.Config{Roles: []wire.Role{"A", "B", "C"}, Relays: 2})
}

// A session tells each side which members are at the other, and ends with a reason when one of them closes.
func TestLinkTellsWhoIsThere(t *testing.T) {
	g := newGroup(t)
	one := start(t, g, 0)
	two := start(t, g, 1, one.addrs()...)
	linked(t, one, two)
	if l, ok := two.peers.Link(one.host.ID()); !ok || !l.Dialled || l.Err != nil || l.Since.IsZero() {
		t.Errorf("the side that dialled says %+v", l)
	}
	if l, ok := one.peers.Link(two.host.ID()); !ok || l.Dialled {
		t.Errorf("the other side says %+v", l)
	}
	two.enters("B", true)
	b := g.Member("B").Cert.Peer
	eventually(t, "B is there", func() bool { return slices.Equal(one.peers.Members(), []peer.ID{b}) && one.counted("presence") > 0 })
	two.enters("B", false)
	eventually(t, "B is gone", func() bool { return len(one.peers.Members()) == 0 })
	_ = two.host.Close()
	eventually(t, "the session ended", func() bool { return !one.peers.Linked(two.host.ID()) })
}

// Mail goes where its recipient is, stays here until that one acknowledges it, and is tried again until then.
func TestMailFollowsItsRecipient(t *testing.T) {
	g := newGroup(t)
	one := start(t, g, 0)
	two := start(t, g, 1, one.addrs()...)
	linked(t, one, two)
	id := one.deposits("A", "C", "for C")
	c := two.enters("C", true)
	for range 2 { // C does not acknowledge
		d := (<-c.got).(*wire.Delivery)
		if len(d.Mails) != 1 || string(d.Mails[0].Payload) != "for C" || d.Mails[0].From != g.Member("A").Cert.Peer {
			t.Fatalf("C is handed %+v", d.Mails)
		}
	}
	if one.items() != 1 || two.items() != 0 {
		t.Errorf("%d and %d mails are kept", one.items(), two.items())
	}
	c.handed.Acknowledge(g.Member("C").Cert.Peer, []wire.MailID{id, {1}})
	eventually(t, "the mail is deleted", func() bool { return one.items() == 0 })
	if one.counted("forward-stall") == 0 {
		t.Error("the second try was not counted")
	}
}

// hostile is a session of a relay node of the roster that says what the test wants.
func hostile(t testing.TB, g *pkitest.Group, i int, to *relay) *session.Conn {
	t.Helper()
	id := g.Relay(i)
	return dial(t, g, id.Identity, id.Cert.DER, to)
}

func dial(t testing.TB, g *pkitest.Group, key ed25519.PrivateKey, cert []byte, to *relay) *session.Conn {
	t.Helper()
	h := overlaytest.NewHost(t, key)
	overlaytest.Connect(t, h, to.host)
	ctx, cancel := context.WithTimeout(t.Context(), overlaytest.Patience)
	defer cancel()
	s, err := overlay.OpenStream(ctx, h, to.host.ID(), overlay.PeerProtocol)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := session.Initiate(ctx, s, session.Config{
		Group: g.Group, Cert: cert, Identity: key, Roster: func() *pki.Roster { return g.Roster }, Now: time.Now,
		Nonces: session.NewNonceCache(), Log: slog.New(slog.DiscardHandler), Peering: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Abort)
	return conn
}

func say(t testing.TB, c *session.Conn, m wire.Message) {
	t.Helper()
	if err := c.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func hear[M wire.Message](t testing.TB, c *session.Conn) M {
	t.Helper()
	for {
		m, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if typed, ok := m.(M); ok {
			return typed
		}
	}
}

// A relay node says that a member has collected mail that was never handed to it: its word counts for nothing.
func TestAttackCollectedWithoutHavingIt(t *testing.T) {
	g := newGroup(t)
	n := start(t, g, 0)
	forB, forC := n.deposits("A", "B", "for B"), n.deposits("A", "C", "for C")
	evil := hostile(t, g, 1, n)
	b, c := g.Member("B").Cert.Peer, g.Member("C").Cert.Peer
	say(t, evil, &wire.Collected{By: b, IDs: []wire.MailID{forB}}) // it says nothing of having B
	say(t, evil, &wire.Presence{Online: []peer.ID{c}})
	if f := hear[*wire.Forward](t, evil); len(f.Mails) != 1 || f.Mails[0].ID() != forC {
		t.Fatalf("it is given %+v", f.Mails)
	}
	say(t, evil, &wire.Collected{By: c, IDs: []wire.MailID{forB, forC}})
	say(t, evil, &wire.Fetch{Seq: 9, Signer: wire.Signer(g.Member("A").Cert.Identity)})
	if r := hear[*wire.Copied](t, evil); r.Seq != 9 { // then all that was said before has been handled
		t.Fatalf("answered with %+v", r)
	}
	mails, err := n.mail.Pending(t.Context(), b, 0, 9)
	if err != nil || len(mails) != 1 || n.items() != 1 || n.counted("collected-not-given") != 2 {
		t.Errorf("B has %d mails, %v; %d in all; %d false words were counted", len(mails), err, n.items(), n.counted("collected-not-given"))
	}
}

// What a relay node says that it holds is fetched, verified and kept, and only what is missing is asked for.
func TestMissingBatchesAreCopied(t *testing.T) {
	g := newGroup(t)
	n := start(t, g, 0)
	key := g.Member("A").Identity
	sign := func(counter uint32) []byte {
		h := wire.FrameHeader{Prefix: wire.Prefix{1}, Counter: counter, Length: wire.ContentHeaderSize + wire.MinBody}
		f := h.Append(nil)
		f = append(f, make([]byte, wire.FrameOverhead+int(h.Length)-len(f))...)
		data, err := batch.Sign(key, topic.Name(g.Group.ID), wire.BatchFrames, [][]byte{f})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	e, err := n.Read(sign(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Append(t.Context(), []backlog.Entry{e}, "test"); err != nil {
		t.Fatal(err)
	}
	other := hostile(t, g, 1, n)
	if h := hear[*wire.Heads](t, other); !h.Full || len(h.Heads) != 1 || h.Heads[0].High != 1 {
		t.Errorf("it is told %+v", h)
	}
	signer := wire.Signer(g.Member("A").Cert.Identity)
	head := wire.Head{Prefix: wire.Prefix{1}, High: 2, Signer: signer}
	stranger := head
	stranger.Signer = wire.Signer(pkitest.NewIdentity(t).Public().(ed25519.PublicKey))
	say(t, other, &wire.Heads{Full: true, Heads: []wire.Head{stranger, head}})
	forged := sign(0)
	forged[len(forged)-1] ^= 1
	for counter, copies := range [][]wire.Copy{{{Batch: forged}, {Batch: sign(0)}}, nil, {{Batch: sign(2), Age: backlog.DefaultAge}}} {
		if counter == 1 {
			continue // it is here
		}
		f := hear[*wire.Fetch](t, other)
		if f.Signer != signer || f.From != uint32(counter) || f.To != uint32(counter) {
			t.Fatalf("it asks for %+v", f)
		}
		say(t, other, &wire.Copied{Seq: f.Seq, Copies: copies})
	}
	eventually(t, "what was good is kept, and the rest is counted", func() bool {
		s, err := n.backlog.Stats(t.Context())
		return err == nil && s.Batches == 2 && n.counted("copy-refused: forged") == 1 && n.counted("copy-too-old") == 1
	})
	say(t, other, &wire.Fetch{Seq: 5, Prefix: wire.Prefix{1}, To: 9, Signer: signer})
	if c := hear[*wire.Copied](t, other); c.Seq != 5 || len(c.Copies) != 2 || c.Copies[0].Age < 0 {
		t.Errorf("it is given %+v", c)
	}
}

// Mail of another relay node is handed on to who is here, within bounds, and none of it is kept.
func TestForwardedMailIsBounded(t *testing.T) {
	g := newGroup(t)
	n := start(t, g, 0)
	b := n.enters("B", true)
	other := hostile(t, g, 1, n)
	mail := func(to, text string) wire.ForwardedMail {
		return wire.ForwardedMail{From: g.Member("A").Cert.Peer, To: g.Member(to).Cert.Peer, Kind: wire.KindShare, Payload: []byte(text)}
	}
	foreign := mail("B", "from nobody")
	foreign.From = other.Peer()
	large := mail("B", string(make([]byte, wire.MaxShareEnvelope+1)))
	say(t, other, &wire.Forward{Mails: []wire.ForwardedMail{mail("C", "C is not here"), foreign, large, mail("B", "for B")}})
	d := (<-b.got).(*wire.Delivery)
	if len(d.Mails) != 1 || string(d.Mails[0].Payload) != "for B" || n.items() != 0 || n.counted("forwarded-mail") != 3 {
		t.Errorf("B is handed %d mails, %d are kept, %d were dropped", len(d.Mails), n.items(), n.counted("forwarded-mail"))
	}
	given := mail("B", "for B")
	b.handed.Acknowledge(g.Member("B").Cert.Peer, []wire.MailID{given.ID()})
	if c := hear[*wire.Collected](t, other); c.By != g.Member("B").Cert.Peer || len(c.IDs) != 1 {
		t.Errorf("it is told %+v", c)
	}
	say(t, other, &wire.RosterUpdate{Envelope: []byte("a roster")})
	eventually(t, "the roster is offered", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.offered) == 1 && string(n.offered[0]) == "a roster"
	})
}

// Who is not in the roster, or is a member, gets no session.
func TestAttackMemberIsNoRelayNode(t *testing.T) {
	g := newGroup(t)
	n := start(t, g, 0)
	for name, papers := range map[string]struct {
		key  ed25519.PrivateKey
		cert []byte
	}{
		"a member":   {g.Member("A").Identity, g.Member("A").Cert.DER},
		"a stranger": {pkitest.NewIdentity(t), g.Relay(1).Cert.DER},
	} {
		h := overlaytest.NewHost(t, papers.key)
		overlaytest.Connect(t, h, n.host)
		s, err := overlay.OpenStream(t.Context(), h, n.host.ID(), overlay.PeerProtocol)
		if err != nil {
			continue // refused already
		}
		_, err = session.Initiate(t.Context(), s, session.Config{
			Group: g.Group, Cert: papers.cert, Identity: papers.key, Roster: func() *pki.Roster { return g.Roster }, Now: time.Now,
			Nonces: session.NewNonceCache(), Log: slog.New(slog.DiscardHandler), Peering: true,
		})
		if err == nil || n.peers.Linked(h.ID()) {
			t.Errorf("%s is taken for a relay node", name)
		}
	}
}
