//go:build linux

package netlab

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// lanPatience is how long something on a local network may take on a busy machine.
const lanPatience = 60 * time.Second

// TestLAN has A and B on one local network find each other and talk while no relay node runs anywhere and nothing leads out,
// A's laptop move to another network, and a relay node appear: they go on with the same key, and C, who comes then, reads
// what was said before.
func TestLAN(t *testing.T) {
	t.Parallel()
	lab := New(t)
	home, cafe := lab.Router("home", lab.Public(), EndpointIndependent), lab.Router("cafe", lab.Public(), EndpointIndependent)
	g := lab.NewGroup(lab.Host("relay", lab.Public()), []string{"A", "B", "C"})
	laptop, desk := lab.Host("A", home.LAN), lab.Host("B", home.LAN)
	home.Block("meta l4proto { tcp, udp }") // nothing leads out
	a, b := g.StartMember(laptop, "A"), g.StartMember(desk, "B")
	key := a.Must("a key of A and B", 0, lanPatience, HasKeyOf("A", "B"))
	b.Must("the same key", 0, lanPatience, func(l Line) bool {
		return HasKeyOf("A", "B")(l) && l.String("fingerprint") == key.String("fingerprint")
	})
	a.Must("B to be near", 0, lanPatience, func(l Line) bool { return l.Is("peer") && l.String("role") == "B" && l.JSON["online"] == true })
	say := func(from *Process, text string) {
		t.Helper()
		if err := from.Say(fmt.Sprintf(`{"send":%q}`, text)); err != nil {
			t.Fatal(err)
		}
	}
	say(a, "on the LAN")
	b.Must("A's message", 0, lanPatience, Says("A", "on the LAN"))
	a.Must("its delivery", 0, lanPatience, func(l Line) bool { return l.Is("sent") && l.String("state") == "delivered" })

	// The laptop is carried away. Nobody tells B, and what A writes meanwhile waits.
	moved, gone := a.Mark(), b.Mark()
	laptop.MoveTo(cafe.LAN)
	left := time.Now()
	away := func(role string) func(Line) bool {
		return func(l Line) bool { return l.Is("peer") && l.String("role") == role && l.JSON["online"] == false }
	}
	knew := a.Must("B to be gone", moved, lanPatience, away("B")).At.Sub(left)
	told := b.Must("A to be gone", gone, lanPatience, away("A")).At.Sub(left)
	t.Logf("after the laptop has left, it knows in %v and the other one in %v", knew.Round(time.Millisecond), told.Round(time.Millisecond))
	say(a, "on the way")
	home.Block() // the way out is open again
	g.StartRelay()
	served := time.Now()
	back := b.Must("A's message from elsewhere", gone, lanPatience, Says("A", "on the way")).At.Sub(served)
	t.Logf("after the relay node has come, the other one reads what was written on the way in %v", back.Round(time.Millisecond))
	say(b, "still here")
	a.Must("B's message", moved, lanPatience, Says("B", "still here"))
	for _, p := range []*Process{a, b} {
		if slices.ContainsFunc(p.Lines(moved), func(l Line) bool { return l.Is("session_key") }) {
			t.Errorf("the key has changed:\n%s", p)
		}
	}

	c := g.StartMember(lab.Host("C", lab.Public()), "C")
	c.Must("what was said on the LAN", 0, lanPatience, Says("A", "on the LAN"))
	c.Must("what was said later", 0, lanPatience, Says("B", "still here"))
}

// TestLANFindsTheRelayNode has a member find the relay node of its network, though the roster names another address.
func TestLANFindsTheRelayNode(t *testing.T) {
	t.Parallel()
	lab := New(t)
	home := lab.Router("home", lab.Public(), EndpointIndependent)
	relay := lab.Host("relay", lab.Public())
	g := lab.NewGroup(relay, []string{"A"})
	relay.MoveTo(home.LAN) // away from where the roster says that it is
	g.StartRelay()
	a := g.StartMember(lab.Host("A", home.LAN), "A")
	a.Must("a link that is ready", 0, lanPatience, func(l Line) bool { return l.Is("link") && l.String("state") == "ready" })
}
