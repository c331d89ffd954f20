package reach

import (
	"slices"
	"strings"

	"conclave/overlay"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// reasonUntried is why a member is reached through the relay node as long as nothing else was tried.
const reasonUntried = "no direct connection yet"

// to returns how a member is reached.
func (r *Reach) to(m pki.Member, online bool) Way {
	if !online {
		return Way{}
	}
	direct := r.direct(m.Peer)
	if len(direct) == 0 {
		if why := r.why[m.Peer]; why != "" {
			return Way{ViaRelay, why}
		}
		return Way{ViaRelay, reasonUntried}
	}
	for _, c := range direct {
		if overlay.Near(c.RemoteMultiaddr()) {
			return Way{ViaLAN, "on the same network, over " + transportName(c)}
		}
	}
	if r.punched[m.Peer] {
		return Way{Direct, "through the NATs, over " + transportName(direct[0])}
	}
	return Way{Direct, "at its own address, over " + transportName(direct[0])}
}

// direct returns the connections to a member that do not run through a relay node.
func (r *Reach) direct(id peer.ID) []network.Conn {
	return slices.DeleteFunc(r.host.Network().ConnsToPeer(id), func(c network.Conn) bool {
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

// announce tells how a member is reached.
func (r *Reach) announce(m pki.Member, online bool) {
	now := r.to(m, online)
	r.shown[m.Role] = now
	r.cfg.Log.Debug("path", "role", m.Role, "online", online, "path", now.Path, "reason", now.Reason)
	r.cfg.Sink.Path(m.Role, online, now)
}

// is says that a member came or went.
func (r *Reach) is(m pki.Member, online bool) {
	if online {
		r.came(m.Peer)
	} else {
		r.left(m.Peer)
	}
	r.announce(m, online)
}

// look tells what has changed for a member who is here.
func (r *Reach) look(id peer.ID) {
	m, _, ok := r.cfg.Roster().MemberByPeer(id)
	if ok && r.online[m.Role] && r.shown[m.Role] != r.to(m, true) {
		r.announce(m, true)
	}
}

// changed is told that connections to a member came or went.
func (r *Reach) changed(id peer.ID) {
	direct := r.direct(id)
	for _, c := range direct {
		r.watch(c)
	}
	if len(direct) == 0 && r.asked(id) {
		r.try(id).again(r, 0)
	}
	if try := r.tries[id]; len(direct) == 0 && try != nil && try.there {
		try.there = false
		delete(r.punched, id)
		r.why[id] = errGone.Error()
		try.again(r, r.cfg.Timing.PunchAfter)
	} else if len(direct) > 0 {
		r.try(id).there = true
		delete(r.why, id)
	}
	r.look(id)
}

// asked reports whether the other side has opened a circuit, and hole punching is begun from there: then this side has to
// know its own address afresh.
func (r *Reach) asked(id peer.ID) bool {
	try := r.tries[id]
	return try != nil && !try.busy && try.due.IsZero() && partWith(r.cfg.Self.Peer, id, r.present()) == partWaits && overlay.Called(r.host, id)
}

// watch has a direct connection asked for signs of life until it is closed.
func (r *Reach) watch(c network.Conn) {
	if r.watched[c] || c.IsClosed() {
		return
	}
	r.watched[c] = true
	r.wg.Go(func() {
		err := overlay.Watch(r.ctx, c)
		if r.ctx.Err() == nil {
			r.cfg.Log.Debug("a direct connection ended", "peer", c.RemotePeer(), "address", c.RemoteMultiaddr(), "err", err)
		}
		r.cfg.Post(r.ctx, func() {
			delete(r.watched, c)
			r.changed(c.RemotePeer())
		})
	})
}

// Way returns how a member who is there is reached, and why so.
func (r *Reach) Way(m pki.Member) Way { return r.to(m, r.online[m.Role]) }
