package reach

import (
	"context"
	"sync"

	"conclave/overlay"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// contacts hears from the host about connections and hole punches, on its goroutines, and passes it on.
type contacts struct {
	roster func() *pki.Roster
	bell   chan struct{} // holds one

	mu      sync.Mutex
	news    map[peer.ID]bool                 // guarded by mu; whose connections changed
	waiting map[peer.ID]chan<- overlay.Punch // guarded by mu; who waits to hear of hole punches
	punches map[peer.ID]overlay.Punch        // guarded by mu; the last of each
}

func newContacts(roster func() *pki.Roster) *contacts {
	return &contacts{
		roster: roster, bell: make(chan struct{}, 1), news: make(map[peer.ID]bool),
		waiting: make(map[peer.ID]chan<- overlay.Punch), punches: make(map[peer.ID]overlay.Punch),
	}
}

// notifiee is what contacts wants to hear from the network.
func (c *contacts) notifiee() network.Notifiee {
	changed := func(_ network.Network, conn network.Conn) { c.hear(conn.RemotePeer(), nil) }
	return &network.NotifyBundle{ConnectedF: changed, DisconnectedF: changed}
}

// punched is told of a step of a hole punch.
func (c *contacts) punched(p overlay.Punch) { c.hear(p.Peer, &p) }

// hear notes that something happened with a peer. Peers that are not members are left out, so the maps are bounded by
// the rosters of this process's life.
func (c *contacts) hear(id peer.ID, punch *overlay.Punch) {
	if _, _, member := c.roster().MemberByPeer(id); !member {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.news[id] = true
	if punch != nil {
		c.punches[id] = *punch
	}
	if waiting := c.waiting[id]; waiting != nil {
		heard := overlay.Punch{Peer: id} // look at the connections
		if punch != nil {
			heard = *punch
		}
		select {
		case waiting <- heard:
		default: // it has more to look at than it needs
		}
	}
	select {
	case c.bell <- struct{}{}:
	default:
	}
}

// await returns a channel on which what happens with a peer is told, and a function that ends it.
func (c *contacts) await(id peer.ID) (<-chan overlay.Punch, func()) {
	heard := make(chan overlay.Punch, 32)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[id] = heard
	return heard, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, id)
	}
}

// run passes on what was heard until ctx ends, or pass reports false.
func (c *contacts) run(ctx context.Context, pass func(news map[peer.ID]bool, punches map[peer.ID]overlay.Punch) bool) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.bell:
		}
		c.mu.Lock()
		news, punches := c.news, c.punches
		c.news, c.punches = make(map[peer.ID]bool), make(map[peer.ID]overlay.Punch)
		c.mu.Unlock()
		if !pass(news, punches) {
			return
		}
	}
}
