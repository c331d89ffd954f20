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
		if e.session != nil || e.split || e.lack.n >= lackTimes || !m.roster.holds(e.roster.Members[e.roster.index[m.cfg.Self]]) {
			continue
		}
		attempt := e.lack.n
		if !m.due(&e.lack, m.cfg.Limits.Repair, lackMax) || !m.bites(ruleLack) {
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

// onLack wraps again what another member misses: its own share whoever asks, others' when its turn comes.
func (m *Machine) onLack(s wire.Signed, p wire.Lack) {
	e := m.epochs[p.Epoch]
	if e == nil || p.Role == m.cfg.Self || !e.roster.key(p.Role, s.Signer) {
		return
	}
	if !m.roster.holds(e.roster.Members[e.roster.index[p.Role]]) || !m.allow("lack/"+string(p.Role)+string(p.Epoch[:]), lackAgain) {
		return
	}
	turn := m.myTurn(e, p)
	for _, of := range p.Of {
		i := e.contributor(of)
		if i < 0 || !e.parts[i].have {
			continue
		}
		if of == m.cfg.Self || turn && m.bites(ruleRewrap) {
			m.wrap(e, i, p.Role)
		}
	}
	if m.offeredOpening(e) {
		m.emit(Broadcast{e.raw, false})
	}
}

// offeredOpening tells whether to show an opening again: its opener does, when somebody lacks a share of it.
func (m *Machine) offeredOpening(e *epoch) bool {
	return e.opening.Opener == m.cfg.Self && e.session == nil && m.allow("opening/"+string(e.id[:]), lackAgain)
}

// myTurn tells whether this holder answers for others at this attempt: none at first, then one, two, four and so on in
// role order, so that everybody is reached soon and few answer twice.
func (m *Machine) myTurn(e *epoch, p wire.Lack) bool {
	if p.Attempt == 0 {
		return false
	}
	index := e.roster.index[m.cfg.Self]
	if other := e.roster.index[p.Role]; other < index {
		index--
	}
	low := 1<<min(p.Attempt-1, 16) - 1
	return index >= low && index < 2*low+1 || p.Attempt > turnAttempts
}

// stepTell shows the newest opening to a member that is behind, unless somebody else does first.
func (m *Machine) stepTell() {
	if m.tell.at.IsZero() || !m.reached(m.tell.at) {
		return
	}
	m.tell.stop()
	if best := m.best(true); best != nil && m.bites(ruleTellNewer) && m.allow("tell", tellAgain) {
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
	deliveredAgain = 30 * time.Second // a share that was taken is offered again if no confirmation comes
	failedAgain    = 3 * time.Second  // a share that was not taken
	lackAgain      = time.Second      // between two answers to one member about one epoch
	lackMax        = time.Minute
	lackTimes      = 10
	turnAttempts   = 7 // after as many attempts every holder answers: 2^7 > 100 members
	tellAgain      = 2 * time.Second
	offerAgain     = 5 * time.Second
	needAgain      = 2 * time.Second
	needMax        = time.Minute
	behindAgain    = 10 * time.Second
	evidenceAgain  = 5 * time.Second
	maxInstances   = 32
	maxAllowed     = 4096
)
