package relaynode

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/batch"
	"conclave/overlay/session"
	"conclave/overlay/topic"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/keystore"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"
)

// patience is how long a test waits for what must come. It is long because the machine may be busy; nothing waits for it
// when all is well.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/libp2p/go-libp2p-pubsub/timecache.background"), // ends at its next tick, once a minute
	)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// logbook is a log that a test can read, from Info on.
type logbook struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

// Enabled implements slog.Handler.
func (*logbook) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements slog.Handler.
func (b *logbook) Handle(_ context.Context, r slog.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, r.Message)
	return nil
}

// WithAttrs implements slog.Handler.
func (b *logbook) WithAttrs([]slog.Attr) slog.Handler { return b }

// WithGroup implements slog.Handler.
func (b *logbook) WithGroup(string) slog.Handler { return b }

// has reports whether a line was logged.
func (b *logbook) has(line string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.lines, line)
}

// relayConfig is the configuration of a test's relay node: one TCP port on loopback, everything in memory.
func relayConfig(g *pkitest.Group) Config { return relayConfigOf(g, 0) }

// relayConfigOf is the same for one of several relay nodes.
func relayConfigOf(g *pkitest.Group, i int) Config {
	id := g.Relay(i)
	return Config{
		Group: g.Group, Certificate: id.Cert.DER, Identity: id.Identity, Roster: g.Roster,
		Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, Log: quiet(),
	}
}

// startRelay runs a relay node until the test ends.
func startRelay(t testing.TB, cfg Config) *Node {
	t.Helper()
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("closing the relay node: %v", err)
		}
		if err := <-ended; err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("running the relay node: %v", err)
		}
	})
	return n
}

