package overlay

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"

	ma "github.com/multiformats/go-multiaddr"
)

// admitted counts how many connections from one address a resource manager lets in at once.
func admitted(t *testing.T, m network.ResourceManager, addr string, tries int) int {
	t.Helper()
	defer m.Close()
	from := ma.StringCast(addr)
	n := 0
	for range tries {
		if _, err := m.OpenConnection(network.DirInbound, true, from); err == nil {
			n++
		}
	}
	return n
}

// TestRosterBehindOneAddress: every member of a roster, each with a TCP and a QUIC connection, may come from one
// address at once, which loopback does not show because the library exempts it. An address cannot take everything.
func TestRosterBehindOneAddress(t *testing.T) {
	const peers = 100
	for _, addr := range []string{"/ip4/192.0.2.1/tcp/1", "/ip6/2001:db8::1/tcp/1"} {
		ours, err := resourceManager(peers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := admitted(t, ours, addr, 10*peers); n < 2*peers || n > 5*peers {
			t.Errorf("%s: %d connections of %d peers", addr, n, peers)
		}
		defaults, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(rcmgr.InfiniteLimits))
		if err != nil {
			t.Fatal(err)
		}
		if n := admitted(t, defaults, addr, 10*peers); n >= peers {
			t.Errorf("%s: control: the defaults let %d connections in, so the test shows nothing", addr, n)
		}
	}
}

func TestRelayResourcesHoldTheRoster(t *testing.T) {
	const peers = 100
	r := relayResources(peers)
	if r.Limit != nil || min(r.MaxReservations, r.MaxReservationsPerIP, r.MaxReservationsPerASN) < peers || r.MaxCircuits < 2*peers {
		t.Errorf("resources for %d peers: %+v", peers, r)
	}
}
