package door

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// stage is a relay node with a network that a test moves by hand.
type stage struct {
	t        *testing.T
	g        *pkitest.Group
	roster   *pki.Roster
	notifiee network.Notifiee
	door     *Door

	mu       sync.Mutex // guards what follows: timers close connections
	sessions map[peer.ID]bool
	counts   map[string]int
	conns    []*conn
}

// conn is a connection; of network.Conn only what the door uses works.
type conn struct {
	network.Conn
	s      *stage
	id     string
	peer   peer.ID
	opened time.Time
	closed atomic.Bool
}

func (c *conn) ID() string          { return c.id }
func (c *conn) RemotePeer() peer.ID { return c.peer }
func (c *conn) IsClosed() bool      { return c.closed.Load() }
func (c *conn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Opened: c.opened}}
}
func (c *conn) GetStreams() []network.Stream { return nil }

func (c *conn) Close() error {
	c.closed.Store(true)
	c.s.mu.Lock()
	c.s.conns = slices.DeleteFunc(c.s.conns, func(o *conn) bool { return o == c })
	c.s.mu.Unlock()
	c.s.notifiee.Disconnected(nil, c)
	return nil
}

func newStage(t *testing.T, change func(*Limits)) *stage {
	t.Helper()
	g := pkitest.New(t, pkitest.Config{Roles: []wire.Role{"A", "B"}, Relays: 2})
	s := &stage{t: t, g: g, roster: g.Roster, sessions: map[peer.ID]bool{}, counts: map[string]int{}}
	limits := Limits{Admission: 10 * time.Second, Requests: 100, Bytes: 1000, Fetches: 1000}
	if change != nil {
		change(&limits)
	}
	s.door = New(Config{
		Roster: func() *pki.Roster { return s.roster }, HasSession: s.hasSession,
		Count: s.count, Log: slog.New(slog.DiscardHandler), Limits: limits,
	})
	t.Cleanup(s.door.Close)
	return s
}

func (s *stage) hasSession(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[p]
}

func (s *stage) count(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[name]++
}

// session gives a peer a session, or takes it away.
func (s *stage) session(p peer.ID, has bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[p] = has
}

// Notify implements Network.
func (s *stage) Notify(n network.Notifiee) { s.notifiee = n }

// Conns implements Network.
func (s *stage) Conns() []network.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []network.Conn
	for _, c := range s.conns {
		all = append(all, c)
	}
	return all
}

// ConnsToPeer implements Network.
func (s *stage) ConnsToPeer(p peer.ID) []network.Conn {
	return slices.DeleteFunc(s.Conns(), func(c network.Conn) bool { return c.RemotePeer() != p })
}

// Peers implements Network.
func (s *stage) Peers() []peer.ID {
	all := map[peer.ID]bool{}
	for _, c := range s.Conns() {
		all[c.RemotePeer()] = true
	}
	return slices.Collect(maps.Keys(all))
}

// Connectedness implements Network.
func (s *stage) Connectedness(p peer.ID) network.Connectedness {
	if len(s.ConnsToPeer(p)) > 0 {
		return network.Connected
	}
	return network.NotConnected
}

// ClosePeer implements Network.
func (s *stage) ClosePeer(p peer.ID) error {
	for _, c := range s.ConnsToPeer(p) {
		_ = c.Close()
	}
	return nil
}

// connect has a peer connect.
func (s *stage) connect(p peer.ID, id string) *conn {
	c := &conn{s: s, id: id, peer: p, opened: time.Now()}
	s.mu.Lock()
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	if s.notifiee != nil {
		s.notifiee.Connected(nil, c)
	}
	return c
}

func (s *stage) member(role string) peer.ID { return s.g.Member(role).Cert.Peer }

// counted fails the test unless exactly this was counted.
func (s *stage) counted(want map[string]int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !maps.Equal(s.counts, want) {
		s.t.Errorf("counted %v, want %v", s.counts, want)
	}
}

