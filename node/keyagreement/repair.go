package keyagreement

import (
	"time"

	"conclave/overlay/wire"
)

// stepLacks says which shares are missing, after a while and then ever more seldom.
func (m *Machine) stepLacks() {
	if !m.connected() {
		return
	}
	for _, e := range m.sorted() {
		if e.session != nil || e.split || e.lack.n >= lackTimes || !m.roster.Holds(e.roster.Members[e.roster.Index[m.cfg.Self]]) {
			continue
		}
		attempt := e.lack.n
		if !m.due(&e.lack, m.cfg.Limits.Repair, lackMax) { // defence: lack-said
			continue
		}
		l := wire.Lack{Group: m.cfg.Group, Epoch: e.id, Role: m.cfg.Self, Attempt: uint32(attempt)}
		for i := range e.parts {
			if !e.parts[i].have {
				l.Of = append(l.Of, e.opening.Contributors[i].Role)
			}
		}
		m.emit(Broadcast{m.sign(wire.SignedLack, l.Marshal()), false})
	}
}

// stepUnseen asks for openings of epochs that others have spoken of, for as long as what they said is kept.
func (m *Machine) stepUnseen() {
	heard := map[wire.EpochID]bool{}
	for i := range m.waiting {
		if id := m.waiting[i].epoch; id != (wire.EpochID{}) {
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
	for i := range m.waiting {
		id := m.waiting[i].epoch
		if !heard[id] {
			continue
		}
		delete(heard, id) // once each, in the order in which they were heard of
		t := m.unseen[id]
		if t == nil {
			t = &timer{at: m.now.Add(m.cfg.Limits.Repair)}
			m.unseen[id] = t
		}
		if t.n < lackTimes && m.due(t, m.cfg.Limits.Repair, lackMax) { // defence: unseen-asked
			l := wire.Lack{Group: m.cfg.Group, Epoch: id, Role: m.cfg.Self, Attempt: uint32(t.n)}
			m.emit(Broadcast{m.sign(wire.SignedLack, l.Marshal()), false})
		}
	}
}

// onLack helps a member that misses something of an epoch: with its own share whoever asks, with others' and with the
// opening when its turn comes.
func (m *Machine) onLack(s wire.Signed, p wire.Lack) {
	e := m.epochs[p.Epoch]
	if e == nil || p.Role == m.cfg.Self || !e.roster.Key(p.Role, s.Signer) {
		return
	}
	if !m.roster.Holds(e.roster.Members[e.roster.Index[p.Role]]) || !m.allow("lack/"+string(p.Role)+string(p.Epoch[:]), lackAgain) {
		return
	}
	turn := m.myTurn(e, p)
	if turn && len(p.Of) == 0 {
		m.emit(Broadcast{e.raw, false})
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
		m.emit(Broadcast{e.session.confirmation, false}) // it was completed and cannot be handed on
	case e.session == nil && e.opening.Opener == m.cfg.Self && m.allow("opening/"+string(e.id[:]), lackAgain):
		m.emit(Broadcast{e.raw, false}) // others may not have seen it
	}
}

// myTurn tells whether this holder answers for others at this attempt: none at first, then one, two, four and so on in
// role order and from the front again, so that everybody is reached soon and few answer twice.
func (m *Machine) myTurn(e *epoch, p wire.Lack) bool {
	if p.Attempt == 0 {
		return false
	}
	index := e.roster.Index[m.cfg.Self]
	if other := e.roster.Index[p.Role]; other < index {
		index--
	}
	others := len(e.roster.Members) - 1
	size := 1 << min(p.Attempt-1, 16)
	return (index-(size-1)%others+others)%others < size
}

// tellBehind prepares to show the newest opening because somebody knows only an older one: the later the later in role
// order, so that one member does it.
func (m *Machine) tellBehind() {
	if m.tell.at.IsZero() {
		m.tell.reset(m.now.Add(time.Duration(m.self) * m.cfg.Limits.Turn))
	}
}

// stepTell shows the newest opening to a member that is behind, unless somebody else does first.
func (m *Machine) stepTell() {
	if m.tell.at.IsZero() || !m.reached(m.tell.at) {
		return
	}
	m.tell.stop()
	if best := m.best(true); best != nil && m.allow("tell", tellAgain) { // defence: behind-told
		m.emit(Broadcast{best.raw, false})
	}
}

// Implementation constants; all are arbitrary within a factor of a few.
const (
	requestAge     = time.Minute            // an older request counts only if its sender is known to be here
	wantLife       = 90 * time.Second       // a want that nobody repeats is forgotten
	answerLife     = 20 * time.Second       // so is an answer
	answerAgain    = 500 * time.Millisecond // between two requests of ours, but for those that a timer sends
	confirmAgain   = 2 * time.Second
	confirmMax     = 32 * time.Second
	confirmTimes   = 6
	heartbeatMin   = time.Minute
	heartbeatEach  = 2 * time.Second
	deliveredAgain = 30 * time.Second // a share that was taken is offered again if no confirmation comes
	failedAgain    = 3 * time.Second  // a share that was not taken
	lackAgain      = time.Second      // between two answers to one member about one epoch
	lackMax        = time.Minute
	lackTimes      = 10
	tellAgain      = 2 * time.Second
	offerAgain     = 5 * time.Second
	needAgain      = 2 * time.Second
	needMax        = time.Minute
	behindAgain    = 10 * time.Second
	evidenceAgain  = 5 * time.Second
	maxInstances   = 32
	maxAllowed     = 4096
)
