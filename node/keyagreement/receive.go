package keyagreement

import (
	"time"

	"conclave/node/keyagreement/early"
	"conclave/overlay/wire"
)

// receive takes one signed message and settles it unless it has to wait or its share has to be unwrapped first.
func (m *Machine) receive(w early.Message) {
	s, ok := m.open(w.Raw)
	if !ok || m.self < 0 {
		m.settle(w.Ref)
		return
	}
	w.Signer = s.Signer
	if m.dispatch(s, w) {
		m.settle(w.Ref)
	}
}

// dispatch handles a message whose signature is good; false means that it is not settled yet.
func (m *Machine) dispatch(s wire.Signed, w early.Message) bool {
	switch s.Type {
	case wire.SignedRequest:
		if p, err := wire.UnmarshalRequest(s.Payload); err == nil && p.Group == m.cfg.Group {
			return m.onRequest(s, p, w)
		}
	case wire.SignedOpening:
		if p, err := wire.UnmarshalOpening(s.Payload); err == nil && p.Group == m.cfg.Group {
			_, done := m.onOpening(s, p, w)
			return done
		}
	case wire.SignedAnnouncement:
		if p, err := wire.UnmarshalAnnouncement(s.Payload); err == nil && p.Group == m.cfg.Group {
			return m.onAnnouncement(s, p, w)
		}
	case wire.SignedConfirmation:
		if p, err := wire.UnmarshalConfirmation(s.Payload); err == nil && p.Group == m.cfg.Group {
			return m.onConfirmation(s, p, w)
		}
	case wire.SignedLack:
		if p, err := wire.UnmarshalLack(s.Payload); err == nil && p.Group == m.cfg.Group {
			m.onLack(s, p)
		}
	case wire.SignedBehind:
		if p, err := wire.UnmarshalBehind(s.Payload); err == nil && p.Group == m.cfg.Group {
			m.onBehind(s, p)
		}
	case wire.SignedEnvelope:
		if p, err := wire.UnmarshalEnvelope(s.Payload); err == nil && p.Group == m.cfg.Group {
			return m.onEnvelope(s, p, w)
		}
	}
	return true
}

// onRelayUp begins a connection to a relay node: everybody hears the present want, and a new database gets every share
// that is not confirmed.
func (m *Machine) onRelayUp(database wire.DatabaseID) {
	m.relayUp, m.database = true, database
	m.asked.Clear()
	if m.ask.N > 0 || m.ask.At.IsZero() {
		m.ask.Reset(m.Now)
	}
	for _, e := range m.order {
		e.lack.N = 0
		if !e.lack.At.IsZero() {
			e.lack.Reset(m.Now.Add(m.cfg.Limits.Repair))
		}
		m.onDatabase(e)
		if e.session != nil && !m.allConfirmed(e) {
			e.session.repeat.Reset(m.Now)
		}
	}
	if best := m.best(true); best != nil {
		best.session.repeat.Reset(m.Now) // whoever has a newer one then says so
	}
}

// onOnline is a hint: what that member still lacks is offered at once. Without a relay node it is also what a relay node's
// coming is otherwise: whoever comes hears the present want, says what it has, and gets what lies in a mailbox that it
// may not reach.
func (m *Machine) onOnline(role wire.Role) {
	m.online[role] = true
	if !m.relayUp && m.ask.N > 0 {
		m.ask.Reset(m.Now)
	}
	for _, e := range m.order {
		if d := e.deliveries[role]; d != nil && (d.failed || d.isStored && !m.relayUp) {
			d.again.Reset(m.Now)
		}
		if !m.relayUp && !e.lack.At.IsZero() {
			e.lack.Reset(m.Now.Add(m.cfg.Limits.Repair))
		}
		if e.session != nil && !e.session.confirmed[role] {
			e.session.repeat.Reset(m.Now)
		}
	}
}

// onRoster takes a newer roster.
func (m *Machine) onRoster(r Roster) {
	if r.Version < m.roster.Version || r.Version == m.roster.Version && r.Hash == m.roster.Hash {
		return
	}
	if r.Version == m.roster.Version {
		m.note("two rosters have one version: the second is refused", "")
		return
	}
	m.setRoster(r)
	for role := range m.asked.Newest {
		delete(m.asked.Newest, role)
	}
	for _, e := range m.order {
		e.answerAt = time.Time{}
	}
	m.ask.Reset(m.Now)
	m.asked.Clear()
	m.dropEvidence()
	m.retryWaiting(func(w *early.Message) bool { return w.Version != 0 && w.Version <= r.Version })
}
