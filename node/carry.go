package node

import (
	"crypto/ed25519"

	"conclave/node/courier"
	"conclave/node/keyagreement"
	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

// newCourier returns what carries the key agreement's messages and shares.
func (e *engine) newCourier() *courier.Courier {
	t := e.cfg.Timing
	return courier.New(courier.Config{
		Identity: e.cfg.Identity, Rand: e.random, TopicName: e.n.topicName, Self: e.self,
		Roster: func() *pki.Roster { return e.roster }, Members: e.n.roster.Load,
		Step: e.step, Open: e.openEnvelope, Relays: e.relays, Presence: courierPresence{e}, Dialable: e.addAddresses,
		Post: e.n.postFunc,
		Passed: func(p courier.Passage) {
			e.publish(ShareEvent{
				At: e.at(), Epoch: p.Epoch, Of: p.Of, Peer: p.Peer, Way: p.Way, Received: p.Received, OK: p.OK, Bytes: p.Bytes,
			})
		},
		Timing: courier.Timing{CircuitAfter: t.CircuitAfter, CircuitLinger: t.CircuitLinger, ShareTimeout: t.ShareTimeout},
		Log:    e.cfg.Log,
	})
}

// openEnvelope opens a share, on a goroutine of the courier's.
func (e *engine) openEnvelope(u keyagreement.Unwrap) keyagreement.Unwrapped {
	if f := e.cfg.faults.unwrap; f != nil {
		f(u)
	}
	return keyagreement.OpenEnvelope(e.cfg.RSA, u)
}

// courierPresence is what the courier wants to know of who is there.
type courierPresence struct{ e *engine }

// Online implements courier.Presence.
func (c courierPresence) Online(role wire.Role) bool { return c.e.reach.Online(role) }

// Listens implements courier.Presence.
func (c courierPresence) Listens(role wire.Role) bool { return c.e.reach.Listens(role) }

// Heard implements courier.Presence.
func (c courierPresence) Heard(signer ed25519.PublicKey) { c.e.reach.Heard(signer, false) }

// addAddresses makes a member dialable over the relay nodes that this member is connected to. Of one with whom no direct
// connection is wanted the other addresses are forgotten, which identify told over an earlier circuit: otherwise the shares of
// a large group would leave everybody connected to everybody.
func (e *engine) addAddresses(to peer.ID) {
	if e.reach.Enough(to) {
		e.n.host.Peerstore().ClearAddrs(to)
	}
	for _, r := range e.relays.All() {
		if r.Conn() == nil {
			continue
		}
		for _, a := range e.relays.Addresses(r) {
			if c, err := overlay.CircuitAddr(a); err == nil {
				e.n.host.Peerstore().AddAddr(to, c, peerstore.TempAddrTTL)
			}
		}
	}
}
