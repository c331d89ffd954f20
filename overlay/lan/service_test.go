package lan

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	ma "github.com/multiformats/go-multiaddr"
)

const patience = 60 * time.Second

// loopback returns this machine's loopback interface: nothing in these tests is sent anywhere else.
func loopback(t *testing.T) string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			return i.Name
		}
	}
	t.Fatal("there is no loopback interface")
	return ""
}

func newPeer(t *testing.T) peer.ID {
	t.Helper()
	id, err := test.RandPeerID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// node is a service under test and what it found.
type node struct {
	t    *testing.T
	id   peer.ID
	s    *Service
	mu   sync.Mutex
	seen map[peer.ID][]string
	n    atomic.Int64
	news chan struct{}
}

// begin starts a service that listens at an address and takes those peers for members.
func begin(t *testing.T, g wire.GroupID, id peer.ID, listen string, members []peer.ID, tune func(*Config)) *node {
	t.Helper()
	n := &node{t: t, id: id, seen: make(map[peer.ID][]string), news: make(chan struct{}, 1)}
	cfg := Config{
		Group: g, Self: id, Log: slog.New(slog.DiscardHandler), Links: Only(loopback(t)),
		Listen: func() []ma.Multiaddr { return []ma.Multiaddr{ma.StringCast(listen)} },
		Admit:  func(p peer.ID) bool { return slices.Contains(members, p) },
		Found:  n.found,
	}
	if tune != nil {
		tune(&cfg)
	}
	s, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.s = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return n
}

func (n *node) found(info peer.AddrInfo) {
	n.n.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range info.Addrs {
		if !slices.Contains(n.seen[info.ID], a.String()) {
			n.seen[info.ID] = append(n.seen[info.ID], a.String())
		}
	}
	select {
	case n.news <- struct{}{}:
	default:
	}
}

func (n *node) knows(id peer.ID) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.seen[id])
}

// until waits until a peer was found.
func (n *node) until(id peer.ID) []string {
	n.t.Helper()
	deadline := time.After(patience)
	for {
		if addrs := n.knows(id); len(addrs) > 0 {
			return addrs
		}
		select {
		case <-n.news:
		case <-deadline:
			n.t.Fatalf("%s did not find %s", n.id, id)
		}
	}
}

// TestMembersFindEachOther has three of one group and one of another on one link.
func TestMembersFindEachOther(t *testing.T) {
	t.Parallel()
	ids := []peer.ID{newPeer(t), newPeer(t), newPeer(t), newPeer(t)}
	one, other := wire.GroupID{1}, wire.GroupID{2}
	a := begin(t, one, ids[0], "/ip4/0.0.0.0/tcp/1001", ids, nil)
	b := begin(t, one, ids[1], "/ip4/127.0.0.1/udp/1002/quic-v1", ids, nil)
	x := begin(t, other, ids[3], "/ip4/127.0.0.1/tcp/1004", ids, nil)
	c := begin(t, one, ids[2], "/ip4/127.0.0.1/tcp/1003", ids, nil)
	for _, n := range []*node{a, b, c} {
		for _, m := range []*node{a, b, c} {
			if n != m {
				n.until(m.id)
			}
		}
	}
	if got := b.knows(a.id); !slices.Equal(got, []string{"/ip4/127.0.0.1/tcp/1001"}) {
		t.Errorf("A listens on all interfaces and is at %v on this one", got)
	}
	if got := a.knows(b.id); !slices.Equal(got, []string{"/ip4/127.0.0.1/udp/1002/quic-v1"}) {
		t.Errorf("B is at %v", got)
	}
	if len(a.knows(x.id)) > 0 || x.n.Load() > 0 {
		t.Error("two groups found each other")
	}
}

// TestInterfaceThatComesLater has a laptop come onto a link.
func TestInterfaceThatComesLater(t *testing.T) {
	t.Parallel()
	ids := []peer.ID{newPeer(t), newPeer(t)}
	var here atomic.Bool
	lo := Only(loopback(t))
	a := begin(t, wire.GroupID{3}, ids[0], "/ip4/127.0.0.1/tcp/1001", ids, func(c *Config) {
		c.Links = func() ([]Link, error) {
			if !here.Load() {
				return nil, nil
			}
			return lo()
		}
	})
	b := begin(t, wire.GroupID{3}, ids[1], "/ip4/127.0.0.1/tcp/1002", ids, nil)
	here.Store(true)
	a.until(b.id) // the service looks by itself
	b.until(a.id)
}

