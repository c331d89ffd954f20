//go:build linux

package netlab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// Deadlines: what must come has long enough on a loaded machine; what must not come has a moment, which can only hide a fault.
const (
	patience = 60 * time.Second
	moment   = 150 * time.Millisecond
)

// socket is a UDP socket in a host.
type socket struct {
	t *testing.T
	*net.UDPConn
}

// bind opens a UDP socket in a host.
func bind(t *testing.T, h *Host, port uint16) socket {
	t.Helper()
	s := socket{t: t}
	err := h.Do(func() (err error) {
		s.UDPConn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(unspecified(h), port)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func unspecified(h *Host) netip.Addr {
	if h.Addr().Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

func (s socket) send(to netip.AddrPort, text string) {
	s.t.Helper()
	if _, err := s.WriteToUDPAddrPort([]byte(text), to); err != nil {
		s.t.Fatal(err)
	}
}

// receive returns the next packet, "" when none comes in time.
func (s socket) receive(wait time.Duration) (text string, from netip.AddrPort) {
	s.t.Helper()
	_ = s.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 2000)
	n, from, err := s.ReadFromUDPAddrPort(buf)
	if err != nil {
		return "", from
	}
	return string(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// observe answers every packet to a port of a host with the address that it came from.
func observe(t *testing.T, h *Host, port uint16) netip.AddrPort {
	t.Helper()
	s := bind(t, h, port)
	go func() { // ends with the socket
		buf := make([]byte, 2000)
		for {
			_, from, err := s.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = s.WriteToUDPAddrPort([]byte(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()).String()), from)
		}
	}()
	return netip.AddrPortFrom(h.Addr(), port)
}

// seenBy returns the address that an observer sees, the zero value when no answer comes in time.
func (s socket) seenBy(observer netip.AddrPort, wait time.Duration) netip.AddrPort {
	s.t.Helper()
	s.send(observer, "who am I")
	text, _ := s.receive(wait)
	if text == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(text)
}

// Each kind of NAT maps and filters as its name says.
func TestNATKinds(t *testing.T) {
	for _, c := range []struct {
		kind               NAT
		sameMap, freeEntry bool
	}{
		{EndpointIndependent, true, false},
		{FullCone, true, true},
		{AddressAndPortDependent, false, false},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			t.Parallel()
			lab := New(t)
			x, y := lab.Host("x", lab.Public()), lab.Host("y", lab.Public())
			a := lab.Host("a", lab.Router("home", lab.Public(), c.kind).LAN)
			s := bind(t, a, 5000)
			seen := []netip.AddrPort{
				s.seenBy(observe(t, x, 1000), patience), s.seenBy(observe(t, x, 1001), patience), s.seenBy(observe(t, y, 1000), patience),
			}
			if same := seen[0] == seen[1] && seen[0] == seen[2]; same != c.sameMap || !seen[0].IsValid() {
				t.Errorf("three destinations see %v", seen)
			}
			for _, one := range seen {
				if one.Addr() == a.Addr() {
					t.Errorf("%s is not translated", one)
				}
			}
			// y:2000 was never asked: what it sends comes in where filtering is endpoint-independent. x:2001 was asked,
			// after it had sent: its answer comes after what y sent.
			stranger, friend := bind(t, y, 2000), bind(t, x, 2001)
			stranger.send(seen[0], "unasked")
			s.send(netip.AddrPortFrom(x.Addr(), 2001), "hello")
			_, from := friend.receive(patience)
			friend.send(from, "asked")
			text, _ := s.receive(patience)
			if got := text == "unasked"; got != c.freeEntry || text == "" {
				t.Errorf("the first that came in is %q", text)
			}
		})
	}
}

// Two sockets behind NATs reach each other directly, once each has sent, where mapping is endpoint-independent, and do not
// where both routers choose another port for each destination. This is what the rows of the matrix rest on.
func TestHolePunching(t *testing.T) {
	for kind, want := range map[NAT]bool{EndpointIndependent: true, AddressAndPortDependent: false} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			lab := New(t)
			x := observe(t, lab.Host("x", lab.Public()), 1000)
			a := bind(t, lab.Host("a", lab.Router("home", lab.Public(), kind).LAN), 5000)
			b := bind(t, lab.Host("b", lab.Router("office", lab.Public(), kind).LAN), 5000)
			atA, atB := a.seenBy(x, patience), b.seenBy(x, patience)
			a.send(atB, "opens a's side") // is dropped at b's router
			b.send(atA, "from b")
			a.send(atB, "from a")
			atALeast, _ := a.receive(map[bool]time.Duration{true: patience, false: moment}[want])
			atBLeast, _ := b.receive(map[bool]time.Duration{true: patience, false: moment}[want])
			if (atALeast == "from b") != want || (atBLeast == "from a") != want {
				t.Errorf("a got %q, b got %q", atALeast, atBLeast)
			}
		})
	}
}