// newHost returns a host for a member or for an outsider.
func newHost(t testing.TB, identity ed25519.PrivateKey) host.Host {
	t.Helper()
	h, err := overlay.NewHost(overlay.HostConfig{Identity: identity, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// connect dials the relay node.
func connect(t testing.TB, h host.Host, n *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	infos, err := peer.AddrInfosFromP2pAddrs(n.Addrs()...)
	if err != nil || len(infos) != 1 {
		t.Fatalf("addresses %v: %v", n.Addrs(), err)
	}
	if err := overlay.Connect(ctx, h, infos[0]); err != nil {
		t.Fatal(err)
	}
}

// client is a member's side of a session, as thin as it can be.
type client struct {
	t    testing.TB
	g    *pkitest.Group
	id   *keystore.Member
	host host.Host
	conn *session.Conn

	mu   sync.Mutex
	seen []wire.Message // what came and nobody asked for yet; guarded by mu
	more chan struct{}  // holds one: something came
	over chan struct{}  // closed when the session ended
}

// sessionConfig is what a member brings to the handshake.
func sessionConfig(g *pkitest.Group, id *keystore.Member, roster *pki.Roster) session.Config {
	return session.Config{
		Group: g.Group, Cert: id.Cert.DER, Identity: id.Identity, Roster: func() *pki.Roster { return roster },
		Now: time.Now, Nonces: session.NewNonceCache(), Log: quiet(),
	}
}

// join connects a member to the relay node and completes the handshake.
func join(t testing.TB, g *pkitest.Group, role string, n *Node) *client {
	t.Helper()
	id := g.Member(role)
	h := newHost(t, id.Identity)
	connect(t, h, n)
	c, err := handshake(t, g, id, h, n, sessionConfig(g, id, g.Roster))
	if err != nil {
		t.Fatalf("%s: %v", role, err)
	}
	return c
}

// handshake opens a session over a connected host.
func handshake(t testing.TB, g *pkitest.Group, id *keystore.Member, h host.Host, n *Node, cfg session.Config) (*client, error) {
	t.Helper()
	conn, err := initiate(h, n, cfg)
	if err != nil {
		return nil, err
	}
	c := &client{t: t, g: g, id: id, host: h, conn: conn, more: make(chan struct{}, 1), over: make(chan struct{})}
	go c.read()
	t.Cleanup(func() { conn.Abort(); <-c.over })
	return c, nil
}

// initiate opens a session that nobody reads yet.
func initiate(h host.Host, n *Node, cfg session.Config) (*session.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := overlay.OpenStream(ctx, h, n.Peer(), overlay.SessionProtocol)
	if err != nil {
		return nil, err
	}
	return session.Initiate(ctx, s, cfg)
}

func (c *client) read() {
	defer close(c.over)
	for {
		m, err := c.conn.Receive()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.seen = append(c.seen, m)
		c.mu.Unlock()
		select {
		case c.more <- struct{}{}:
		default:
		}
	}
}

func (c *client) send(m wire.Message) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.conn.Send(ctx, m); err != nil {
		c.t.Fatalf("%s sending %T: %v", c.id.Cert.Role, m, err)
	}
}

// take removes the first message of type M that fits from what came.
func take[M wire.Message](c *client, fits func(M) bool) (M, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, m := range c.seen {
		if typed, ok := m.(M); ok && (fits == nil || fits(typed)) {
			c.seen = append(c.seen[:i:i], c.seen[i+1:]...)
			return typed, true
		}
	}
	var none M
	return none, false
}

// await waits for a message of type M that fits and takes it.
func await[M wire.Message](c *client, fits func(M) bool) M {
	c.t.Helper()
	deadline := time.After(patience)
	for {
		if m, ok := take(c, fits); ok {
			return m
		}
		select {
		case <-c.more:
		case <-c.over:
			if m, ok := take(c, fits); ok {
				return m
			}
			var none M
			c.t.Fatalf("%s: the session ended (%v) while waiting for %T", c.id.Cert.Role, c.conn.Err(), none)
		case <-deadline:
			var none M
			c.t.Fatalf("%s: no %T came", c.id.Cert.Role, none)
		}
	}
}

// signerOf returns the key under which a member signs.
func signerOf(g *pkitest.Group, role string) wire.Signer {
	return wire.Signer(g.Member(role).Cert.Identity)
}

// roundTrip returns when the relay node has answered everything that was sent before: requests are served in order.
func (c *client) roundTrip() {
	c.t.Helper()
	c.send(&wire.Fetch{Seq: 1 << 40, Prefix: wire.Prefix{0xff}})
	await(c, func(m *wire.Fetched) bool { return m.Seq == 1<<40 })
}

// deposit leaves one share for a member and returns the verdict.
func (c *client) deposit(seq uint64, to string, payload string) wire.Verdict {
	c.t.Helper()
	c.send(&wire.Deposit{Seq: seq, Items: []wire.MailItem{{To: c.g.Member(to).Cert.Peer, Kind: wire.KindShare, Payload: []byte(payload)}}})
	r := await(c, func(m *wire.DepositResult) bool { return m.Seq == seq })
	if len(r.Verdicts) != 1 {
		c.t.Fatalf("%d verdicts for one item", len(r.Verdicts))
	}
	return r.Verdicts[0]
}

// mail waits for one piece of mail.
func (c *client) mail() wire.Mail {
	c.t.Helper()
	d := await[*wire.Delivery](c, nil)
	if len(d.Mails) != 1 {
		c.t.Fatalf("%d mails at once, want 1", len(d.Mails))
	}
	return d.Mails[0]
}

// testPrefix is the session that test frames claim.
var testPrefix = wire.Prefix{1, 2, 3, 4, 5, 6, 7, 8}

// frame returns bytes that have the shape of a frame.
func frame(sender uint16, start, counter uint32, fill byte) []byte {
	h := wire.FrameHeader{Prefix: testPrefix, Sender: sender, Start: start, Counter: counter, Length: wire.ContentHeaderSize + wire.MinBody}
	f := h.Append(nil)
	for len(f) < wire.FrameOverhead+int(h.Length) {
		f = append(f, fill)
	}
	return f
}

// signed returns a batch of frames by a member.
func signed(t testing.TB, g *pkitest.Group, role string, frames ...[]byte) []byte {
	t.Helper()
	b, err := batch.Sign(g.Member(role).Identity, topic.Name(g.Group.ID), wire.BatchFrames, frames)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// joinTopic puts a connected member into the topic and returns when it can publish.
func joinTopic(t testing.TB, g *pkitest.Group, h host.Host) *topic.Handle {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	joined, err := topic.Join(ctx, h, topic.Config{
		Group: g.Group.ID, Members: len(g.Roster.Members), Admit: g.Roster.Admits, Log: quiet(),
		Relays: func(p peer.ID) bool { _, ok := g.Roster.Relay(p); return ok },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = joined.Close() })
	if err := joined.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return joined
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
