package overlay

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"go.uber.org/goleak"

	ma "github.com/multiformats/go-multiaddr"
)

func TestHostConfigRefuses(t *testing.T) {
	for name, cfg := range map[string]HostConfig{
		"no identity": {Log: quiet()},
		"no logger":   {Identity: make([]byte, 64)},
		"no ACL":      {Identity: make([]byte, 64), Log: quiet(), Relay: &RelayConfig{}},
		"negative":    {Identity: make([]byte, 64), Log: quiet(), Peers: -1},
	} {
		if _, err := NewHost(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestHostTransports(t *testing.T) {
	t.Parallel()
	server := newHost(t, func(c *HostConfig) { c.Listen = []ma.Multiaddr{loopbackTCP, loopbackQUIC} })
	HandleStream(server, "/echo", StreamLimits{Service: "echo"}, echo, quiet())
	if n := len(server.Addrs()); n != 2 {
		t.Fatalf("%d addresses, want 2: %v", n, server.Addrs())
	}
	for _, a := range server.Addrs() {
		client := newHost(t, dialOnly)
		if err := Connect(deadline(t, 60*time.Second), client, peer.AddrInfo{ID: server.ID(), Addrs: []ma.Multiaddr{a}}); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, client, server.ID(), "hello"); got != "hello" {
			t.Fatalf("over %s: %q", a, got)
		}
	}
}

func echo(_ context.Context, s network.Stream) error {
	_, err := io.Copy(s, s)
	return err
}

// ask sends text on the echo protocol and returns what comes back.
func ask(t testing.TB, h host.Host, p peer.ID, text string) string {
	t.Helper()
	s, err := OpenStream(deadline(t, 60*time.Second), h, p, "/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := io.WriteString(s, text); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestListenFailureClosesHost(t *testing.T) {
	taken := newHost(t)
	_, err := NewHost(HostConfig{Identity: identity(t), Listen: taken.Addrs(), Log: quiet()})
	if err == nil || !strings.Contains(err.Error(), "listening on") {
		t.Fatalf("err = %v", err)
	}
}

func TestHostClosesQuietly(t *testing.T) {
	before := goleak.IgnoreCurrent()
	h, err := NewHost(HostConfig{
		Identity: identity(t), Listen: []ma.Multiaddr{loopbackTCP, loopbackQUIC}, Log: quiet(),
		Relay: &RelayConfig{ACL: acl(func(peer.ID) bool { return true })}, HolePunch: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
}

func TestAnnounce(t *testing.T) {
	t.Parallel()
	want := ma.StringCast("/dns4/relay.example/tcp/4001")
	h := newHost(t, func(c *HostConfig) { c.Announce = []ma.Multiaddr{want} })
	if got := h.Addrs(); len(got) != 1 || !got[0].Equal(want) {
		t.Fatalf("announces %v", got)
	}
}

// acl admits peers to circuits.
type acl func(peer.ID) bool

func (a acl) AllowReserve(p peer.ID, _ ma.Multiaddr) bool                 { return a(p) }
func (a acl) AllowConnect(src peer.ID, _ ma.Multiaddr, dest peer.ID) bool { return a(src) && a(dest) }

func relayed(n int, a acl) func(*HostConfig) {
	return func(c *HostConfig) { c.Peers, c.Relay = n, &RelayConfig{ACL: a} }
}

// TestCircuitsForARoster reserves for more members than the library's defaults allow from one address, and lets one
// of them reach all others at once, which is more circuits than the defaults allow one peer.
func TestCircuitsForARoster(t *testing.T) {
	t.Parallel()
	const members = 24
	relay := newHost(t, relayed(members, func(peer.ID) bool { return true }))
	via, err := CircuitAddr(fullAddr(relay))
	if err != nil {
		t.Fatal(err)
	}
	all := make([]host.Host, members)
	for i := range all {
		all[i] = newHost(t, dialOnly, peers(members))
		connect(t, all[i], relay)
		ends, err := Reserve(deadline(t, 60*time.Second), all[i], relay.ID())
		if err != nil {
			t.Fatalf("member %d: %v", i, err)
		}
		if time.Until(ends) < 30*time.Minute {
			t.Fatalf("the reservation ends in %s", time.Until(ends))
		}
		server := HandleStream(all[i], "/echo", StreamLimits{Service: "echo"}, echo, quiet())
		t.Cleanup(server.Close)
	}
	for _, to := range all[1:] {
		if err := Connect(deadline(t, 60*time.Second), all[0], peer.AddrInfo{ID: to.ID(), Addrs: []ma.Multiaddr{via}}); err != nil {
			t.Fatal(err)
		}
		c := all[0].Network().ConnsToPeer(to.ID())[0]
		if !IsCircuit(c.RemoteMultiaddr()) || c.Stat().Limited || Direct(all[0], to.ID()) {
			t.Fatalf("the connection over %s is limited or direct", c.RemoteMultiaddr())
		}
		long := strings.Repeat("x", 256<<10) // twice what the library's default lets through a circuit
		if got := ask(t, all[0], to.ID(), long); got != long {
			t.Fatalf("%d bytes came back", len(got))
		}
	}
}

func TestReserveDenied(t *testing.T) {
	t.Parallel()
	relay := newHost(t, relayed(4, func(peer.ID) bool { return false }))
	stranger := newHost(t, dialOnly)
	connect(t, stranger, relay)
	_, err := Reserve(deadline(t, 60*time.Second), stranger, relay.ID())
	if cause, ok := CauseOf(err); !ok || cause != CauseDenied {
		t.Fatalf("err = %v", err)
	}
}

// TestReserveEndsWithItsContext asks a relay node that does not answer, as one that was cut off meanwhile. The library's
// own function waits for a minute then, whatever its context says.
func TestReserveEndsWithItsContext(t *testing.T) {
	t.Parallel()
	relay, member := newHost(t), newHost(t, dialOnly)
	asked := make(chan struct{}, 2)
	relay.SetStreamHandler(proto.ProtoIDv2Hop, func(network.Stream) { asked <- struct{}{} })
	connect(t, member, relay)
	reserve := func(with func(context.Context) error) (ended chan error) {
		t.Helper()
		ctx, cancel := context.WithCancel(context.Background())
		ended = make(chan error, 1)
		go func() { ended <- with(ctx) }()
		select {
		case <-asked:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was asked")
		}
		cancel()
		return ended
	}
	control := reserve(func(ctx context.Context) error {
		_, err := client.Reserve(ctx, member, peer.AddrInfo{ID: relay.ID()})
		return err
	})
	ours := reserve(func(ctx context.Context) error {
		_, err := Reserve(ctx, member, relay.ID())
		return err
	})
	select {
	case err := <-ours:
		if cause, ok := CauseOf(err); !ok || cause != CauseCancelled {
			t.Errorf("err = %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still waits though its context has ended")
	}
	select {
	case err := <-control:
		t.Errorf("the library's function heeds its context by now (%v): untilHost is not needed any more", err)
	default:
	}
	_ = member.Close()
	<-control
}

func TestCircuitAddrNeedsPeer(t *testing.T) {
	if _, err := CircuitAddr(loopbackTCP); err == nil {
		t.Fatal("took an address without a peer ID")
	}
}
