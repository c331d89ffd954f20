package uplink

import (
	"context"
	"strings"

	"conclave/overlay"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// routePrefix begins the names under which it is remembered by which address each relay node was reached last. It is a
// hint about the network that this machine is in: losing it costs a little time, and so does one that is wrong.
const routePrefix = "route/"

// Routes returns the addresses among the records of earlier runs.
func Routes(records map[string][]byte) map[peer.ID]ma.Multiaddr {
	routes := make(map[peer.ID]ma.Multiaddr)
	for key, value := range records {
		name, ok := strings.CutPrefix(key, routePrefix)
		if !ok {
			continue
		}
		id, err := peer.Decode(name)
		if err != nil {
			continue
		}
		if a, err := ma.NewMultiaddr(string(value)); err == nil {
			routes[id] = a
		}
	}
	return routes
}

// connect dials the relay node at all its addresses, the one that worked last first, and remembers which one it was.
func (l *supervisor) connect(ctx context.Context) error {
	by, err := overlay.Race(ctx, l.net.Host, peer.AddrInfo{ID: l.relay, Addrs: dialAddrs(l.addresses())}, l.first)
	if err != nil {
		return err
	}
	if by == nil || l.first != nil && by.Equal(l.first) {
		return nil
	}
	l.first = by
	l.cfg.Sink.Reached(ctx, l.relay, by)
	return nil
}

// RouteRecord returns the record of the address by which a relay node was reached, for Routes at the next start.
func RouteRecord(relay peer.ID, by ma.Multiaddr) (key string, value []byte) {
	return routePrefix + relay.String(), []byte(by.String())
}
