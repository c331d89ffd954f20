package node

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"

	"conclave/node/keyagreement"
	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
	"conclave/pki"
)

// sign signs as this member.
func (e *engine) sign(message []byte) []byte { return ed25519.Sign(e.cfg.Identity, message) }

// step gives the machine one input and does what it answers: what is to be remembered is committed before anything
// else that follows from the step, and the steps keep their order.
func (e *engine) step(in event.Input) {
	durable, rest := e.remember(e.machine.Step(e.cfg.Now(), in))
	switch {
	case durable || e.ledger.Waiting():
		if durable || len(rest) > 0 {
			e.ledger.Then(func() { e.perform(rest) })
		}
	default:
		e.perform(rest)
	}
}

// remember puts what has to be durable into the ledger and returns the outputs to perform afterwards.
func (e *engine) remember(outs []event.Output) (durable bool, rest []event.Output) {
	for _, o := range outs {
		switch o := o.(type) {
		case event.Persist:
			e.ledger.Change().Put(o.Key, o.Value)
			durable = true
			continue
		case event.Erase:
			e.ledger.Change().Delete(o.Key)
			durable = true
			continue
		case event.Completed:
			e.sessions.complete(o.Session)
			durable = true
		case event.Forget:
			e.ledger.Change().Forget(o.Transcript)
			durable = true
		}
		rest = append(rest, o)
	}
	return durable, rest
}

// perform does what the machine asks for. Everything it rests on is on disk.
func (e *engine) perform(outs []event.Output) {
	for _, o := range outs {
		switch o := o.(type) {
		case event.Broadcast:
			e.courier.Broadcast(o)
		case event.Wrap:
			e.courier.Wrap(o)
		case event.Unwrap:
			e.courier.Unwrap(o)
		case event.Completed:
			e.sessions.live(o.Session.Transcript)
		case event.Use:
			e.sessions.use(o.Transcript)
		case event.Hold:
			e.sessions.hold()
		case event.Forget:
			e.sessions.forget(o.Transcript)
		default:
			e.tell(o)
		}
	}
}

// tell performs the outputs that inform somebody.
func (e *engine) tell(o event.Output) {
	switch o := o.(type) {
	case event.Confirmed:
		e.sessions.confirmed(o)
	case event.Evidence:
		e.cfg.Log.Warn("a member signed two announcements for one epoch", "role", o.Role)
		e.publish(Evidence{e.at(), o.Role})
	case event.NeedRoster:
		e.note("roster version %d is needed", o.Version)
	case event.OfferRoster:
		// The relay node hands a roster that is newer than what it has to everybody, and answers an older one.
		e.relays.Offer(&wire.RosterUpdate{Envelope: e.roster.Envelope})
		e.offerRoster(o.To)
	case event.ToldBehind:
		if c := e.sessions.all[o.Transcript]; c == nil || c.frames.Start() < o.Start {
			e.step(event.StartBehind{Transcript: o.Transcript})
		}
	case event.Settled:
		e.courier.Settled(o.Ref)
	case event.Note:
		if o.Role != "" {
			e.note("%s: %s", o.Role, o.Text)
			return
		}
		e.note("%s", o.Text)
	}
}

// rosterView is what the machine wants to know of a roster.
func rosterView(r *pki.Roster) keyagreement.Roster {
	v := keyagreement.Roster{Version: r.Version, Hash: r.Hash, Expires: r.Expires}
	for _, m := range r.Members {
		der, err := x509.MarshalPKIXPublicKey(m.RSA)
		if err != nil {
			panic("an RSA key of a verified roster does not marshal: " + err.Error()) // it was parsed from that form
		}
		v.Members = append(v.Members, keyagreement.Member{Role: m.Role, Identity: [32]byte(m.Identity), Unwrap: sha256.Sum256(der)})
	}
	return v
}
