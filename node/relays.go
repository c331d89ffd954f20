package node

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"conclave/overlay"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// relays holds the links that run, one for each relay node: those that were named, or else those of the roster, whichever
// it is, and those that were found on the local network.
type relays struct {
	n *Node

	mu    sync.Mutex
	start func(func())                   // runs a function on a goroutine that Run waits for; nil before and after; guarded by mu
	ctx   context.Context                // of run; guarded by mu
	links map[peer.ID]*link              // guarded by mu
	stops map[peer.ID]context.CancelFunc // guarded by mu
}

func newRelays(n *Node) *relays {
	return &relays{n: n, links: make(map[peer.ID]*link), stops: make(map[peer.ID]context.CancelFunc)}
}

// open begins the links to the relay nodes that are known at the start.
func (r *relays) open(ctx context.Context, start func(func()), known map[peer.ID][]ma.Multiaddr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx, r.start = ctx, start
	for id, addrs := range known {
		if len(addrs) > 0 || r.n.cfg.LAN == nil {
			r.begin(newLink(r.n, id, addrs))
		}
	}
}

// close begins no more links.
func (r *relays) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start = nil
}

// begin runs a link. The caller holds mu.
func (r *relays) begin(l *link) {
	ctx, stop := context.WithCancel(r.ctx)
	r.links[l.relay], r.stops[l.relay] = l, stop
	r.start(func() { l.run(ctx) })
}

// learn gives a relay node's addresses, each ending in /p2p/<peer ID>, to its link, which is begun if it does not run.
func (r *relays) learn(id peer.ID, addrs []ma.Multiaddr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.links[id]; l != nil {
		l.learned.set(addrs)
	} else if r.start != nil {
		l = newLink(r.n, id, nil)
		l.learned.set(addrs)
		r.begin(l)
	}
}

// follow acts on a newer roster, unless relay nodes were named: links to relay nodes that are not in it any more end, and
// links to new ones begin.
func (r *relays) follow(roster *pki.Roster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.start == nil || len(r.n.cfg.Relays) > 0 {
		return
	}
	for id := range r.links {
		if _, ok := roster.Relay(id); !ok {
			r.stops[id]()
			delete(r.links, id)
			delete(r.stops, id)
		}
	}
	for id, addrs := range withOuter(rosterRelays(roster)) {
		if r.links[id] == nil && len(addrs) > 0 {
			r.begin(newLink(r.n, id, addrs))
		}
	}
}

// relayAddrs returns the relay nodes to connect to and the addresses of each.
func (n *Node) relayAddrs() (map[peer.ID][]ma.Multiaddr, error) {
	roster := n.roster.Load()
	if len(n.cfg.Relays) == 0 {
		return withOuter(rosterRelays(roster)), nil
	}
	named := make(map[peer.ID][]ma.Multiaddr)
	for _, a := range n.cfg.Relays {
		id, addr, err := relayOf(a, roster)
		if err != nil {
			return nil, err
		}
		named[id] = append(named[id], addr)
	}
	return withOuter(named), nil
}

func rosterRelays(roster *pki.Roster) map[peer.ID][]ma.Multiaddr {
	all := make(map[peer.ID][]ma.Multiaddr)
	for _, r := range roster.Relays {
		all[r.Peer] = slices.Clone(r.Addrs)
	}
	return all
}

// withOuter adds the relay nodes that circuit addresses lead through. A relay node behind another one has no slots, and the
// outer one keeps no connection without a session: so whoever uses the inner one uses the outer one too.
func withOuter(all map[peer.ID][]ma.Multiaddr) map[peer.ID][]ma.Multiaddr {
	outer := make(map[peer.ID][]ma.Multiaddr)
	for _, addrs := range all {
		for _, a := range addrs {
			if through, ok := overlay.Outer(a); ok {
				_, id := peer.SplitAddr(through)
				outer[id] = append(outer[id], through)
			}
		}
	}
	for id, addrs := range outer {
		for _, a := range addrs {
			if !slices.ContainsFunc(all[id], a.Equal) {
				all[id] = append(all[id], a)
			}
		}
	}
	return all
}

// relayOf splits a relay node's address. An address without peer ID is taken for the roster's only relay node.
func relayOf(a ma.Multiaddr, roster *pki.Roster) (peer.ID, ma.Multiaddr, error) {
	if _, id := peer.SplitAddr(a); id != "" {
		return id, a, nil
	}
	if len(roster.Relays) != 1 {
		return "", nil, fmt.Errorf("the relay address %s does not end in /p2p/<peer ID>", a)
	}
	id := roster.Relays[0].Peer
	full, err := ma.NewMultiaddr(a.String() + "/p2p/" + id.String())
	if err != nil {
		return "", nil, fmt.Errorf("reading the relay address: %w", err)
	}
	return id, full, nil
}