// TestConnectionsHaveTheirTime has a stranger, a member that stays silent and two members with a session connect: the first
// two are disconnected, and so is one that loses its session, each after its own time.
func TestConnectionsHaveTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		early := s.connect("early", "0") // before anybody watches
		s.door.Watch(s)
		a, b := s.member("A"), s.member("B")
		s.session(a, true)
		stranger, silent, member := s.connect("stranger", "1"), s.connect(b, "2"), s.connect(a, "3")
		time.Sleep(9 * time.Second)
		late := s.connect("late", "4")
		if early.closed.Load() || stranger.closed.Load() || silent.closed.Load() {
			t.Error("a connection was closed before its time was over")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !early.closed.Load() || !stranger.closed.Load() || !silent.closed.Load() || member.closed.Load() || late.closed.Load() {
			t.Errorf("closed: %v %v %v, and %v %v", early.closed.Load(), stranger.closed.Load(), silent.closed.Load(), member.closed.Load(), late.closed.Load())
		}
		s.counted(map[string]int{"connection-not-in-roster": 2, "connection-no-handshake": 1})
		_ = late.Close() // its timer ends with it
		s.session(a, false)
		s.door.WatchPeer(a)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if !member.closed.Load() {
			t.Error("a connection whose session ended stays for ever")
		}
		s.counted(map[string]int{"connection-not-in-roster": 2, "connection-no-handshake": 2})
		open := s.connect("one more", "5")
		s.door.Close()
		time.Sleep(time.Minute)
		if open.closed.Load() {
			t.Error("the door goes on after Close")
		}
	})
}

// TestCircuitsAreForTheRoster tries every pair of ends.
func TestCircuitsAreForTheRoster(t *testing.T) {
	s := newStage(t, nil)
	s.door.Watch(s)
	acl := s.door.ACL()
	a, b, relay, other := s.member("A"), s.member("B"), s.g.Relay(0).Cert.Peer, s.g.Relay(1).Cert.Peer
	const stranger = peer.ID("stranger")
	for _, c := range []struct {
		from, to peer.ID
		want     bool
	}{
		{a, b, true},
		{a, relay, true},
		{relay, other, true},
		{relay, a, false},
		{stranger, a, false},
		{a, stranger, false},
		{stranger, relay, false},
		{relay, stranger, false},
	} {
		if acl.AllowConnect(c.from, nil, c.to) != c.want {
			t.Errorf("a circuit from %s to %s: want %v", c.from, c.to, c.want)
		}
	}
	s.counted(map[string]int{"circuit-connect": 5})
	for p, want := range map[peer.ID]bool{a: true, relay: true, stranger: false} {
		if acl.AllowReserve(p, nil) != want || s.door.Reserved(p) != want {
			t.Errorf("a slot for %s: want %v", p, want)
		}
	}
	s.counted(map[string]int{"circuit-connect": 5, "circuit-reserve": 1})
}

// TestSlotsEndWithTheLastConnection counts what the circuit relay does.
func TestSlotsEndWithTheLastConnection(t *testing.T) {
	s := newStage(t, nil)
	s.door.Watch(s)
	a := s.member("A")
	one, two := s.connect(a, "1"), s.connect(a, "2")
	s.door.ACL().AllowReserve(a, nil)
	tracer := s.door.Tracer()
	tracer.ConnectionOpened()
	tracer.ConnectionOpened()
	tracer.ConnectionClosed(time.Second)
	tracer.BytesTransferred(7)
	if got, want := s.door.Circuits(), (CircuitStats{Open: 1, Reserved: 1, Total: 2, Bytes: 7}); got != want {
		t.Errorf("it says %+v, want %+v", got, want)
	}
	if _ = one.Close(); !s.door.Reserved(a) {
		t.Error("the slot is gone though there is a connection")
	}
	if _ = two.Close(); s.door.Reserved(a) {
		t.Error("the slot is there without a connection")
	}
}

// TestRosterDecidesWhoStays has a member leave the roster and another join it.
func TestRosterDecidesWhoStays(t *testing.T) {
	s := newStage(t, nil)
	s.door.Watch(s)
	before := s.roster
	joins := s.g.AddMember("C")
	next := s.g.Reissue(func(d *authority.Draft) {
		d.SetMember(joins.Cert)
		if err := d.RemoveMember("B"); err != nil {
			t.Fatal(err)
		}
	})
	stays, goes, comes := s.connect(s.member("A"), "1"), s.connect(before.Members[1].Peer, "2"), s.connect(joins.Cert.Peer, "3")
	s.roster = next
	s.door.RosterChanged(before, next)
	if stays.closed.Load() || !goes.closed.Load() || !comes.closed.Load() {
		t.Errorf("closed: %v, %v and %v", stays.closed.Load(), goes.closed.Load(), comes.closed.Load())
	}
	s.counted(map[string]int{"connection-revoked": 1, "connection-newly-in-roster": 1})
}

