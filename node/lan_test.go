package node

import (
	"crypto/ed25519"
	"net"
	"slices"
	"testing"

	"conclave/overlay"
	"conclave/overlay/lan"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// loopbackName returns this machine's loopback interface: nothing here is sent anywhere else.
func loopbackName(t *testing.T) string {
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

// onLAN makes members look for each other on loopback, as on a local network, and know of no relay node.
func onLAN(t *testing.T) func(*Config) {
	name := loopbackName(t)
	return func(c *Config) {
		c.Relays, c.LAN = nil, &LAN{Interfaces: []string{name}}
		c.Listen = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0"), ma.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")}
	}
}

// newLAN is a group without a relay node that runs: the roster names one at no address.
func newLAN(t *testing.T, roles ...string) *world {
	w := newWorld(t, roles...)
	w.stopRelay()
	w.tune = onLAN(t)
	return w
}

// TestLAN has three agree and talk without any relay node, and the third come later.
func TestLAN(t *testing.T) {
	t.Parallel()
	w := newLAN(t, "A", "B", "C")
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	id := a.send("hello")
	b.reads("A", "hello")
	a.state(id, Delivered)
	c := w.join("C")
	agree(t, abc, a, b, c)
	for _, p := range []*person{a, b, c} {
		p.until("the others to be here", func(events []Event) bool {
			return len(presentPeers(events)) == 2
		})
	}
	c.send("I am here too")
	a.reads("C", "I am here too")
	b.reads("C", "I am here too")
	b.leave()
	a.until("B to be gone", func(events []Event) bool { return !slices.Contains(presentPeers(events), "B") })
}

// presentPeers returns who is there, as the events say.
func presentPeers(events []Event) (here []wire.Role) {
	for _, e := range all[Peer](events) {
		here = slices.DeleteFunc(here, func(r wire.Role) bool { return r == e.Role })
		if e.Online {
			here = append(here, e.Role)
		}
	}
	return here
}

// TestAttackOutsiderOnLANIsNotDialled has an outsider announce himself to a group whose name he knows.
func TestAttackOutsiderOnLANIsNotDialled(t *testing.T) {
	t.Parallel()
	w := newLAN(t, "A", "B")
	h, err := overlay.NewHost(overlay.HostConfig{
		Identity: w.outsider(), Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, Log: quiet("outsider"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	w.announce(h)
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	// The outsider announced himself before A and B found each other.
	if slices.ContainsFunc(h.Network().Peers(), func(p peer.ID) bool { return w.group.Roster.Admits(p) }) {
		t.Error("the outsider was dialled")
	}
}

// outsider returns a key of nobody.
func (w *world) outsider() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

// announce has a host announce itself on loopback as if it were the group's.
func (w *world) announce(h host.Host) {
	w.t.Helper()
	s, err := lan.Start(lan.Config{
		Group: w.group.Group.ID, Self: h.ID(), Listen: h.Network().ListenAddresses, Links: lan.Only(loopbackName(w.t)),
		Admit: func(peer.ID) bool { return false }, Found: func(peer.AddrInfo) {}, Log: quiet("announcer"),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = s.Close() })
}
