package keyagreement

import (
	"bytes"
	"slices"
	"time"

	"conclave/node/keyagreement/record"
	"conclave/overlay/wire"
)

// eligible tells whether a session may be sent under at all.
func (m *Machine) eligible(e *epoch) bool {
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
	return e.opening.Number <= uint64(max(m.now.Add(m.cfg.Limits.Ahead).UnixMilli(), 0)) // defence: number-not-ahead
}

// tainted tells whether a contributor of an epoch is known to have announced twice under this roster. Others may hold
// another key under the same opening, so nobody sends under it; all who have the evidence agree on that.
func (m *Machine) tainted(e *epoch) bool {
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
func (m *Machine) ready(e *epoch) bool {
	if e.session.restored || e.contributorsConfirmed() { // defence: used-when-confirmed
		return true
	}
	return m.reached(e.session.completed.Add(m.cfg.Limits.UseAfter)) // defence: used-after-a-while
}

// best returns the eligible session that is first in (number, |S|, smaller ID), or nil; with all set also one that is
// not ready.
func (m *Machine) best(all bool) *epoch {
	var best *epoch
	for _, e := range m.order {
		if m.eligible(e) && (all || m.ready(e)) && (best == nil || m.before(e, best)) {
			best = e
		}
	}
	return best
}

// before tells whether a is used rather than b.
func (m *Machine) before(a, b *epoch) bool {
	if x, y := a.opening.Number, b.opening.Number; x != y {
		return x > y // defence: highest-number
	}
	if x, y := len(a.parts), len(b.parts); x != y {
		return x > y // defence: more-contributors
	}
	return bytes.Compare(a.id[:], b.id[:]) < 0 // defence: smaller-id
}

// choose says which session is sent under, when that has changed.
func (m *Machine) choose() {
	var use wire.Transcript
	if best := m.best(false); best != nil {
		use = best.session.transcript
	}
	if use == m.using {
		return
	}
	for _, e := range m.order {
		if e.session != nil && e.session.transcript == m.using {
			e.session.superseded = m.now
			m.saveSession(e)
		}
	}
	m.using = use
	if use == (wire.Transcript{}) {
		m.emit(Hold{})
		return
	}
	m.emit(Use{use})
}

// stepWindow forgets what has had its time: shares, sessions, incomplete epochs, marks of dropped ones.
func (m *Machine) stepWindow() {
	l := m.cfg.Limits
	var sessions []*epoch
	best := m.best(true)
	for _, e := range m.sorted() {
		old := m.reached(e.created.Add(l.Retention))
		switch {
		case e.session == nil:
			if old { // defence: retention
				m.drop(e)
			}
			continue
		case old && !e.session.erased: // defence: retention
			m.dropShares(e)
		default:
			m.eraseShares(e) // a roster may have removed the last who had not confirmed
		}
		if e != best && e.session.transcript != m.using {
			sessions = append(sessions, e)
		}
	}
	for i, e := range sessions {
		over := len(sessions)-i >= l.MaxSessions
		if over || m.reached(e.ended().Add(l.Retention)) { // defence: sessions-bounded
			m.drop(e)
		}
	}
	for id, at := range m.dropped {
		if m.reached(at.Add(l.Retention)) {
			delete(m.dropped, id)
			m.erase(record.Dropped(id))
		}
	}
}

// ended is when a session was last of use.
func (e *epoch) ended() time.Time {
	if e.session.superseded.After(e.session.completed) {
		return e.session.superseded
	}
	return e.session.completed
}

// drop forgets an epoch and everything recorded of it.
func (m *Machine) drop(e *epoch) {
	for i := range e.parts {
		e.parts[i].share = Share{}
	}
	if e.session != nil {
		// Never again: a session that came back would have lost its replay windows.
		m.emit(Forget{e.session.transcript})
		m.dropped[e.id] = m.now
		m.persist(record.Dropped(e.id), record.Stamp(m.now))
	}
	for token, u := range m.unwraps {
		if u.epoch == e.id {
			m.settle(u.refs...)
			delete(m.unwraps, token)
		}
	}
	if e.own {
		// The opening may come again, and then no second share may be drawn for it.
		m.floor[e.opening.Opener] = max(m.floor[e.opening.Opener], e.opening.Number)
	}
	m.eraseEpoch(e)
	delete(m.epochs, e.id)
	m.order = slices.DeleteFunc(slices.Clone(m.order), func(x *epoch) bool { return x == e })
	m.pruneRosters()
}

// onStartBehind learns that the disk is an old one restored: start numbers in every session on it may have been used
// before. The session told of is dropped for good, the others are kept for reading, and a new epoch is asked for.
func (m *Machine) onStartBehind(t wire.Transcript) {
	i := slices.IndexFunc(m.sorted(), func(e *epoch) bool { return e.session != nil && e.session.transcript == t })
	if i < 0 { // defence: old-disk-not-sent-under
		return
	}
	told := m.sorted()[i]
	for _, e := range m.sorted() {
		if e.session != nil && e.stale && e != told && !e.session.noSend {
			e.session.noSend = true
			m.saveSession(e)
		}
	}
	m.drop(told)
	m.onRekey()
}

// onSawBehind tells the group that a member sends under a start number used before.
func (m *Machine) onSawBehind(in SawBehind) {
	if m.self < 0 || !m.allow("behind/"+string(in.Role), behindAgain) {
		return
	}
	b := wire.Behind{Group: m.cfg.Group, Transcript: in.Transcript, Role: in.Role, Start: in.Start}
	m.emit(Broadcast{m.sign(wire.SignedBehind, b.Marshal()), true})
}

// onBehind hands a claim about this member to the driver, who knows whether it is true.
func (m *Machine) onBehind(s wire.Signed, p wire.Behind) {
	if p.Role != m.cfg.Self {
		return
	}
	for _, x := range m.roster.Members {
		if x.Identity == s.Signer {
			m.emit(ToldBehind{p.Transcript, p.Start, x.Role})
		}
	}
}
