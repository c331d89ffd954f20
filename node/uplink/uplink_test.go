package uplink

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// recorder is a Sink that keeps what it is told, as an owner's queue would.
type recorder struct{ changes chan Change }

func (r *recorder) Changed(ctx context.Context, c Change) {
	select {
	case r.changes <- c:
	case <-ctx.Done():
	}
}
func (r *recorder) Received(context.Context, Message) bool         { return true }
func (r *recorder) Reached(context.Context, peer.ID, ma.Multiaddr) {}
func (r *recorder) Skewed(context.Context, *session.SkewError)     {}
func (r *recorder) Step(peer.ID, Step, string)                     {}
func (r *recorder) next(t *testing.T, relay peer.ID, want State) (c Change) {
	t.Helper()
	select {
	case c = <-r.changes:
	case <-time.After(time.Minute): // a backstop
		t.Fatalf("nothing is told, want %s", want)
	}
	if c.Relay != relay || c.State != want {
		t.Fatalf("told %+v, want %s of %s", c, want, relay)
	}
	return c
}

// nobody is a topic without peers.
type nobody struct{}

func (nobody) Peers() []peer.ID                            { return nil }
func (nobody) Meshed(ctx context.Context, _ peer.ID) error { <-ctx.Done(); return ctx.Err() }

// config is a member's, with the relay nodes at those addresses.
func config(g *pkitest.Group, sink Sink, relays ...ma.Multiaddr) Config {
	roster := g.Roster
	return Config{
		Group: g.Group, Certificate: g.Member("A").Cert.DER, Identity: g.Member("A").Identity, Nonces: session.NewNonceCache(),
		Roster: func() *pki.Roster { return roster }, TakeRoster: func(context.Context, []byte) error { return nil },
		Verify: func([]byte) (wire.Batch, bool) { return wire.Batch{}, false }, Relays: relays,
		TopicHeard: func(peer.ID) time.Time { return time.Time{} }, InFlight: func() int { return 0 },
		Timing: Timing{
			RedialMin: time.Millisecond, RedialMax: time.Hour, DialShort: time.Second, DialTimeout: 2 * time.Second,
			ProbeEvery: time.Second, ProbeQuick: time.Second, ProbeTimeout: time.Second,
		},
		Now: time.Now, Log: slog.New(slog.DiscardHandler), Sink: sink,
	}
}

// run runs the uplink on a host of its own until the test ends, and checks that it then returns.
func run(t *testing.T, u *Uplink, g *pkitest.Group) {
	t.Helper()
	h, err := overlay.NewHost(overlay.HostConfig{Identity: g.Member("A").Identity, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx, Network{Host: h, Topic: nobody{}, TopicName: "test"}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = h.Close()
	})
}

// at returns an address of the group's relay node on a port where nobody listens.
func at(g *pkitest.Group, port string) ma.Multiaddr {
	return ma.StringCast("/ip4/127.0.0.1/tcp/" + port + "/p2p/" + g.Relay(0).Cert.Peer.String())
}

// TestDialsAgainUntilItEnds has a relay node that is not there: it is dialled again and again, with a reason each time, and
// at once when another address is found.
func TestDialsAgainUntilItEnds(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	id := g.Relay(0).Cert.Peer
	sink := &recorder{changes: make(chan Change)}
	cfg := config(g, sink, at(g, "1"))
	cfg.Timing.RedialMin = time.Hour // it waits as long as the test runs
	u := New(cfg)
	run(t, u, g)
	sink.next(t, id, Connecting)
	if c := sink.next(t, id, Down); c.Reason == "" || !strings.HasPrefix(c.Reason, errDial.Error()) {
		t.Errorf("the reason is %q", c.Reason)
	}
	u.Learn(id, []ma.Multiaddr{at(g, "2")})
	sink.next(t, id, Connecting)
	sink.next(t, id, Down)
	if got := u.Addresses(id); !slices.ContainsFunc(got, at(g, "1").Equal) || !slices.ContainsFunc(got, at(g, "2").Equal) {
		t.Errorf("the addresses are %v", got)
	}
}

// TestFollowsTheRoster has the roster's only relay node give way to another.
func TestFollowsTheRoster(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	first := g.Relay(0).Cert.Peer
	sink := &recorder{changes: make(chan Change)}
	cfg := config(g, sink)
	u := New(cfg)
	run(t, u, g)
	sink.next(t, first, Connecting)
	sink.next(t, first, Down)
	none := &pki.Roster{}
	go u.Follow(none) // the supervisor may stand before the sink
	for u.Addresses(first) != nil {
		select {
		case c := <-sink.changes:
			if c.Relay != first {
				t.Fatalf("told %+v", c)
			}
		case <-time.After(time.Millisecond):
		}
	}
}