// raw sends packets on loopback as anybody may.
type raw struct {
	t    *testing.T
	s    socket
	i    net.Interface
	name string
}

func newRaw(t *testing.T, g wire.GroupID) *raw {
	t.Helper()
	s, err := open4()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	i, err := net.InterfaceByName(loopback(t))
	if err != nil {
		t.Fatal(err)
	}
	return &raw{t: t, s: s, i: *i, name: serviceName(g)}
}

func (r *raw) announce(addrs ...string) {
	r.t.Helper()
	data, err := announcement(r.name, "mallory", addrs)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.s.send(r.i, data); err != nil {
		r.t.Fatal(err)
	}
}

// attack starts a member that knows some others, lets mallory send when it listens, and returns what the member was told
// before a last, honest announcement reached it.
func attack(t *testing.T, g byte, send func(m *raw, member peer.ID)) *node {
	t.Helper()
	member, first, last := newPeer(t), newPeer(t), newPeer(t)
	n := begin(t, wire.GroupID{9, g}, newPeer(t), "/ip4/127.0.0.1/tcp/1001", []peer.ID{member, first, last}, nil)
	m := newRaw(t, wire.GroupID{9, g})
	m.until(n, first)
	send(m, member)
	m.until(n, last)
	return n
}

// until announces somebody until a node knows it: packets may be dropped.
func (r *raw) until(n *node, id peer.ID) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); len(n.knows(id)) == 0; {
		r.announce("/ip4/127.0.0.1/tcp/7/p2p/" + id.String())
		select {
		case <-n.news:
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			r.t.Fatal("the honest announcement did not arrive")
		}
	}
}

// TestAttackStrangerAnnouncesHimself has somebody on the link, who learned the name, announce himself.
func TestAttackStrangerAnnouncesHimself(t *testing.T) {
	t.Parallel()
	stranger := newPeer(t)
	n := attack(t, 0, func(m *raw, _ peer.ID) {
		m.announce("/ip4/127.0.0.1/tcp/66/p2p/" + stranger.String())
	})
	if got := n.knows(stranger); len(got) > 0 {
		t.Errorf("the stranger would be dialled at %v", got)
	}
}

// TestAttackMemberIsAnnouncedElsewhere has a stranger announce a member at somebody else's address, to make the whole
// group dial it.
func TestAttackMemberIsAnnouncedElsewhere(t *testing.T) {
	t.Parallel()
	var target peer.ID
	n := attack(t, 10, func(m *raw, member peer.ID) {
		target = member
		m.announce("/ip4/192.0.2.7/tcp/80/p2p/"+member.String(), "/ip4/127.0.0.1/tcp/80/ws/p2p/"+member.String(),
			"/dns4/victim.example/tcp/80/p2p/"+member.String(), "/ip4/192.0.2.7/tcp/1/p2p/"+newPeer(t).String()+"/p2p-circuit/p2p/"+member.String())
	})
	if got := n.knows(target); len(got) > 0 {
		t.Errorf("members would dial %v", got)
	}
}

// TestAttackFloodOfAnnouncements sends more than anybody has to say.
func TestAttackFloodOfAnnouncements(t *testing.T) {
	t.Parallel()
	const packets, flood = 3000, time.Second
	var target peer.ID
	n := attack(t, 20, func(m *raw, member peer.ID) {
		target = member
		for range packets {
			m.announce("/ip4/127.0.0.1/tcp/80/p2p/" + member.String())
		}
	})
	m := newRaw(t, wire.GroupID{9, 20})
	for end := time.Now().Add(flood); n.n.Load() <= 10*senderBurst && time.Now().Before(end); {
		m.announce("/ip4/127.0.0.1/tcp/80/p2p/" + target.String())
	}
	if got := n.n.Load(); got > 10*senderBurst {
		t.Errorf("%d announcements were looked at", got)
	}
}

// TestGateIsBounded invents senders without end.
func TestGateIsBounded(t *testing.T) {
	t.Parallel()
	g := newGate()
	passed := 0
	for i := range 20_000 {
		if g.allow(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})) {
			passed++
		}
	}
	if len(g.senders) > maxSenders || len(g.order) > maxSenders {
		t.Errorf("%d senders are kept track of", len(g.senders))
	}
	if passed > 4*totalBurst {
		t.Errorf("%d of 20,000 packets pass", passed)
	}
}
