package keyagreement

import (
	"conclave/node/keyagreement/clock"
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/limits"
	"conclave/overlay/wire"
)

// repairs asks for what is missing, and helps others that miss something.
type repairs struct {
	openings
	unseen map[wire.EpochID]*clock.Timer // epochs heard of whose opening is not here
}

// stepLacks says which shares are missing, after a while and then ever more seldom.
func (m *repairs) stepLacks() {
	if !m.connected() {
		return
	}
	for _, e := range m.order {
		if e.session != nil || e.split || e.lack.N >= limits.LackTimes || !m.roster.Holds(e.roster.Members[e.roster.Index[m.cfg.Self]]) {
			continue
		}
		attempt := e.lack.N
		if !m.Due(&e.lack, m.cfg.Limits.Repair, limits.LackMax) { // defence: lack-said
			continue
		}
		l := wire.Lack{Group: m.cfg.Group, Epoch: e.id, Role: m.cfg.Self, Attempt: uint32(attempt)}
		for i := range e.parts {
			if !e.parts[i].have {
				l.Of = append(l.Of, e.opening.Contributors[i].Role)
			}
		}
		m.emit(event.Broadcast{Raw: m.sign(wire.SignedLack, l.Marshal()), Absent: false})
	}
}

// stepUnseen asks for openings of epochs that others have spoken of, for as long as what they said is kept.
func (m *repairs) stepUnseen() {
	heard := map[wire.EpochID]bool{}
	for i := range m.early.All() {
		if id := m.early.All()[i].Epoch; id != (wire.EpochID{}) {
			heard[id] = true
		}
	}
	for id := range m.unseen {
		if !heard[id] {
			delete(m.unseen, id)
		}
	}
	if !m.connected() {
		return
	}
	for i := range m.early.All() {
		id := m.early.All()[i].Epoch
		if !heard[id] {
			continue
		}
		delete(heard, id) // once each, in the order in which they were heard of
		t := m.unseen[id]
		if t == nil {
			t = &clock.Timer{At: m.Now.Add(m.cfg.Limits.Repair)}
			m.unseen[id] = t
		}
		if t.N < limits.LackTimes && m.Due(t, m.cfg.Limits.Repair, limits.LackMax) { // defence: unseen-asked
			l := wire.Lack{Group: m.cfg.Group, Epoch: id, Role: m.cfg.Self, Attempt: uint32(t.N)}
			m.emit(event.Broadcast{Raw: m.sign(wire.SignedLack, l.Marshal()), Absent: false})
		}
	}
}

// onLack helps a member that misses something of an epoch: with its own share whoever asks, with others' and with the
// opening when its turn comes.
func (m *repairs) onLack(s wire.Signed, p wire.Lack) {
	e := m.byID[p.Epoch]
	if e == nil || p.Role == m.cfg.Self || !e.roster.Key(p.Role, s.Signer) {
		return
	}
	if !m.roster.Holds(e.roster.Members[e.roster.Index[p.Role]]) || !m.Allow("lack/"+string(p.Role)+string(p.Epoch[:]), limits.LackAgain) {
		return
	}
	turn := e.roster.Answers(m.cfg.Self, p.Role, p.Attempt)
	if turn && len(p.Of) == 0 {
		m.emit(event.Broadcast{Raw: e.raw, Absent: false})
	}
	for _, of := range p.Of {
		i := e.contributor(of)
		if i < 0 || !e.parts[i].have {
			continue
		}
		if of == m.cfg.Self || turn { // defence: holder-wraps-again
			m.wrap(e, i, p.Role)
		}
	}
	switch {
	case e.session != nil && e.session.erased && turn:
		m.emit(event.Broadcast{Raw: e.session.confirmation, Absent: false}) // it was completed and cannot be handed on
	case e.session == nil && e.opening.Opener == m.cfg.Self && m.Allow("opening/"+string(e.id[:]), limits.LackAgain):
		m.emit(event.Broadcast{Raw: e.raw, Absent: false}) // others may not have seen it
	}
}
