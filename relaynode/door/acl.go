package door

import (
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
)

// acl decides who may reserve and connect through the relay node: peers of the roster, at both ends. A hostile member
// gains nothing here that the roster does not give it; a stranger gets nothing. Another relay node may be reached through
// this one, by members and by relay nodes; it has no business with members over a circuit.
type acl struct{ d *Door }

// ACL returns what decides who may use the circuit relay.
func (d *Door) ACL() relay.ACLFilter { return acl{d} }

// AllowReserve implements relay.ACLFilter.
func (a acl) AllowReserve(p peer.ID, _ ma.Multiaddr) bool {
	if !a.d.cfg.Roster().Admits(p) { // defence: circuit-reserve
		a.d.Refused(p, "reserve", denyReserve)
		return false
	}
	a.d.circuits.allowed(p)
	return true
}

// AllowConnect implements relay.ACLFilter.
func (a acl) AllowConnect(from peer.ID, _ ma.Multiaddr, to peer.ID) bool {
	roster := a.d.cfg.Roster()
	_, _, member := roster.MemberByPeer(from)
	_, relayNode := roster.Relay(to)
	if !roster.Admits(from) || !roster.Admits(to) || !member && !relayNode { // defence: circuit-connect
		a.d.Refused(from, "connect", denyConnect)
		return false
	}
	return true
}
