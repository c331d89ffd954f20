package node

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki/authority"
	"conclave/pki/pkitest"
	"conclave/relaynode"

	ma "github.com/multiformats/go-multiaddr"
)

// station is one of several relay nodes.
type station struct {
	w   *world
	i   int
	at  ma.Multiaddr // where it listens, the same after a restart
	run *runner[*relaynode.Node]

	peers []ma.Multiaddr
	via   []ma.Multiaddr
}

// newStations returns a world with several relay nodes, all of them running.
func newStations(t *testing.T, count int, roles ...wire.Role) (*world, []*station) {
	t.Helper()
	w := &world{t: t, group: pkitest.New(t, pkitest.Config{Roles: roles, Relays: count}), dir: t.TempDir(), disk: true}
	var all []*station
	for i := range count {
		s := &station{w: w, i: i, at: ma.StringCast("/ip4/127.0.0.1/tcp/0")}
		for _, other := range all { // each dials those that were there before it
			s.peers = append(s.peers, other.addr())
		}
		s.start()
		t.Cleanup(s.stop)
		all = append(all, s)
	}
	return w, all
}

func (s *station) start() {
	s.w.t.Helper()
	id := s.w.group.Relay(s.i)
	cfg := relaynode.Config{
		Group: s.w.group.Group, Certificate: id.Cert.DER, Identity: id.Identity, Roster: s.w.group.Roster,
		Listen: []ma.Multiaddr{s.at}, StatePath: filepath.Join(s.w.dir, fmt.Sprintf("relay%d.db", s.i)),
		Log: quiet(fmt.Sprintf("relay%d", s.i)), Now: s.w.now, Peers: s.peers, Via: s.via,
	}
	n, err := relaynode.New(cfg)
	if err != nil {
		s.w.t.Fatalf("starting relay node %d: %v", s.i, err)
	}
	s.at, _ = ma.SplitLast(n.Addrs()[0])
	s.run = start(s.w.t, n)
}

func (s *station) stop() {
	if s.run != nil {
		s.run.stop(s.w.t)
		s.run = nil
	}
}

func (s *station) addr() ma.Multiaddr {
	return s.at.Encapsulate(ma.StringCast("/p2p/" + s.w.group.Relay(s.i).Cert.Peer.String()))
}

// mails returns how much mail lies at the relay node.
func (s *station) mails() int {
	s.w.t.Helper()
	status, err := s.run.node.Status(context.Background())
	if err != nil {
		s.w.t.Fatal(err)
	}
	return status.Mailbox.Items
}

// joinAt starts a member that knows these relay nodes.
func (w *world) joinAt(role string, at ...*station) *person {
	w.t.Helper()
	cfg := w.config(role)
	cfg.Relays = nil
	for _, s := range at {
		cfg.Relays = append(cfg.Relays, s.addr())
	}
	return w.joinWith(cfg, role)
}

// linked waits until a member's latest word on a relay node is this.
func (p *person) linked(s *station, want LinkState) {
	p.t.Helper()
	id := s.w.group.Relay(s.i).Cert.Peer
	p.until(fmt.Sprintf("the link to relay node %d to be %s", s.i, want), func(events []Event) bool {
		var last LinkState
		for _, l := range all[Link](events) {
			if l.Relay == id {
				last = l.State
			}
		}
		return last == want
	})
}

// TestMainRelayNodeDies has three members on two relay nodes, and ends each of the two in turn in mid-conversation.
func TestMainRelayNodeDies(t *testing.T) {
	t.Parallel()
	w, at := newStations(t, 2, "A", "B", "C")
	var people []*person
	for _, role := range []string{"A", "B", "C"} {
		people = append(people, w.joinAt(role, at...))
	}
	agree(t, abc, people...)
	for _, p := range people {
		p.linked(at[0], Ready)
		p.linked(at[1], Ready)
	}
	var sent []string
	var last wire.MessageID
	talk := func(count int) {
		for range count {
			text := fmt.Sprintf("message %d", len(sent))
			sent = append(sent, text)
			last = people[0].send(text)
			people[1].reads("A", sent...)
		}
	}
	for _, dies := range []int{0, 1, 0} {
		talk(20)
		at[dies].stop()
		talk(20)
		people[2].reads("A", sent...)
		people[0].state(last, Relayed)
		at[dies].start()
		for _, p := range people {
			p.linked(at[dies], Ready)
		}
	}
}

