package relaynode

import (
	"slices"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

// TestAddressesInOrder: those that most others can reach come first, and of each place TCP, QUIC, WebSocket.
func TestAddressesInOrder(t *testing.T) {
	want := []string{
		"/ip4/198.41.0.4/tcp/4001", "/ip4/198.41.0.4/udp/4001/quic-v1", "/ip4/198.41.0.4/tcp/4001/ws", "/ip6/2001:503:ba3e::2:30/tcp/4001",
		"/ip4/192.168.1.2/tcp/4001", "/ip4/192.168.1.2/tcp/4001/ws", "/ip6/fe80::1/tcp/4001", "/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/4001/quic-v1",
		"/ip6/::1/tcp/4001/ws",
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b string) int { return reach(ma.StringCast(a)) - reach(ma.StringCast(b)) })
	if !slices.Equal(got, want) {
		t.Errorf("order:\n%q, want\n%q", got, want)
	}
}
