package node

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

// routesIn returns the addresses among the marks of the state file.
func routesIn(marks map[string][]byte) map[peer.ID]ma.Multiaddr {
	routes := make(map[peer.ID]ma.Multiaddr)
	for key, value := range marks {
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
func (l *link) connect(ctx context.Context) error {
	by, err := overlay.Race(ctx, l.n.host, peer.AddrInfo{ID: l.relay, Addrs: l.dialAddrs()}, l.first)
	if err != nil {
		return err
	}
	if by == nil || l.first != nil && by.Equal(l.first) {
		return nil
	}
	l.first = by
	l.n.post(ctx, func(e *engine) { e.reachedBy(l.relay, by) })
	return nil
}

// reachedBy remembers by which address a relay node was reached.
func (e *engine) reachedBy(relay peer.ID, by ma.Multiaddr) {
	e.ledger.Change().Mark(routePrefix+relay.String(), []byte(by.String()))
	e.ledger.Soon()
}