func TestDoubleNATAndMoves(t *testing.T) {
	t.Parallel()
	lab := New(t)
	x := observe(t, lab.Host("x", lab.Public()), 1000)
	outer := lab.Router("outer", lab.Public(), EndpointIndependent)
	inner, other := lab.Router("inner", outer.LAN, EndpointIndependent), lab.Router("other", lab.Public(), EndpointIndependent)
	a := lab.Host("a", inner.LAN)
	s := bind(t, a, 5000)
	first := s.seenBy(x, patience)
	if !first.IsValid() || first.Addr() == a.Addr() || !publicPrefix4.Contains(first.Addr()) {
		t.Fatalf("behind two routers a is seen as %v", first)
	}
	before := a.Addr()
	a.Readdress()
	if again := s.seenBy(x, patience); again.Addr() != first.Addr() || a.Addr() == before {
		t.Errorf("with its address changed from %s to %s it is seen as %v, was %v", before, a.Addr(), again, first)
	}
	a.MoveTo(other.LAN)
	moved := s.seenBy(x, patience)
	if !moved.IsValid() || moved.Addr() == first.Addr() {
		t.Errorf("elsewhere it is seen as %v, was %v", moved, first)
	}
	a.Attach(inner.LAN)
	a.DefaultVia(inner.LAN)
	if swapped := s.seenBy(x, patience); swapped.Addr() != first.Addr() {
		t.Errorf("through its second interface it is seen as %v, was %v", swapped, first)
	}
	a.DefaultVia(other.LAN)
	a.Unplug()
	if _, err := s.WriteToUDPAddrPort([]byte("x"), x); err == nil {
		t.Error("with the cable pulled it sends")
	}
	a.Plug()
	if back := s.seenBy(x, patience); back.Addr() != moved.Addr() {
		t.Errorf("plugged in again it is seen as %v, was %v", back, moved)
	}
}

func TestIPv6Only(t *testing.T) {
	t.Parallel()
	lab := New(t, IPv6Only())
	x := observe(t, lab.Host("x", lab.Public()), 1000)
	outer := lab.Router("outer", lab.Public(), Open)
	a := lab.Host("a", lab.Router("home", outer.LAN, EndpointIndependent).LAN)
	if seen := bind(t, a, 5000).seenBy(x, patience); seen.Addr() != a.Addr() {
		t.Errorf("%s is seen as %v", a.Addr(), seen)
	}
	stranger := lab.Host("y", lab.Public())
	y := bind(t, stranger, 1000)
	s := bind(t, a, 5001)
	y.send(netip.AddrPortFrom(a.Addr(), 5001), "unasked")
	s.send(netip.AddrPortFrom(stranger.Addr(), 1000), "hello")
	_, from := y.receive(patience)
	y.send(from, "asked")
	if text, _ := s.receive(patience); text != "asked" {
		t.Errorf("through the firewall came first %q", text)
	}
}

