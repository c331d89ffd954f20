//go:build linux

package netlab

import (
	"path/filepath"
	"testing"
	"time"

	"conclave/overlay/wire"
	"conclave/pki/keystore"
	"conclave/pki/pkitest"
)

// A relay node behind a NAT is reached through another one on the public segment: members behind NATs of their own, which
// know nothing but its circuit address, have a session and the topic at both, agree on a key and talk.
func TestRelayNodeBehindNAT(t *testing.T) {
	t.Parallel()
	lab := New(t)
	roles := []string{"A", "B"}
	outside := lab.Host("relay", lab.Public())
	g := pkitest.New(t, pkitest.Config{
		Roles: []wire.Role{"A", "B"}, Relays: 2, Addrs: []string{outside.IP() + "/tcp/4001"},
	})
	outer := &Group{Home: g.Home(), Relay: outside, lab: lab}
	outer.StartRelay()
	at := outside.IP() + "/tcp/4001/p2p/" + g.Relay(0).Cert.Peer.String()

	inside := lab.Host("inner", lab.Router("r-inner", lab.Public(), AddressAndPortDependent).LAN)
	inner := inside.Start(Binary(t, "relay"), "--home", secondHome(t, g), "--via", at)
	circuit := at + "/p2p-circuit/p2p/" + g.Relay(1).Cert.Peer.String()
	inner.Must("its circuit address", 0, startup, func(l Line) bool { return l.Text == "relay address: "+circuit })

	members := make(map[string]*Process)
	for _, role := range roles {
		host := lab.Host(role, lab.Router("r-"+role, lab.Public(), AddressAndPortDependent).LAN)
		members[role] = outer.StartMember(host, role, "--relay", circuit)
	}
	for _, role := range roles {
		for i := range 2 {
			id := g.Relay(i).Cert.Peer.String()
			members[role].Must("a link to "+id, 0, time.Minute, func(l Line) bool {
				return l.Is("link") && l.String("state") == "ready" && l.String("relay") == id
			})
		}
		members[role].Must("a key", 0, time.Minute, HasKeyOf(roles...))
	}
	for i, role := range roles {
		if err := members[role].Say(`{"send":"hello"}`); err != nil {
			t.Fatal(err)
		}
		members[roles[1-i]].Must("what "+role+" says", 0, time.Minute, Says(role, "hello"))
	}
}

// secondHome writes a home for the group's second relay node.
func secondHome(t *testing.T, g *pkitest.Group) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), "second")
	dir, err := keystore.CreateGroup(home, g.Group)
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.WriteRelay(g.Relay(1).Cert.DER, g.Relay(1).Identity); err != nil {
		t.Fatal(err)
	}
	if err := dir.RosterFile(g.Group, nil).Save(g.Roster); err != nil {
		t.Fatal(err)
	}
	return home
}