// TestMailIsAcknowledgedWhereItLay leaves mail at a relay node that is not the recipient's main one: it is deleted there.
func TestMailIsAcknowledgedWhereItLay(t *testing.T) {
	t.Parallel()
	w, at := newStations(t, 2, "A", "B", "C")
	at[0].stop()
	a, b := w.joinAt("A", at[1]), w.joinAt("B", at[1])
	agree(t, []wire.Role{"A", "B"}, a, b)
	eventually(t, "C's shares lie at the second relay node", func() bool { return at[1].mails() >= 2 })
	a.leave()
	b.leave()
	left := at[1].mails() // some of it for A and B
	at[1].stop()
	at[1].peers = nil // the two shall not hear of each other
	at[0].start()
	c := w.joinAt("C", at...)
	c.linked(at[0], Ready) // so that it is the main one
	at[1].start()
	eventually(t, "C's shares do not lie there any more", func() bool { return at[1].mails() <= left-2 })
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestPresenceIsTheUnion: who is at either of two relay nodes is there, until none of them says so any more.
func TestPresenceIsTheUnion(t *testing.T) {
	t.Parallel()
	w, at := newStations(t, 2, "A", "B", "C")
	a, b, c := w.joinAt("A", at...), w.joinAt("B", at[0]), w.joinAt("C", at[1])
	a.linked(at[0], Ready)
	a.linked(at[1], Ready)
	present := func(roles ...wire.Role) {
		t.Helper()
		a.until(fmt.Sprintf("%v to be there and nobody else", roles), func(events []Event) bool {
			online := make(map[wire.Role]bool)
			for _, p := range all[Peer](events) {
				online[p.Role] = p.Online
			}
			return online["B"] == slices.Contains(roles, "B") && online["C"] == slices.Contains(roles, "C")
		})
	}
	present("B", "C")
	b.leave()
	present("C")
	c.leave()
	present()
}

// apart returns a world in which A knows the first relay node only, C the second only, and B both; the second relay node dials the first.
func apart(t *testing.T) (w *world, at []*station, a, b, c *person) {
	w, at = newStations(t, 2, "A", "B", "C")
	return w, at, w.joinAt("A", at[0]), w.joinAt("B", at...), w.joinAt("C", at[1])
}

// TestMembersOnDifferentRelayNodes: they agree on one key and talk, and what one misses it gets when it comes, wherever.
func TestMembersOnDifferentRelayNodes(t *testing.T) {
	t.Parallel()
	w, at, a, b, c := apart(t)
	agree(t, abc, a, b, c)
	a.send("from one side")
	c.send("from the other")
	a.reads("C", "from the other")
	b.reads("A", "from one side")
	b.reads("C", "from the other")
	c.reads("A", "from one side")
	c.leave()
	id := a.send("C is away")
	a.state(id, Relayed)
	b.reads("A", "from one side", "C is away")
	a.leave() // only the relay nodes have it now
	b.leave()
	at[0].stop()
	again := w.joinAt("C", at[1])
	again.reads("A", "C is away")
}

// TestNobodyKnowsBoth: A and B are at different relay nodes, and nobody at both.
func TestNobodyKnowsBoth(t *testing.T) {
	t.Parallel()
	w, at := newStations(t, 2, "A", "B", "C")
	a, b := w.joinAt("A", at[0]), w.joinAt("B", at[1])
	ab := []wire.Role{"A", "B"}
	agree(t, ab, a, b)
	a.send("hello")
	b.reads("A", "hello")
	// C's shares lie at both relay nodes; it comes to the second, and what lies at the first is forwarded.
	eventually(t, "C's mail lies at both", func() bool { return at[0].mails() > 0 && at[1].mails() > 0 })
	c := w.joinAt("C", at[1])
	c.reads("A", "hello")
	agree(t, abc, a, b, c)
	eventually(t, "no mail is left", func() bool { return at[0].mails()+at[1].mails() == 0 }) // all are there to take it
}

// TestRelayNodesLoseEachOther: while the two relay nodes do not hear each other their members talk on both sides; then each
// side reads what the other said, once and in order.
func TestRelayNodesLoseEachOther(t *testing.T) {
	t.Parallel()
	_, at, a, b, c := apart(t)
	agree(t, abc, a, b, c)
	b.leave()
	at[1].stop() // C's
	var said []string
	for i := range 20 {
		said = append(said, fmt.Sprintf("A says %d", i))
		a.send(said[i])
		c.send(fmt.Sprintf("C says %d", i)) // waits in its outbox
	}
	at[1].start()
	c.reads("A", said...)
	for i := range said {
		said[i] = fmt.Sprintf("C says %d", i)
	}
	a.reads("C", said...)
}

// TestRosterNamesAnotherRelayNode: members that take relay nodes from the roster use one that a newer roster adds, and leave
// one that it does not have any more.
func TestRosterNamesAnotherRelayNode(t *testing.T) {
	t.Parallel()
	w, at := newStations(t, 2, "A", "B")
	only := func(stations ...*station) func(*authority.Draft) {
		return func(d *authority.Draft) {
			d.Relays = nil
			for _, s := range stations {
				d.SetRelay(w.group.Relay(s.i).Cert, []ma.Multiaddr{s.addr()})
			}
		}
	}
	tell := func(stations ...*station) {
		next := w.group.Reissue(only(stations...))
		if err := stations[0].run.node.TakeRoster(next.Envelope); err != nil {
			t.Fatal(err)
		}
	}
	tell(at[0])
	at[1].stop() // it is in no roster yet
	w.tune = func(cfg *Config) { cfg.Relays = nil }
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	w.group.Reissue(only(at...))
	at[1].start()
	tell(at...)
	a.linked(at[1], Ready)
	b.linked(at[1], Ready)
	tell(at[1])
	at[0].stop()
	a.send("the first is gone")
	b.reads("A", "the first is gone")
}

// TestRelayNodeBehindAnother: members know a relay node by a circuit address only. They use it and the one before it.
func TestRelayNodeBehindAnother(t *testing.T) {
	t.Parallel()
	w, at := newStations(t, 2, "A", "B")
	outer, inner := at[0], at[1]
	inner.stop()
	inner.peers, inner.via = nil, []ma.Multiaddr{outer.addr()}
	inner.start()
	circuit := inner.run.node.Addrs()[0]
	if through, ok := overlay.Outer(circuit); !ok || !through.Equal(outer.addr()) {
		t.Fatalf("the first address is %s, want one through %s", circuit, outer.addr())
	}
	w.tune = func(cfg *Config) { cfg.Relays = []ma.Multiaddr{circuit} }
	a, b := w.join("A"), w.join("B")
	for _, p := range []*person{a, b} {
		p.linked(outer, Ready)
		p.linked(inner, Ready)
	}
	agree(t, []wire.Role{"A", "B"}, a, b)
	id := a.send("hello")
	b.reads("A", "hello")
	a.state(id, Relayed)
	eventually(t, "the inner relay node has what was said", func() bool {
		s, err := inner.run.node.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return s.Members[0].Online && s.Members[0].InTopic && s.Members[1].Online && s.Backlog.Batches > 0 && s.Relays[0].Linked
	})
}
