// Package overlaytest makes real hosts on loopback for the tests of rooms that need one.
//
// A room is tested through its door, with fakes for the other rooms; the network under it is the real one. Such a host accepts
// everybody and logs nothing, and is closed when the test ends.
//
// Only tests may import it.
package overlaytest

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"testing"
	"time"

	"conclave/overlay"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Patience is how long a test waits for what has to come: a backstop, far above what any machine needs.
const Patience = time.Minute

// NewHost returns a host with that identity, which listens on a free TCP port of loopback.
func NewHost(t testing.TB, identity ed25519.PrivateKey) host.Host {
	t.Helper()
	h, err := overlay.NewHost(overlay.HostConfig{
		Identity: identity, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// Connect connects one host to another.
func Connect(t testing.TB, from, to host.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := overlay.Connect(ctx, from, peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}); err != nil {
		t.Fatal(err)
	}
}
