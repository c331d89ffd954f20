package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"conclave/node"
	"conclave/pki/authority"
	"conclave/pki/pkitest"

	ma "github.com/multiformats/go-multiaddr"
)

// faults are things that break, each with the one hop that the doctor has to name and a word that what it says must have.
var faults = []struct {
	name   string
	hop    Hop
	says   string
	inject func(c *clinic)
}{
	{"the clock is a day ahead", Clock, "behind", func(c *clinic) {
		c.start()
		c.a.Now = func() time.Time { return time.Now().Add(24 * time.Hour) }
	}},
	{"the clock is years behind", Clock, "still to come", func(c *clinic) {
		c.start()
		c.a.Now = func() time.Time { return pkitest.Start.Add(-48 * time.Hour) }
	}},
	{"an unknown name", Name, "no..such..host", func(c *clinic) { c.at("/dns4/no..such..host/tcp/4001") }},
	{"nothing listens", Port, "nothing listens", func(c *clinic) { c.at("/ip4/127.0.0.1/tcp/" + freePort(c.t)) }},
	{"UDP is blocked", Transport, "UDP", func(c *clinic) {
		c.wait = 2 * time.Second
		c.at("/ip4/127.0.0.1/udp/" + freePort(c.t) + "/quic-v1")
	}},
	{"another program has the port", Transport, "no secure channel", func(c *clinic) { c.at("/ip4/127.0.0.1/tcp/" + stranger(c.t)) }},
	{"another peer ID", Identity, "as its address says", func(c *clinic) {
		c.start()
		at, _ := ma.SplitLast(c.relay.Addrs()[0])
		c.a.Relays = []ma.Multiaddr{at.Encapsulate(ma.StringCast("/p2p/" + c.g.Member("B").Cert.Peer.String()))}
	}},
	{"another group's relay node", Identity, "not a relay node of roster version 1", func(c *clinic) {
		other := clinicOf(c.t, pkitest.NewGroup(c.t, "A", "B"))
		other.start()
		c.a.Relays = other.a.Relays
	}},
	{"the certificate has ended", Certificate, "ended on", func(c *clinic) {
		past := time.Now().Add(-2 * time.Hour)
		*c = *clinicOf(c.t, pkitest.New(c.t, pkitest.Config{Now: func() time.Time { return past }, Life: time.Hour}))
		past = time.Now()
		c.a.Roster = c.g.Reissue(nil)
	}},
	{"the member was removed", Roster, "not in its roster", func(c *clinic) {
		c.g.Reissue(func(d *authority.Draft) { _ = d.RemoveMember("A") })
		c.start()
	}},
	{"the roster has ended", Roster, "ended on", func(c *clinic) {
		past := time.Now().Add(-2 * time.Hour)
		*c = *clinicOf(c.t, pkitest.New(c.t, pkitest.Config{Now: func() time.Time { return past }, Life: time.Hour}))
		past = time.Now()
		id := c.g.Member("A")
		cert, err := c.g.Authority.IssueMember("A", identityOf(id.Identity), &id.RSA.PublicKey)
		if err != nil {
			c.t.Fatal(err)
		}
		c.a.Certificate = cert.DER
	}},
	{"no circuit slot", Reservation, "denies", func(c *clinic) { c.half(true) }},
	{"no topic", Topic, "does not carry", func(c *clinic) { c.half(false); c.wait = 3 * time.Second }},
	{"nobody else is there", Epoch, "nobody else", func(c *clinic) { c.start(); c.wait = 3 * time.Second }},
	{"a member without a slot", Peer, "no slot", func(c *clinic) {
		c.start()
		for _, stop := range c.keyed(c.a, c.member("B")) {
			stop()
		}
		c.shadow("B")
	}},
}

// stranger listens on a port and speaks something else.
func stranger(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 mail.example ESMTP\r\n")
			_ = conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestFaults breaks one thing after the other: the doctor names the hop, in words, with a hint, and no other hop.
func TestFaults(t *testing.T) {
	if len(faults) < 12 {
		t.Fatalf("%d faults, want twelve", len(faults))
	}
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			c := newClinic(t)
			f.inject(c)
			found := Run(t.Context(), c.a, Options{Patience: c.wait})
			broken := Broken(found)
			if f.hop == Reservation && slices.Contains(broken, Topic) {
				broken = slices.DeleteFunc(broken, func(h Hop) bool { return h == Topic }) // that relay node has none either
			}
			if !slices.Equal(broken, []Hop{f.hop}) {
				t.Fatalf("broken is %v, want %s\n%s", broken, f.hop, text(found))
			}
			for _, one := range found {
				if one.Hop == f.hop && one.State == Fail {
					if !strings.Contains(one.What, f.says) || one.Hint == "" {
						t.Errorf("it says %+v, want %q and a hint", one, f.says)
					}
				}
			}
			named := make(map[Hop]bool)
			for _, one := range found {
				named[one.Hop] = true
			}
			for _, hop := range Hops {
				if !named[hop] {
					t.Errorf("nothing is said of %s\n%s", hop, text(found))
				}
			}
		})
	}
}

func text(found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s: %s (%s)\n", f.State, f.Hop, f.What, f.Hint)
	}
	return b.String()
}

// TestHealthy looks at a group in which all is well, and leaves A's messages for A.
func TestHealthy(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	c.start()
	b := c.member("B")
	stops := c.keyed(c.a, b)
	stops[0]()
	stops[1]()
	n, _ := c.runs(b)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := n.Send("while A is away"); err != nil {
		t.Fatal(err)
	}
	if err := n.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	found := Run(ctx, c.a, Options{Patience: 10 * time.Second})
	for _, f := range found {
		if f.State != OK {
			t.Errorf("%s %s: %s", f.State, f.Hop, f.What)
		}
	}
	for _, hop := range Hops {
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.Hop == hop }) {
			t.Errorf("nothing is said of %s", hop)
		}
	}
	again := c.a
	again.Relays = c.relay.Addrs()
	a, err := node.New(again)
	if err != nil {
		t.Fatal(err)
	}
	events := a.Subscribe()
	ran := make(chan error, 1)
	go func() { ran <- a.Run(context.Background()) }()
	t.Cleanup(func() { _ = a.Close(); <-ran })
	for {
		e, ok := events.Next(ctx)
		if !ok {
			t.Fatal("the doctor took A's message")
		}
		if m, is := e.(node.Message); is {
			if m.Text != "while A is away" {
				t.Errorf("A reads %q", m.Text)
			}
			return
		}
	}
}

// TestWhileItRuns looks at a member that runs: its session stays, and what only it knows is left to it.
func TestWhileItRuns(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	c.start()
	n, _ := c.runs(c.a)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	events := n.Subscribe()
	defer events.Close()
	for ready := false; !ready; {
		e, ok := events.Next(ctx)
		if !ok {
			t.Fatal("A is not ready")
		}
		l, is := e.(node.Link)
		ready = is && l.State == node.Ready
	}
	found := Run(ctx, c.a, Options{})
	if broken := Broken(found); len(broken) > 0 {
		t.Errorf("broken: %v\n%s", broken, text(found))
	}
	for _, f := range found {
		if skipped := f.State == Skipped; skipped != slices.Contains([]Hop{Topic, Epoch, Peer}, f.Hop) {
			t.Errorf("%s %s: %s", f.State, f.Hop, f.What)
		}
	}
	status, err := c.relay.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := status.Counts["session-replaced"]; got != 0 || !status.Members[0].Online {
		t.Errorf("the running member's session was replaced %d times, online %v", got, status.Members[0].Online)
	}
}
