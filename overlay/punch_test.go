package overlay

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// punching makes a host that punches holes, for which loopback is the world.
func punching(heard func(Punch)) func(*HostConfig) {
	return func(c *HostConfig) {
		c.Listen = []ma.Multiaddr{loopbackTCP, loopbackQUIC}
		c.HolePunch, c.Reachable, c.Punched = true, manet.IsIPLoopback, heard
	}
}

// TestProbe: a relay node tells a host by which UDP address it sees it, beside the TCP connection that there is.
func TestProbe(t *testing.T) {
	t.Parallel()
	relay := newHost(t, listening(loopbackTCP, loopbackQUIC))
	h := newHost(t, punching(nil), listening(loopbackQUIC))
	if err := Probe(deadline(t, 60*time.Second), h, infoOf(relay)); err != nil {
		t.Fatal(err)
	}
	if own := h.Addrs(); len(own) != 1 || !slices.ContainsFunc(Outside(h), own[0].Equal) {
		t.Errorf("seen at %v, want %s", Outside(h), own)
	}
	if n := len(h.Network().Conns()); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	private := newHost(t, func(c *HostConfig) { c.HolePunch = true })
	if err := Probe(deadline(t, 60*time.Second), private, infoOf(relay)); !errors.Is(err, ErrNoProbe) {
		t.Errorf("a relay node on a private network was asked: %v", err)
	}
	if a := Outside(private); slices.ContainsFunc(a, manet.IsIPLoopback) {
		t.Errorf("reachable from anywhere at %v", a)
	}
	if err := Probe(deadline(t, 60*time.Second), newHost(t), infoOf(relay)); !errors.Is(err, ErrNoProbe) {
		t.Errorf("a host that punches no holes: %v", err)
	}
}

// TestPunchHole: of two hosts with a circuit between them the one that was called makes a direct connection.
func TestPunchHole(t *testing.T) {
	t.Parallel()
	relay := newHost(t, relayed(4, func(peer.ID) bool { return true }))
	via, err := CircuitAddr(fullAddr(relay))
	if err != nil {
		t.Fatal(err)
	}
	caller, called := newHost(t, punching(nil)), newHost(t, punching(func(Punch) {}))
	for _, h := range []host.Host{caller, called} {
		connect(t, h, relay)
		if _, err := Reserve(deadline(t, 60*time.Second), h, relay.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if err := Connect(deadline(t, 60*time.Second), caller, peer.AddrInfo{ID: called.ID(), Addrs: []ma.Multiaddr{via}}); err != nil {
		t.Fatal(err)
	}
	if Called(caller, called.ID()) {
		t.Error("the caller counts as called")
	}
	// The library begins by itself when a circuit comes, and takes a moment until it knows an address: ask until it is done.
	for ctx := deadline(t, 60*time.Second); !Direct(called, caller.ID()); {
		if ctx.Err() != nil {
			t.Fatal("no direct connection")
		}
		_ = PunchHole(ctx, called, caller.ID())
	}
	if err := PunchHole(context.Background(), newHost(t), called.ID()); !errors.Is(err, ErrNoProbe) {
		t.Errorf("a host that punches no holes: %v", err)
	}
}

// valve forwards a TCP connection until it is shut, and is then silent.
type valve struct {
	addr ma.Multiaddr
	shut atomic.Bool
}

func newValve(t *testing.T, to ma.Multiaddr) *valve {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	v := &valve{}
	if v.addr, err = manet.FromNetAddr(l.Addr()); err != nil {
		t.Fatal(err)
	}
	_, target, err := manet.DialArgs(to)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", target)
		if err != nil {
			in.Close()
			return
		}
		t.Cleanup(func() { in.Close(); out.Close() })
		go io.Copy(&valved{v, out}, in)
		go io.Copy(&valved{v, in}, out)
	}()
	return v
}

// valved drops what is written once the valve is shut.
type valved struct {
	v  *valve
	to io.Writer
}

func (w *valved) Write(p []byte) (int, error) {
	if w.v.shut.Load() {
		return len(p), nil
	}
	return w.to.Write(p)
}

// TestWatchClosesADeadConnection: a connection that carries nothing any more is closed, and one that does is not.
func TestWatchClosesADeadConnection(t *testing.T) {
	t.Parallel()
	server := newHost(t)
	v := newValve(t, server.Addrs()[0])
	client := newHost(t, dialOnly)
	if err := Connect(deadline(t, 60*time.Second), client, peer.AddrInfo{ID: server.ID(), Addrs: []ma.Multiaddr{v.addr}}); err != nil {
		t.Fatal(err)
	}
	c := client.Network().ConnsToPeer(server.ID())[0]
	// A context that ends is no sign of death, but the watch ends the connection with it: here after some good answers.
	done := make(chan error, 1)
	go func() { done <- Watch(deadline(t, time.Minute), c) }()
	select {
	case err := <-done:
		t.Fatalf("a living connection was closed: %v", err)
	case <-time.After(2*watchEvery + watchEvery/2):
	}
	v.shut.Store(true)
	select {
	case err := <-done:
		if err == nil || !c.IsClosed() {
			t.Errorf("err = %v, closed %t", err, c.IsClosed())
		}
	case <-time.After(watchEvery + watchPatience + 20*time.Second):
		t.Fatal("a dead connection was kept")
	}
}

// TestAttackOutsiderConnects: a connection of somebody who is not in the roster is closed before he can open a stream. The
// control is a host without the gate.
func TestAttackOutsiderConnects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		gated bool
		addr  ma.Multiaddr
	}{{false, loopbackTCP}, {true, loopbackTCP}, {true, loopbackQUIC}, {true, loopbackWS}} {
		outsider, friend := newHost(t, dialOnly), newHost(t, dialOnly)
		member := newHost(t, listening(c.addr), func(cfg *HostConfig) {
			if c.gated {
				cfg.Gater = RosterGate(everyone(friend))
			}
		})
		HandleStream(member, "/echo", StreamLimits{Service: "echo"}, echo, quiet())
		info := peer.AddrInfo{ID: member.ID(), Addrs: member.Network().ListenAddresses()}
		reaches := func(h host.Host) bool {
			ctx := deadline(t, 60*time.Second)
			if Connect(ctx, h, info) != nil {
				return false
			}
			s, err := OpenStream(ctx, h, member.ID(), "/echo")
			if err != nil {
				return false
			}
			defer s.Reset()
			if _, err := s.Write([]byte("x")); err != nil {
				return false
			}
			_, err = s.Read(make([]byte, 1))
			return err == nil
		}
		if reaches(outsider) == c.gated {
			t.Errorf("%s, gated %t: the outsider reaches the member: %t", c.addr, c.gated, !c.gated)
		}
		if !reaches(friend) {
			t.Errorf("%s, gated %t: a friend does not reach the member", c.addr, c.gated)
		}
	}
}

// TestNear tells networks that this machine is on from others.
func TestNear(t *testing.T) {
	for text, want := range map[string]bool{
		"/ip4/127.0.0.1/tcp/1": true, "/ip4/10.1.2.3/udp/1/quic-v1": true, "/ip6/fe80::1/tcp/1": true, "/ip6/fd00::1/tcp/1": true,
		"/ip4/198.41.0.4/tcp/1": false, "/dns4/relay.example/tcp/1": false,
		"/ip4/10.1.2.3/tcp/1/p2p/12D3KooWGRUVh7Zpxb1m4CmAUGL3dmCFgVvLbLVjTxWnQkiQ6gtg/p2p-circuit": false,
	} {
		if Near(ma.StringCast(text)) != want {
			t.Errorf("%s: near %t", text, !want)
		}
	}
}
