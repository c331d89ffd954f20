package relaynode

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// memoryFile is a pki.RosterStore that remembers in memory and can fail.
type memoryFile struct {
	saved *pki.Roster
	err   error
}

func (f *memoryFile) Save(r *pki.Roster) error {
	if f.err == nil {
		f.saved = r
	}
	return f.err
}

// without returns the next roster, which lacks a member.
func without(t testing.TB, g *pkitest.Group, role wire.Role) *pki.Roster {
	t.Helper()
	return g.Reissue(func(d *authority.Draft) {
		if err := d.RemoveMember(role); err != nil {
			t.Fatal(err)
		}
	})
}

// with returns the next roster, which has a new member.
func with(t testing.TB, g *pkitest.Group, role wire.Role) *pki.Roster {
	t.Helper()
	id := g.AddMember(role)
	return g.Reissue(func(d *authority.Draft) { d.SetMember(id.Cert) })
}

func TestRosterOnlyGrows(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	first := g.Roster
	file := &memoryFile{}
	cfg := relayConfig(g)
	cfg.RosterFile = file
	n := startRelay(t, cfg)

	if err := n.TakeRoster(first.Envelope); err != nil || file.saved != nil {
		t.Fatalf("the present roster: %v, saved %v", err, file.saved)
	}
	second := with(t, g, "C")
	if err := n.TakeRoster(second.Envelope); err != nil || n.roster.Load().Version != 2 || file.saved.Version != 2 {
		t.Fatalf("a newer roster: %v, current %d", err, n.roster.Load().Version)
	}
	if err := n.TakeRoster(first.Envelope); !errors.Is(err, pki.ErrRosterOlder) {
		t.Fatalf("an older roster: %v", err)
	}
	broken := append([]byte(nil), second.Envelope...)
	broken[len(broken)/2] ^= 1
	if err := n.TakeRoster(broken); err == nil {
		t.Fatal("a broken roster was taken")
	}
	other := pkitest.NewGroup(t, "A")
	if err := n.TakeRoster(other.Reissue(nil).Envelope); err == nil {
		t.Fatal("another group's roster was taken")
	}
	if v := n.roster.Load().Version; v != 2 {
		t.Fatalf("the roster is now version %d", v)
	}
}

func TestTwoRostersOfOneVersionAreReportedLoudly(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	first := g.Roster
	one := with(t, g, "C")
	g.Roster = first
	two := with(t, g, "D")
	cfg := relayConfig(g)
	cfg.Roster = one
	log := &logbook{}
	cfg.Log = slog.New(log)
	n := startRelay(t, cfg)
	if err := n.TakeRoster(two.Envelope); !errors.Is(err, pki.ErrRosterConflict) {
		t.Fatalf("got %v", err)
	}
	if !log.has("two different rosters have one version; the second is refused") {
		t.Error("it is not in the log")
	}
	if n.count.get(rosterConflict) != 1 || n.roster.Load().Hash != one.Hash {
		t.Errorf("counted %d", n.count.get(rosterConflict))
	}
}

func TestRosterThatCannotBeKeptIsNotServed(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	cfg := relayConfig(g)
	cfg.RosterFile = &memoryFile{err: errors.New("disk full")}
	n := startRelay(t, cfg)
	if err := n.TakeRoster(with(t, g, "C").Envelope); err == nil || n.roster.Load().Version != 1 {
		t.Fatalf("%v, version %d", err, n.roster.Load().Version)
	}
}

func TestSessionsAreToldOfANewerRoster(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n := startRelay(t, relayConfig(g))
	a, b := join(t, g, "A", n), join(t, g, "B", n)
	second := with(t, g, "C")
	a.send(&wire.RosterUpdate{Envelope: second.Envelope})
	got := await[*wire.RosterUpdate](b, nil)
	if r, err := pki.OpenRoster(g.Group, got.Envelope, time.Now()); err != nil || r.Version != 2 {
		t.Fatalf("B got %v, %v", r, err)
	}
	await[*wire.RosterUpdate](a, nil) // its own comes back, once
	// Whoever has an older one is answered with the newer.
	first := g.Roster
	third := with(t, g, "D")
	a.send(&wire.RosterUpdate{Envelope: third.Envelope})
	await[*wire.RosterUpdate](b, nil)
	b.send(&wire.RosterUpdate{Envelope: first.Envelope})
	got = await[*wire.RosterUpdate](b, nil)
	if r, err := pki.OpenRoster(g.Group, got.Envelope, time.Now()); err != nil || r.Version != 3 {
		t.Fatalf("B got %v, %v", r, err)
	}
}

func TestRevokedMemberIsDisconnectedWithItsCircuits(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	cfg := relayConfig(g)
	cfg.Limits.Admission = time.Hour // it is the new roster that ends the circuit
	n := startRelay(t, cfg)
	a, b := join(t, g, "A", n), join(t, g, "B", n)
	circuit(t, n, a.host, b.host)
	a.deposit(1, "B", "never read")
	revoked := without(t, g, "B")
	if err := n.TakeRoster(revoked.Envelope); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the circuit is gone", func() bool { return a.host.Network().Connectedness(b.host.ID()) == network.NotConnected })
	<-b.over
	eventually(t, "the mail is gone", func() bool {
		s, err := n.mail.Stats(context.Background())
		return err == nil && s.Items == 0
	})
	if err := tryCircuit(n, a.host, b.host.ID()); err == nil {
		t.Fatal("A reached a member who was revoked")
	}
	select {
	case <-a.over:
		t.Fatal("A was disconnected too")
	default:
	}
}

func TestNewMemberIsGreetedAnew(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n := startRelay(t, relayConfig(g))
	a := join(t, g, "A", n)
	topicA := joinTopic(t, g, a.host)
	second := with(t, g, "C")
	id := g.Member("C")
	h := newHost(t, id.Identity)
	connect(t, h, n)
	if err := n.TakeRoster(second.Envelope); err != nil {
		t.Fatal(err)
	}
	eventually(t, "C is disconnected", func() bool { return h.Network().Connectedness(n.Peer()) == network.NotConnected })
	connect(t, h, n)
	topicC := joinTopic(t, g, h)
	warmUp(t, g, "A", topicA, topicC)
}

func TestHelloMayCarryTheRosterThatAdmits(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n := startRelay(t, relayConfig(g))
	second := with(t, g, "C")
	id := g.Member("C")
	h := newHost(t, id.Identity)
	cfg := sessionConfig(g, id, second)
	cfg.AttachRoster = true
	// The first attempt brings the roster and is disconnected for it, so that pubsub greets C anew; the next one works.
	eventually(t, "C is in", func() bool {
		connect(t, h, n)
		_, err := handshake(t, g, id, h, n, cfg)
		return err == nil
	})
	if v := n.roster.Load().Version; v != 2 {
		t.Fatalf("the relay node has roster %d", v)
	}
}

// circuit reserves a slot for one host and connects another to it.
func circuit(t testing.TB, n *Node, from, to host.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := overlay.Reserve(ctx, to, n.Peer()); err != nil {
		t.Fatal(err)
	}
	if err := tryCircuit(n, from, to.ID()); err != nil {
		t.Fatal(err)
	}
}

// tryCircuit connects a host to a peer through the relay node.
func tryCircuit(n *Node, from host.Host, to peer.ID) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	addr, err := overlay.CircuitAddr(n.Addrs()[0])
	if err != nil {
		return err
	}
	return overlay.Connect(ctx, from, peer.AddrInfo{ID: to, Addrs: []ma.Multiaddr{addr}})
}
