package relaynode

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// acl decides who may reserve and connect through the relay node: peers of the roster, at both ends. A hostile member
// gains nothing here that the roster does not give it; a stranger gets nothing. Another relay node may be reached through
// this one, by members and by relay nodes; it has no business with members over a circuit.
type acl struct{ n *Node }

// AllowReserve implements relay.ACLFilter.
func (a acl) AllowReserve(p peer.ID, _ ma.Multiaddr) bool {
	if a.n.cfg.defences.noCircuitACL || a.n.admits(p) {
		a.n.circuits.allowed(p)
		return true
	}
	a.n.refused(p, "reserve", denyReserve)
	return false
}

// AllowConnect implements relay.ACLFilter.
func (a acl) AllowConnect(from peer.ID, _ ma.Multiaddr, to peer.ID) bool {
	roster := a.n.roster.Load()
	_, _, member := roster.MemberByPeer(from)
	_, relay := roster.Relay(to)
	if a.n.cfg.defences.noCircuitACL || roster.Admits(from) && roster.Admits(to) && (member || relay) {
		return true
	}
	a.n.refused(from, "connect", denyConnect)
	return false
}

// refused counts and reports something that a stranger can trigger; therefore it logs at Debug only.
func (n *Node) refused(p peer.ID, what, reason string) {
	n.count.inc(reason)
	n.log.Debug("refused", "what", what, "reason", reason, "peer", p)
}

// doorkeeper closes connections whose peer is not in the roster, or has no session, when their time is over. It watches
// connections, not peers: each new one has its own 10 s.
type doorkeeper struct {
	n *Node

	mu     sync.Mutex
	timers map[network.Conn]*time.Timer // guarded by mu
	closed bool                         // guarded by mu
	busy   sync.WaitGroup               // judgements that run
}

func newDoorkeeper(n *Node) *doorkeeper {
	return &doorkeeper{n: n, timers: make(map[network.Conn]*time.Timer)}
}

// notifiee is what the doorkeeper wants to hear from the network.
func (d *doorkeeper) notifiee() network.Notifiee {
	return &network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { d.watch(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { d.forget(c) },
	}
}

// watch gives a connection its time.
func (d *doorkeeper) watch(c network.Conn) {
	if d.n.cfg.defences.noAdmissionTimer {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || c.IsClosed() {
		return
	}
	if old := d.timers[c]; old != nil {
		old.Stop()
	}
	d.timers[c] = time.AfterFunc(d.n.cfg.Limits.Admission, func() { d.judge(c) })
}

// watchPeer gives every connection of a peer new time, when its session ended and the connections stayed.
func (d *doorkeeper) watchPeer(p peer.ID) {
	for _, c := range d.n.host.Network().ConnsToPeer(p) {
		d.watch(c)
	}
}

func (d *doorkeeper) forget(c network.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.timers[c]; t != nil {
		t.Stop()
		delete(d.timers, c)
	}
}

// judge closes the connection unless its peer is in the roster and has a session by now.
func (d *doorkeeper) judge(c network.Conn) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	delete(d.timers, c)
	d.busy.Add(1)
	d.mu.Unlock()
	defer d.busy.Done()

	p, reason := c.RemotePeer(), ""
	switch {
	case !d.n.admits(p):
		reason = closeUnadmitted
	case !d.n.table.online(p) && d.n.peering.get(p) == nil:
		reason = closeSilent
	default:
		return
	}
	d.n.connectionClosed(p, reason)
	_ = c.Close() // the peer is gone either way
}

// close stops every timer and waits for judgements that run.
func (d *doorkeeper) close() {
	d.mu.Lock()
	d.closed = true
	for c, t := range d.timers {
		t.Stop()
		delete(d.timers, c)
	}
	d.mu.Unlock()
	d.busy.Wait()
}

// closePeer closes every connection of a peer, its circuits with them.
func (n *Node) closePeer(p peer.ID, reason string) {
	n.connectionClosed(p, reason)
	_ = n.host.Network().ClosePeer(p) // an error means that a connection was closed already
}

func (n *Node) connectionClosed(p peer.ID, reason string) {
	n.count.inc(reason)
	n.log.Debug("closing a connection", "peer", p, "reason", reason)
}
