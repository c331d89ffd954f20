package uplink

import (
	"fmt"
	"slices"
	"sync"

	"conclave/overlay"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// relayAddrs returns the relay nodes to connect to and the addresses of each.
func (c *Config) relayAddrs() (map[peer.ID][]ma.Multiaddr, error) {
	roster := c.Roster()
	if !c.named() {
		return withOuter(rosterRelays(roster)), nil
	}
	named := make(map[peer.ID][]ma.Multiaddr)
	for _, a := range c.Relays {
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
	id, err := overlay.RelayID(a)
	if err == nil {
		return id, a, nil
	}
	if len(roster.Relays) != 1 {
		return "", nil, err
	}
	id = roster.Relays[0].Peer
	full, err := ma.NewMultiaddr(a.String() + "/p2p/" + id.String())
	if err != nil {
		return "", nil, fmt.Errorf("reading the relay address: %w", err)
	}
	return id, full, nil
}

// found are addresses of a relay node that were found while its supervisor runs.
type found struct {
	mu    sync.Mutex
	addrs []ma.Multiaddr // guarded by mu; each ends in /p2p/<peer ID>
	news  chan struct{}  // holds one
}

func newFound() *found { return &found{news: make(chan struct{}, 1)} }

func (f *found) set(addrs []ma.Multiaddr) {
	f.mu.Lock()
	f.addrs = addrs
	f.mu.Unlock()
	select {
	case f.news <- struct{}{}:
	default:
	}
}

func (f *found) get() []ma.Multiaddr {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addrs
}
