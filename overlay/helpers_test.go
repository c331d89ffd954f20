package overlay

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

var (
	loopbackTCP  = ma.StringCast("/ip4/127.0.0.1/tcp/0")
	loopbackQUIC = ma.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// newHost builds a host that listens on loopback TCP and closes it with the test.
func newHost(t testing.TB, change ...func(*HostConfig)) host.Host {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg := HostConfig{Identity: key, Listen: []ma.Multiaddr{loopbackTCP}, Log: quiet()}
	for _, c := range change {
		c(&cfg)
	}
	h, err := NewHost(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func peers(n int) func(*HostConfig) { return func(c *HostConfig) { c.Peers = n } }

func dialOnly(c *HostConfig) { c.Listen = nil }

func deadline(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func infoOf(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

func connect(t testing.TB, from, to host.Host) {
	t.Helper()
	if err := Connect(deadline(t, 60*time.Second), from, infoOf(to)); err != nil {
		t.Fatal(err)
	}
}

// fullAddr returns an address of h that ends in its peer ID.
func fullAddr(h host.Host) ma.Multiaddr {
	return h.Addrs()[0].Encapsulate(ma.StringCast("/p2p/" + h.ID().String()))
}

// everyone is a roster of hosts.
func everyone(hosts ...host.Host) func(peer.ID) bool {
	known := make(map[peer.ID]bool)
	for _, h := range hosts {
		known[h.ID()] = true
	}
	return func(p peer.ID) bool { return known[p] }
}

// open opens a stream and writes a byte, because negotiation is lazy.
func open(t testing.TB, h host.Host, p peer.ID, proto protocol.ID) network.Stream {
	t.Helper()
	s, err := OpenStream(deadline(t, 60*time.Second), h, p, proto)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Reset() })
	if _, err := s.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	return s
}

// silentAddr returns the address of a listener that accepts and says nothing.
func silentAddr(t testing.TB) ma.Multiaddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	a, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return a
}
