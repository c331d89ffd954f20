package topic

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"log/slog"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	ma "github.com/multiformats/go-multiaddr"
)

var (
	loopbackTCP  = ma.StringCast("/ip4/127.0.0.1/tcp/0")
	loopbackQUIC = ma.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")
)

var testGroup = wire.GroupID{1, 2, 3}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// newHost builds a host that listens on loopback TCP and closes it with the test.
func newHost(t testing.TB, change ...func(*overlay.HostConfig)) host.Host {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg := overlay.HostConfig{Identity: key, Listen: []ma.Multiaddr{loopbackTCP}, Log: quiet()}
	for _, c := range change {
		c(&cfg)
	}
	h, err := overlay.NewHost(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func sized(n int) func(*overlay.HostConfig) { return func(c *overlay.HostConfig) { c.Peers = n } }

func dialOnly(c *overlay.HostConfig) { c.Listen = nil }

func listening(addrs ...ma.Multiaddr) func(*overlay.HostConfig) {
	return func(c *overlay.HostConfig) { c.Listen = addrs }
}

// anyone admits every peer to circuits.
type anyone struct{}

func (anyone) AllowReserve(peer.ID, ma.Multiaddr) bool          { return true }
func (anyone) AllowConnect(peer.ID, ma.Multiaddr, peer.ID) bool { return true }

// relayed makes a host of n peers a circuit relay for everybody.
func relayed(n int) func(*overlay.HostConfig) {
	return func(c *overlay.HostConfig) { c.Peers, c.Relay = n, &overlay.RelayConfig{ACL: anyone{}} }
}

func deadline(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func connect(t testing.TB, from, to host.Host) {
	t.Helper()
	if err := overlay.Connect(deadline(t, 60*time.Second), from, peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}); err != nil {
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
