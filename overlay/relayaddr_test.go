package overlay

import (
	"errors"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestRelayAddress(t *testing.T) {
	const id = "12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5"
	for _, c := range []struct {
		addr        string
		named, full bool
	}{
		{"/ip4/192.0.2.1/tcp/4001/p2p/" + id, true, true},
		{"/dns4/example.org/udp/4001/quic-v1/p2p/" + id, true, true},
		{"/p2p/" + id, true, false},
		{"/ip4/192.0.2.1/tcp/4001", false, false},
		{"/ip4/192.0.2.1/tcp/4001/p2p/" + id + "/p2p-circuit", false, false},
	} {
		a := ma.StringCast(c.addr)
		got, err := RelayID(a)
		if named := err == nil && got.String() == id; named != c.named || !named && !errors.Is(err, ErrNoRelayID) {
			t.Errorf("%s names %q, %v", a, got, err)
		}
		if err := CheckRelayAddr(a); (err == nil) != c.full || err != nil && !errors.Is(err, ErrNoRelayID) {
			t.Errorf("%s as a whole address: %v", a, err)
		}
	}
	if _, err := RelayID(ma.StringCast("/ip4/192.0.2.1/tcp/4001")); err.Error() != "the relay address /ip4/192.0.2.1/tcp/4001 does not end in /p2p/<peer ID>" {
		t.Errorf("the error is %q", err)
	}
}
