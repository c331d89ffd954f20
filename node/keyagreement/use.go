package keyagreement

import (
	"bytes"

	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
)

// eligible tells whether a session may be sent under at all.
func (m *epochs) eligible(e *epoch) bool {
	if e.session == nil || m.self < 0 {
		return false
	}
	switch {
	case m.roster.Removes(e.roster): // defence: removed-reader-holds
		return false
	case m.tainted(e): // defence: split-not-sent-under
		return false
	case e.session.noSend: // defence: old-disk-not-sent-under
		return false
	case e.session.transcript == m.using:
		return true // a clock that is set back ends no session in use
	}
	return e.opening.Number <= uint64(max(m.Now.Add(m.cfg.Limits.Ahead).UnixMilli(), 0)) // defence: number-not-ahead
}

// tainted tells whether a contributor of an epoch is known to have announced twice under this roster. Others may hold
// another key under the same opening, so nobody sends under it; all who have the evidence agree on that.
func (m *epochs) tainted(e *epoch) bool {
	if e.split {
		return true
	}
	if len(m.evidence) > 0 && e.roster == m.roster {
		for _, c := range e.opening.Contributors {
			if _, cheat := m.evidence[c.Role]; cheat {
				return true
			}
		}
	}
	return false
}

// ready tells whether a session may be used already: all of S have confirmed, or it has been here for a while.
func (m *epochs) ready(e *epoch) bool {
	if e.session.restored || e.contributorsConfirmed() { // defence: used-when-confirmed
		return true
	}
	return m.Reached(e.session.completed.Add(m.cfg.Limits.UseAfter)) // defence: used-after-a-while
}

// best returns the eligible session that is first in (number, |S|, smaller ID), or nil; with all set also one that is
// not ready.
func (m *epochs) best(all bool) *epoch {
	var best *epoch
	for _, e := range m.order {
		if m.eligible(e) && (all || m.ready(e)) && (best == nil || m.before(e, best)) {
			best = e
		}
	}
	return best
}

// before tells whether a is used rather than b.
func (m *epochs) before(a, b *epoch) bool {
	if x, y := a.opening.Number, b.opening.Number; x != y {
		return x > y // defence: highest-number
	}
	if x, y := len(a.parts), len(b.parts); x != y {
		return x > y // defence: more-contributors
	}
	return bytes.Compare(a.id[:], b.id[:]) < 0 // defence: smaller-id
}

// choose says which session is sent under, when that has changed.
func (m *epochs) choose() {
	var use wire.Transcript
	if best := m.best(false); best != nil {
		use = best.session.transcript
	}
	if use == m.using {
		return
	}
	for _, e := range m.order {
		if e.session != nil && e.session.transcript == m.using {
			e.session.superseded = m.Now
			m.saveSession(e)
		}
	}
	m.using = use
	if use == (wire.Transcript{}) {
		m.emit(event.Hold{})
		return
	}
	m.emit(event.Use{Transcript: use})
}