// TestNewerConnectionReplacesOlder closes older connections of the same peer, after a while, unless the newer one's session
// ends meanwhile.
func TestNewerConnectionReplacesOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.door.Watch(s)
		a := s.member("A")
		old, other := s.connect(a, "1"), s.connect(s.member("B"), "2")
		time.Sleep(time.Second)
		present := s.connect(a, "3")
		time.Sleep(time.Second)
		newer := s.connect(a, "4")
		if got := s.door.Older(present); len(got) != 1 || got[0] != network.Conn(old) {
			t.Errorf("older are %v", got)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		s.door.Retire(ended, s.door.Older(present))
		if old.closed.Load() {
			t.Error("the older connection was closed though the newer one's session has ended")
		}
		began := time.Now()
		s.door.Retire(t.Context(), s.door.Older(present))
		if !old.closed.Load() || present.closed.Load() || newer.closed.Load() || other.closed.Load() || time.Since(began) != 250*time.Millisecond {
			t.Errorf("after %v closed: %v, and %v %v %v", time.Since(began), old.closed.Load(), present.closed.Load(), newer.closed.Load(), other.closed.Load())
		}
		s.counted(map[string]int{"connection-replaced": 1})
		s.door.Close()
	})
}

// TestRatesOutlastSessions takes what a peer may have, and asks again as if it had reconnected.
func TestRatesOutlastSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(l *Limits) { l.Requests = 1 })
		s.door.Watch(s)
		a, relay := s.member("A"), s.g.Relay(1).Cert.Peer
		taken := func(r *Rates) (n int) {
			for began := time.Now(); time.Since(began) == 0 && r.Request(t.Context()); {
				n++
			}
			return n
		}
		if n := taken(s.door.MemberRates(a)); n != 11 { // the last of them after a wait
			t.Errorf("a member may make %d requests at once", n-1)
		}
		if n := taken(s.door.RelayRates(relay)); n != 101 {
			t.Errorf("a relay node may make %d requests at once", n-1)
		}
		r := s.door.MemberRates(a)
		if !r.Bring(t.Context(), 1_000_000) { // more than the burst costs all of it
			t.Error("a large request is refused for ever")
		}
		began := time.Now()
		if s.door.MemberRates(a).Bring(t.Context(), 3000) || time.Since(began) != 0 {
			t.Error("to reconnect fills the rates")
		}
		if !r.Bring(t.Context(), 2000) || time.Since(began) != 2*time.Second {
			t.Errorf("what is short comes after %v", time.Since(began))
		}
		if !r.Fetch(t.Context(), 8000) {
			t.Error("what is brought counts against what is fetched")
		}
		s.door.RosterChanged(s.roster, &pki.Roster{})
		if !s.door.MemberRates(a).Bring(t.Context(), 8000) {
			t.Error("the rates of who left the roster are kept")
		}
		s.door.Close()
	})
}

// heard is a session that was heard at a time.
type heard struct {
	mu    sync.Mutex
	at    time.Time // guarded by mu
	quiet bool      // guarded by mu
}

// Heard implements Session.
func (h *heard) Heard() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

// SetQuiet implements Session.
func (h *heard) SetQuiet(quiet bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := h.quiet != quiet
	h.quiet = quiet
	return changed
}

// says has something come from it now.
func (h *heard) says(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = at
}

func (h *heard) isQuiet() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.quiet
}

// TestWhoSaysNothingIsQuiet has one of two members fall silent and speak again.
func TestWhoSaysNothingIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		a, b := &heard{at: time.Now().Add(time.Hour)}, &heard{at: time.Now()}
		var changes atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			WatchQuiet(ctx, 8*time.Second, func() []*heard { return []*heard{a, b} }, func() { changes.Add(1) })
		}()
		at := func(after time.Duration, quiet bool, want int64) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if a.isQuiet() || b.isQuiet() != quiet || changes.Load() != want {
				t.Errorf("a is quiet: %v, b %v; %d changes, want %d", a.isQuiet(), b.isQuiet(), changes.Load(), want)
			}
		}
		at(7500*time.Millisecond, false, 0)
		at(2*time.Second, true, 1)
		at(5*time.Second, true, 1)
		b.says(time.Now())
		at(time.Second, false, 2)
		cancel()
		<-done
	})
}
