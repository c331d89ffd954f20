package node

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// paths is the one place that says how each member is reached and why so.
type paths struct {
	e       *engine
	shown   map[wire.Role]way
	watched map[network.Conn]bool // direct connections that are asked for a sign of life
	why     map[peer.ID]string    // why there is no direct connection
	punched map[peer.ID]bool      // the direct connection came through a hole
	tries   map[peer.ID]*approach
	due     time.Time // when one of them has to do something
	running int       // approaches under way
}

// way is how a member is reached, and why so.
type way struct {
	path   Path
	reason string
}

func newPaths(e *engine) paths {
	return paths{
		e: e, shown: make(map[wire.Role]way), watched: make(map[network.Conn]bool), why: make(map[peer.ID]string),
		punched: make(map[peer.ID]bool), tries: make(map[peer.ID]*approach),
	}
}

// reasonUntried is why a member is reached through the relay node as long as nothing else was tried.
const reasonUntried = "no direct connection yet"

// to returns how a member is reached.
func (p *paths) to(m pki.Member, online bool) way {
	if !online {
		return way{}
	}
	direct := p.direct(m.Peer)
	if len(direct) == 0 {
		if why := p.why[m.Peer]; why != "" {
			return way{ViaRelay, why}
		}
		return way{ViaRelay, reasonUntried}
	}
	for _, c := range direct {
		if overlay.Near(c.RemoteMultiaddr()) {
			return way{ViaLAN, "on the same network, over " + transportName(c)}
		}
	}
	if p.punched[m.Peer] {
		return way{Direct, "through the NATs, over " + transportName(direct[0])}
	}
	return way{Direct, "at its own address, over " + transportName(direct[0])}
}

// direct returns the connections to a member that do not run through a relay node.
func (p *paths) direct(id peer.ID) []network.Conn {
	return slices.DeleteFunc(p.e.n.host.Network().ConnsToPeer(id), func(c network.Conn) bool {
		return c.IsClosed() || overlay.IsCircuit(c.RemoteMultiaddr())
	})
}

func transportName(c network.Conn) string {
	switch name := c.ConnState().Transport; name {
	case "quic-v1":
		return "QUIC"
	case "websocket":
		return "WebSocket"
	default:
		return strings.ToUpper(name)
	}
}

// tell publishes how a member is reached.
func (p *paths) tell(m pki.Member, online bool) {
	now := p.to(m, online)
	p.shown[m.Role] = now
	p.e.cfg.Log.Debug("path", "role", m.Role, "online", online, "path", now.path, "reason", now.reason)
	p.e.publish(Peer{At: p.e.at(), Role: m.Role, Online: online, Path: now.path, Reason: now.reason})
}

// is says that a member came or went.
func (p *paths) is(m pki.Member, online bool) {
	if online {
		p.came(m.Peer)
	} else {
		p.left(m.Peer)
	}
	p.tell(m, online)
}

// look publishes what has changed for a member who is here.
func (p *paths) look(id peer.ID) {
	m, _, ok := p.e.roster.MemberByPeer(id)
	if ok && p.e.members.online[m.Role] && p.shown[m.Role] != p.to(m, true) {
		p.tell(m, true)
	}
}

// changed is told that connections to a member came or went.
func (p *paths) changed(id peer.ID) {
	direct := p.direct(id)
	for _, c := range direct {
		p.watch(c)
	}
	if len(direct) == 0 && p.asked(id) {
		p.try(id).again(p, 0)
	}
	if try := p.tries[id]; len(direct) == 0 && try != nil && try.there {
		try.there = false
		delete(p.punched, id)
		p.why[id] = errGone.Error()
		try.again(p, p.e.cfg.Timing.PunchAfter)
	} else if len(direct) > 0 {
		p.try(id).there = true
		delete(p.why, id)
	}
	p.look(id)
}

// asked reports whether the other side has opened a circuit, and hole punching is begun from there: then this side has to
// know its own address afresh.
func (p *paths) asked(id peer.ID) bool {
	try := p.tries[id]
	return try != nil && !try.busy && try.due.IsZero() && partWith(p.e.n.self.Peer, id, p.present()) == partWaits && overlay.Called(p.e.n.host, id)
}

// watch has a direct connection asked for signs of life until it is closed.
func (p *paths) watch(c network.Conn) {
	if p.watched[c] || c.IsClosed() {
		return
	}
	p.watched[c] = true
	e, ctx := p.e, p.e.ctx
	e.n.carriers.Go(func() {
		err := overlay.Watch(ctx, c)
		if ctx.Err() == nil {
			e.cfg.Log.Debug("a direct connection ended", "peer", c.RemotePeer(), "address", c.RemoteMultiaddr(), "err", err)
		}
		e.n.post(ctx, func(e *engine) {
			delete(e.paths.watched, c)
			e.paths.changed(c.RemotePeer())
		})
	})
}

// contacts hears from the host about connections and hole punches, on its goroutines, and passes it on to the engine.
type contacts struct {
	n    *Node
	bell chan struct{}

	mu      sync.Mutex
	news    map[peer.ID]bool                 // guarded by mu; whose connections changed
	waiting map[peer.ID]chan<- overlay.Punch // guarded by mu; who waits to hear of hole punches
	punches map[peer.ID]overlay.Punch        // guarded by mu; the last of each
}

func newContacts(n *Node) *contacts {
	return &contacts{
		n: n, bell: make(chan struct{}, 1), news: make(map[peer.ID]bool),
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
	if _, _, member := c.n.roster.Load().MemberByPeer(id); !member {
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

// run passes on what was heard until ctx ends.
func (c *contacts) run(ctx context.Context) {
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
		taken := c.n.post(ctx, func(e *engine) {
			for id, punch := range punches {
				e.paths.heard(id, punch)
			}
			for id := range news {
				e.paths.changed(id)
			}
		})
		if !taken {
			return
		}
	}
}
