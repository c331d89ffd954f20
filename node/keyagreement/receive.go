package keyagreement

import (
	"conclave/node/keyagreement/roster"
	"conclave/overlay/wire"
)

// waiting is a message that cannot be judged yet.
type waiting struct {
	raw     []byte
	ref     uint64
	signer  [32]byte
	version uint64       // waits for a roster of this version, or
	epoch   wire.EpochID // waits for this epoch's opening
}

// open checks a Signed of one of the given types under the given key holder.
func (m *Machine) open(raw []byte) (wire.Signed, bool) {
	s, err := wire.UnmarshalSigned(raw)
	if err != nil {
		return s, false
	}
	if !m.cfg.Verify(s.Signer, wire.SignedBytes(m.cfg.Group, s.Type, s.Payload), s.Signature[:]) { // defence: control-signed
		return s, false
	}
	return s, true
}

// receive takes one signed message and settles it unless it has to wait or its share has to be unwrapped first.
func (m *Machine) receive(w waiting) {
	s, ok := m.open(w.raw)
	if !ok || m.self < 0 {
		m.settle(w.ref)
		return
	}
	w.signer = s.Signer
	if m.dispatch(s, w) {
		m.settle(w.ref)
	}
}

// dispatch handles a message whose signature is good; false means that it is not settled yet.
func (m *Machine) dispatch(s wire.Signed, w waiting) bool {
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

// underRoster finds the roster that a message names. When it is not here, settled tells whether to give the message up.
func (m *Machine) underRoster(version uint64, hash wire.RosterHash, w waiting) (v *roster.View, settled bool) {
	if v, ok := m.rosters[hash]; ok {
		return v, true
	}
	if version > m.roster.Version { // defence: newer-roster
		m.needRoster(version)
		w.version = version
		return nil, !m.wait(w)
	}
	return nil, true
}

// wait keeps a message for later, the newest of them, and a bounded part of one signer's.
func (m *Machine) wait(w waiting) bool {
	limit := max(m.cfg.Limits.MaxWaiting/8, 1)
	same, first := 0, -1
	for i := range m.waiting {
		if m.waiting[i].signer == w.signer {
			if same++; first < 0 {
				first = i
			}
		}
	}
	switch {
	case same >= limit:
		m.waiting = append(m.waiting[:first], m.waiting[first+1:]...)
	case len(m.waiting) >= m.cfg.Limits.MaxWaiting:
		m.waiting = m.waiting[1:]
	}
	w.raw = append([]byte(nil), w.raw...)
	m.waiting = append(m.waiting, w)
	return true
}

// retryWaiting takes again what a condition says can be judged now.
func (m *Machine) retryWaiting(ready func(*waiting) bool) {
	var again []waiting
	keep := m.waiting[:0]
	for i := range m.waiting {
		if w := m.waiting[i]; ready(&w) {
			w.version, w.epoch = 0, wire.EpochID{}
			again = append(again, w)
		} else {
			keep = append(keep, w)
		}
	}
	m.waiting = keep
	for _, w := range again {
		m.receive(w)
	}
}

// onRelayUp begins a connection to a relay node: everybody hears the present want, and a new database gets every share
// that is not confirmed.
func (m *Machine) onRelayUp(database wire.DatabaseID) {
	m.relayUp, m.database = true, database
	clear(m.failed)
	clear(m.strikes)
	if m.ask.n > 0 || m.ask.at.IsZero() {
		m.ask.reset(m.now)
	}
	for _, e := range m.order {
		e.lack.n = 0
		if !e.lack.at.IsZero() {
			e.lack.reset(m.now.Add(m.cfg.Limits.Repair))
		}
		m.onDatabase(e)
		if e.session != nil && !m.allConfirmed(e) {
			e.session.repeat.reset(m.now)
		}
	}
	if best := m.best(true); best != nil {
		best.session.repeat.reset(m.now) // whoever has a newer one then says so
	}
}

// onOnline is a hint: what that member still lacks is offered at once. Without a relay node it is also what a relay node's
// coming is otherwise: whoever comes hears the present want, says what it has, and gets what lies in a mailbox that it
// may not reach.
func (m *Machine) onOnline(role wire.Role) {
	m.online[role] = true
	if !m.relayUp && m.ask.n > 0 {
		m.ask.reset(m.now)
	}
	for _, e := range m.order {
		if d := e.deliveries[role]; d != nil && (d.failed || d.isStored && !m.relayUp) {
			d.again.reset(m.now)
		}
		if !m.relayUp && !e.lack.at.IsZero() {
			e.lack.reset(m.now.Add(m.cfg.Limits.Repair))
		}
		if e.session != nil && !e.session.confirmed[role] {
			e.session.repeat.reset(m.now)
		}
	}
}