// Cut, loss, blocked protocols and a slow uplink do what they say, and are undone.
func TestBadLinks(t *testing.T) {
	t.Parallel()
	lab := New(t)
	relay := lab.Host("x", lab.Public())
	x := observe(t, relay, 1000)
	home := lab.Router("home", lab.Public(), EndpointIndependent)
	a := lab.Host("a", home.LAN)
	s := bind(t, a, 5000)
	works := func(what string, want bool) {
		t.Helper()
		wait := patience
		if !want {
			wait = moment
		}
		if got := s.seenBy(x, wait).IsValid(); got != want {
			t.Errorf("%s: it works: %v", what, got)
		}
	}
	works("at first", true)
	a.Cut()
	works("a is cut off", false)
	a.Restore()
	works("restored", true)
	relay.Cut()
	works("x is cut off", false)
	relay.Restore()
	works("restored", true)
	home.BlockUDP()
	works("UDP is blocked", false)
	if !dials(t, a, relay, 4001) {
		t.Error("with UDP blocked TCP does not work")
	}
	home.AllowOnlyTCP(443)
	works("only TCP 443 is open", false)
	if dials(t, a, relay, 4001) || !dials(t, a, relay, 443) {
		t.Error("not just TCP 443 is open")
	}
	home.Block()
	works("nothing is blocked", true)

	a.Lose(20)
	answered := 0
	for range 200 {
		if s.seenBy(x, 10*time.Millisecond).IsValid() {
			answered++
		}
	}
	if answered < 80 || answered > 175 { // 64 % are expected
		t.Errorf("with 20 %% loss each way %d of 200 were answered", answered)
	}
	a.Restore()

	home.Uplink("64kbit")
	for range 30 {
		s.send(x, string(make([]byte, 1000)))
	}
	begin, got := time.Now(), 0
	for text, _ := s.receive(time.Second); text != ""; text, _ = s.receive(time.Second) {
		got++
	}
	if took := time.Since(begin) - time.Second; got < 8 || got == 30 || took < 500*time.Millisecond {
		t.Errorf("%d of 30 kB passed 64 kbit/s in %s", got, took)
	}
	home.Uplink("")
	works("with a fast uplink", true)
}

// dials reports whether a TCP connection to a port of a host, which listens, comes about.
func dials(t *testing.T, from, to *Host, port int) bool {
	t.Helper()
	var listener net.Listener
	err := to.Do(func() (err error) { listener, err = net.Listen("tcp4", fmt.Sprintf(":%d", port)); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return from.Do(func() error {
		c, err := net.DialTimeout("tcp4", fmt.Sprintf("%s:%d", to.Addr(), port), time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err
	}) == nil
}

// Two labs may have the same names and addresses, and do not see each other.
func TestLabsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	one, two := New(t), New(t)
	x := observe(t, one.Host("x", one.Public()), 1000)
	a, b := one.Host("a", one.Public()), two.Host("a", two.Public())
	if !bind(t, a, 5000).seenBy(x, patience).IsValid() {
		t.Error("in its own lab a host does not answer")
	}
	if seen := bind(t, b, 5000).seenBy(x, moment); seen.IsValid() {
		t.Errorf("another lab's host answered: %v", seen)
	}
	if _, err := os.Stat("/run/netns/a"); err == nil {
		t.Error("the machine knows a lab's namespace by its name")
	}
	var list []net.Interface
	err := a.Do(func() (err error) { list, err = net.Interfaces(); return err })
	if err != nil || slices.ContainsFunc(list, func(i net.Interface) bool { return i.Name != "lo" && i.Name != "eth0" }) {
		t.Errorf("a has %v, %v", list, err)
	}
}

func TestProcess(t *testing.T) {
	t.Parallel()
	lab := New(t)
	a := lab.Host("a", lab.Public())
	p := a.Start("sh", "-c", `echo plain; ip -o -4 addr show eth0; while read line; do echo "{\"event\":\"said\",\"text\":\"$line\"}"; done; echo gone >&2; exit 3`)
	p.Must("its address", 0, patience, func(l Line) bool { return slices.Contains(strings.Fields(l.Text), a.Addr().String()+"/16") })
	if err := p.Say("hello"); err != nil {
		t.Fatal(err)
	}
	if l := p.Must("an event", 0, patience, func(l Line) bool { return l.Is("said") }); l.String("text") != "hello" || l.At.IsZero() {
		t.Errorf("the event is %+v", l)
	}
	if err := p.CloseInput(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Await(0, patience, func(Line) bool { return false }); err != ErrEnded {
		t.Errorf("waiting in vain: %v", err)
	}
	if code := p.Stop(patience); code != 3 {
		t.Errorf("exit code %d: %s", code, p)
	}
}
