//go:build linux

package netlab

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// reached matches the event that says by which path a member is reached.
func reached(role, path string) func(Line) bool {
	return func(l Line) bool { return l.Is("peer") && l.String("role") == role && l.String("path") == path }
}

// natted starts a relay node and A and B behind routers of their own, and waits for their key.
func natted(t *testing.T, kind NAT) (g *Group, a, b *Process, routerA, routerB *Router) {
	t.Helper()
	lab := New(t)
	g = lab.NewGroup(lab.Host("relay", lab.Public()), []string{"A", "B"})
	g.StartRelay()
	routerA, routerB = lab.Router("home-A", lab.Public(), kind), lab.Router("home-B", lab.Public(), kind)
	a, b = g.StartMember(lab.Host("A", routerA.LAN), "A"), g.StartMember(lab.Host("B", routerB.LAN), "B")
	for _, p := range []*Process{a, b} {
		p.Must("a key of both", 0, patience, HasKeyOf("A", "B"))
	}
	return g, a, b, routerA, routerB
}

// says sends a text and waits until the other side shows it. It returns how long that took.
func says(t *testing.T, from *Process, role string, to *Process, text string) time.Duration {
	t.Helper()
	began := time.Now()
	if err := from.Say(fmt.Sprintf(`{"send":%q}`, text)); err != nil {
		t.Fatal(err)
	}
	to.Must("the message "+text, 0, patience, Says(role, text))
	return time.Since(began)
}

// TestDirectThroughNATs: two members behind endpoint-independent NATs reach each other directly, and talk on when the relay
// node is killed. When the direct path dies without a word the relay path goes on, at once, and it is shown within 10 s.
func TestDirectThroughNATs(t *testing.T) {
	g, a, b, routerA, _ := natted(t, EndpointIndependent)
	line := a.Must("a direct path to B", 0, patience, reached("B", "direct"))
	b.Must("a direct path to A", 0, patience, reached("A", "direct"))
	t.Logf("A reaches B: %s", line.String("reason"))
	if !strings.Contains(line.String("reason"), "through the NATs") {
		t.Errorf("the reason is %q", line.String("reason"))
	}
	says(t, a, "A", b, "both ways")

	mark := a.Mark()
	routerA.Block("ip daddr != " + g.Relay.IP()[len("/ip4/"):] + " ip saddr != " + g.Relay.IP()[len("/ip4/"):])
	cut := time.Now()
	for i := range 5 {
		if took := says(t, a, "A", b, fmt.Sprint("through the relay node ", i)); took > 5*time.Second {
			t.Errorf("a message took %s", took)
		}
	}
	line = a.Must("the relay path", mark, patience, reached("B", "relay"))
	t.Logf("shown %s after the cut: %s", time.Since(cut).Round(time.Millisecond), line.String("reason"))
	if time.Since(cut) > 10*time.Second {
		t.Errorf("shown %s after the cut", time.Since(cut))
	}
}

// TestFramesFlowDirectly: when the relay node dies, two members with a direct connection talk on.
func TestFramesFlowDirectly(t *testing.T) {
	g, a, b, _, _ := natted(t, EndpointIndependent)
	a.Must("a direct path to B", 0, patience, reached("B", "direct"))
	b.Must("a direct path to A", 0, patience, reached("A", "direct"))
	g.RelayProcess.Kill()
	for i := range 5 {
		if took := says(t, b, "B", a, fmt.Sprint("without the relay node ", i)); took > 5*time.Second {
			t.Errorf("a message took %s", took)
		}
	}
}

// TestNoHoleThroughSymmetricNATs: where hole punching fails everything goes on through the relay node, and the reason is
// told.
func TestNoHoleThroughSymmetricNATs(t *testing.T) {
	_, a, b, _, _ := natted(t, AddressAndPortDependent)
	failed := func(l Line) bool { return l.Is("peer") && strings.Contains(l.String("reason"), "hole punching failed") }
	for _, p := range []*Process{a, b} {
		t.Log(p.Must("the reason", 0, patience, failed).Text)
	}
	says(t, a, "A", b, "hello")
	says(t, b, "B", a, "hello")
}