// TestNamedAddresses: an address without a peer ID is that of the roster's only relay node, and with two it is refused.
func TestNamedAddresses(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	bare := ma.StringCast("/ip4/127.0.0.1/tcp/1")
	cfg := config(g, nil, bare)
	known, err := cfg.relayAddrs()
	if err != nil || len(known) != 1 || !known[g.Relay(0).Cert.Peer][0].Equal(at(g, "1")) {
		t.Errorf("the relay nodes are %v, %v", known, err)
	}
	two := *g.Roster
	two.Relays = append(slices.Clone(two.Relays), two.Relays[0])
	cfg.Roster = func() *pki.Roster { return &two }
	if err := New(cfg).Check(); err == nil || !strings.Contains(err.Error(), "/p2p/") {
		t.Errorf("with two relay nodes: %v", err)
	}
}

// TestTable enters connections that come and go: requests go to one relay node as long as it is there, then to the next.
func TestTable(t *testing.T) {
	t.Parallel()
	conns := []*session.Conn{new(session.Conn), new(session.Conn)}
	table := NewTable(func(peer.ID) []ma.Multiaddr { return nil })
	up := func(id peer.ID, c *session.Conn) {
		table.Apply(Change{Relay: id, State: Connecting})
		table.Apply(Change{Relay: id, State: Authenticated, Conn: c})
		if !table.Apply(Change{Relay: id, State: Ready, Conn: c}) {
			t.Errorf("%s is not ready", id)
		}
	}
	if r, _ := table.Choose(); r != nil || table.Ready() || table.Offer(&wire.Store{}) || table.Unheard() != 0 {
		t.Error("there is a relay node, though none was connected to")
	}
	up("b", conns[0])
	b, renewed := table.Choose()
	if b == nil || b.ID != "b" || renewed || table.Main() != b {
		t.Fatalf("the main relay node is %+v, renewed %v", b, renewed)
	}
	up("a", conns[1])
	if r, _ := table.Choose(); r != nil || table.Main() != b {
		t.Error("another relay node took over from one that is there")
	}
	if list := table.Usable(); len(list) != 2 || list[0] != b || list[1].ID != "a" {
		t.Errorf("usable: %v", list)
	}
	b.Acknowledge(wire.MailID{1})
	table.Apply(Change{Relay: "b", State: Down, Reason: "gone"})
	if state, why := b.State(); state != Down || why != "gone" || table.Ready() || len(b.acks) != 0 {
		t.Errorf("after it went: %s, %q, ready %v, %d acknowledgements", state, why, table.Ready(), len(b.acks))
	}
	if table.Apply(Change{Relay: "b", State: Ready, Conn: conns[0]}) {
		t.Error("a connection that went down became ready")
	}
	if r, _ := table.Choose(); r == nil || r.ID != "a" {
		t.Errorf("the next one is %+v", r)
	}
	if first, second := table.Number(), table.Number(); first == second || first == 0 {
		t.Errorf("numbers %d, %d", first, second)
	}
}

// TestBackoff: the wait before a redial doubles, has a longest, and begins anew for another process with this identity at
// four times that.
func TestBackoff(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	cfg := config(g, nil)
	cfg.Timing.RedialMin, cfg.Timing.RedialMax = 10*time.Millisecond, 40*time.Millisecond
	s := newSupervisor(New(cfg), "x", nil)
	for _, c := range []struct {
		failures int
		replaced bool
		least    time.Duration
	}{{0, false, 5 * time.Millisecond}, {1, false, 10 * time.Millisecond}, {60, false, 20 * time.Millisecond}, {0, true, 80 * time.Millisecond}} {
		s.replaced = c.replaced
		began := time.Now()
		if s.pause(t.Context(), c.failures, 0) {
			t.Error("something happened to the network")
		}
		if got := time.Since(began); got < c.least {
			t.Errorf("after %d failures, replaced %v: it waited %v, want %v at least", c.failures, c.replaced, got, c.least)
		}
	}
	s.kick <- struct{}{}
	if !s.pause(t.Context(), 60, 0) {
		t.Error("a change of the network does not end the wait")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("over"))
	cfg.Timing.RedialMin, cfg.Timing.RedialMax = time.Hour, time.Hour
	if newSupervisor(New(cfg), "x", nil).pause(ctx, 0, 0) {
		t.Error("the end is taken for a change")
	}
}
