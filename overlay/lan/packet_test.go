package lan

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"conclave/overlay/wire"

	ma "github.com/multiformats/go-multiaddr"
)

func TestServiceName(t *testing.T) {
	g := wire.GroupID{0xaa, 0xbb}
	name := serviceName(g)
	if strings.Contains(name, g.String()[:8]) {
		t.Error("the name tells the group's ID")
	}
	if name == serviceName(wire.GroupID{0xaa, 0xbc}) {
		t.Error("two groups have one name")
	}
	if want := "_3dae4a70d05fde3ecd036a8c1a38ae._udp.local."; name != want {
		t.Errorf("the name is %q", name)
	}
}

func TestPackets(t *testing.T) {
	name := serviceName(wire.GroupID{7})
	ask, err := question(name)
	if err != nil {
		t.Fatal(err)
	}
	if p := read(name, ask); !p.asks || len(p.texts) > 0 {
		t.Errorf("a question reads as %+v", p)
	}
	if p := read(serviceName(wire.GroupID{8}), ask); p.asks || mentions(ask, serviceName(wire.GroupID{8})) || !mentions(ask, name) {
		t.Error("another group's question is taken for ours")
	}
	addrs := []string{"/ip4/192.0.2.1/tcp/1/p2p/x", strings.Repeat("a", 250), "/ip6/2001:db8::1/udp/1/quic-v1/p2p/x"}
	say, err := announcement(name, "instance", addrs)
	if err != nil {
		t.Fatal(err)
	}
	if p := read(name, say); p.asks || !slices.Equal(p.texts, []string{addrs[0], addrs[2]}) {
		t.Errorf("an announcement reads as %+v", p)
	}
	if p := read(serviceName(wire.GroupID{8}), say); len(p.texts) > 0 {
		t.Error("another group's announcement is taken for ours")
	}
	many := make([]string, 3*maxTexts)
	for i := range many {
		many[i] = "/ip4/192.0.2.1/tcp/1"
	}
	if say, err = announcement(name, "instance", many); err != nil {
		t.Fatal(err)
	}
	if p := read(name, say); len(p.texts) != maxTexts {
		t.Errorf("%d addresses of one packet are looked at", len(p.texts))
	}
}

// FuzzRead reads anything: no panic, and bounds that hold.
func FuzzRead(f *testing.F) {
	name := serviceName(wire.GroupID{7})
	for _, make := range []func() ([]byte, error){
		func() ([]byte, error) { return question(name) },
		func() ([]byte, error) { return announcement(name, "x", []string{"/ip4/192.0.2.1/tcp/1"}) },
	} {
		data, err := make()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if p := read(name, data); len(p.texts) > maxTexts {
			t.Fatalf("%d texts", len(p.texts))
		}
	})
}

func TestWhereAHostIsOnALink(t *testing.T) {
	l := Link{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.1.5/24"), netip.MustParsePrefix("fd00::5/64")}}
	var listen []ma.Multiaddr
	for _, a := range []string{
		"/ip4/0.0.0.0/tcp/1", "/ip6/::/udp/2/quic-v1", "/ip4/127.0.0.1/tcp/3", "/ip4/192.168.1.5/tcp/4", "/ip4/192.168.1.6/tcp/5",
		"/ip4/0.0.0.0/tcp/6/ws", "/p2p-circuit",
	} {
		listen = append(listen, ma.StringCast(a))
	}
	var got []string
	for _, a := range l.here(listen) {
		got = append(got, a.String())
	}
	if want := []string{"/ip4/192.168.1.5/tcp/1", "/ip6/fd00::5/udp/2/quic-v1", "/ip4/192.168.1.5/tcp/4"}; !slices.Equal(got, want) {
		t.Errorf("it is at %v, want %v", got, want)
	}
	for ip, want := range map[string]bool{"192.168.1.77": true, "192.168.2.1": false, "fd00::9": true, "8.8.8.8": false, "127.0.0.1": false} {
		if got := l.holds(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s is on the link: %v", ip, got)
		}
	}
}
