package node

import (
	"crypto/ed25519"

	"conclave/node/courier"
	"conclave/node/keyagreement/envelope"
	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
	"conclave/pki"
)

// newCourier returns what carries the key agreement's messages and shares.
func newCourier(e *engine) *courier.Courier {
	t := e.cfg.Timing
	return courier.New(courier.Config{
		Identity: e.cfg.Identity, Rand: e.random, TopicName: e.n.topicName, Self: e.self,
		Roster: func() *pki.Roster { return e.roster }, Members: e.n.roster.Load,
		Step: e.step, Open: func(u event.Unwrap) event.Unwrapped { return envelope.Open(e.cfg.RSA, u) },
		Relays: e.relays, Presence: courierPresence{e}, Dialable: e.addAddresses,
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

// courierPresence is what the courier wants to know of who is there.
type courierPresence struct{ e *engine }

// Online implements courier.Presence.
func (c courierPresence) Online(role wire.Role) bool { return c.e.reach.Online(role) }

// Listens implements courier.Presence.
func (c courierPresence) Listens(role wire.Role) bool { return c.e.reach.Listens(role) }

// Heard implements courier.Presence.
func (c courierPresence) Heard(signer ed25519.PublicKey) { c.e.reach.Heard(signer, false) }
