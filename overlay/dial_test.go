package overlay

import (
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

func TestDialRanker(t *testing.T) {
	const (
		tcp     = "/ip4/192.0.2.1/tcp/1"
		quic    = "/ip4/192.0.2.1/udp/1/quic-v1"
		circuit = "/ip4/192.0.2.1/tcp/1/p2p/12D3KooWGRUVh7Zpxb1m4CmAUGL3dmCFgVvLbLVjTxWnQkiQ6gtg/p2p-circuit"
	)
	for name, c := range map[string]map[string]time.Duration{
		"TCP does not wait for QUIC":      {tcp: 0, quic: quicDelay},
		"QUIC alone does not wait":        {quic: 0},
		"a circuit waits for direct ones": {tcp: 0, circuit: circuitDelay},
		"a circuit alone does not wait":   {circuit: 0},
		"a circuit over TCP is no TCP":    {quic: 0, circuit: circuitDelay},
	} {
		var addrs []ma.Multiaddr
		for a := range c {
			addrs = append(addrs, ma.StringCast(a))
		}
		for _, ranked := range rankDials(addrs) {
			if want := c[ranked.Addr.String()]; ranked.Delay != want {
				t.Errorf("%s: %s waits %s, want %s", name, ranked.Addr, ranked.Delay, want)
			}
		}
	}
}
