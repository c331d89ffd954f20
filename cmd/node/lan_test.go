package main

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"conclave/pki/pkitest"
	"conclave/relaynode"

	ma "github.com/multiformats/go-multiaddr"
)

// loopback is how a member is told to look for others on this machine only.
func loopback(t *testing.T) []string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			return []string{"--lan", i.Name, "--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"}
		}
	}
	t.Fatal("there is no loopback interface")
	return nil
}

// TestLANWithoutRelayNode has three processes agree and talk though no relay node runs anywhere. A says something and
// ends its input: it leaves when somebody has it.
func TestLANWithoutRelayNode(t *testing.T) {
	t.Parallel()
	p := &place{t: t, home: pkitest.NewGroup(t, "A", "B", "C").Home()}
	lan := loopback(t)
	a := p.start("A", append(lan, "--ui", "plain")...)
	b := p.start("B", append(lan, "--ui", "json")...)
	c := p.start("C", append(lan, "--ui", "plain")...)
	b.until("a key of all", func(l []string) bool {
		return slices.ContainsFunc(events(l, "session_key"), func(e jsonEvent) bool { return len(e["contributors"].([]any)) == 3 })
	})
	b.until("two others", func(l []string) bool { return len(events(l, "peer")) >= 2 })
	b.types(`{"send":"nobody in between"}`)
	a.prints("[B] nobody in between")
	c.prints("[B] nobody in between")
	b.until("its delivery", func(l []string) bool {
		return slices.ContainsFunc(events(l, "sent"), func(e jsonEvent) bool { return e["state"] == "delivered" })
	})
	a.types("last words")
	if err := a.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if code := a.wait(); code != 0 {
		t.Fatalf("exit code %d at the end of input: %s", code, a.err.String())
	}
	c.prints("[A] last words")
}

// TestLANFindsTheRelayNode has a member find the relay node though the roster names no address at which it is.
func TestLANFindsTheRelayNode(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	id := g.Relay(0)
	lan := loopback(t)
	n, err := relaynode.New(relaynode.Config{
		Group: g.Group, Certificate: id.Cert.DER, Identity: id.Identity, Roster: g.Roster, LAN: &relaynode.LAN{Interfaces: lan[1:2]},
		StatePath: filepath.Join(t.TempDir(), "relay.db"), Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
	})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- n.Run(t.Context()) }()
	t.Cleanup(func() { _ = n.Close(); <-ran })
	for _, addr := range g.Roster.Relays[0].Addrs {
		if strings.HasPrefix(n.Addrs()[0].String(), addr.String()) {
			t.Fatal("the roster names the relay node's address")
		}
	}
	p := &place{t: t, home: g.Home()}
	a := p.start("A", append(lan, "--ui", "json")...)
	a.until("a link that is ready", func(l []string) bool {
		return slices.ContainsFunc(events(l, "link"), func(e jsonEvent) bool { return e["state"] == "ready" })
	})
}
