package keyagreement

import (
	"slices"
	"time"

	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/limits"
	"conclave/node/keyagreement/record"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

// stepWindow forgets what has had its time: shares, sessions, incomplete epochs, marks of dropped ones.
func (m *sessions) stepWindow() {
	l := m.cfg.Limits
	var sessions []*epoch
	best := m.best(true)
	for _, e := range m.order {
		old := m.Reached(e.created.Add(l.Retention))
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
		if over || m.Reached(e.ended().Add(l.Retention)) { // defence: sessions-bounded
			m.drop(e)
		}
	}
	for id, at := range m.dropped {
		if m.Reached(at.Add(l.Retention)) {
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
func (m *sessions) drop(e *epoch) {
	for i := range e.parts {
		e.parts[i].share = share.Share{}
	}
	if e.session != nil {
		// Never again: a session that came back would have lost its replay windows.
		m.emit(event.Forget{Transcript: e.session.transcript})
		m.dropped[e.id] = m.Now
		m.persist(record.Dropped(e.id), record.Stamp(m.Now))
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
	delete(m.byID, e.id)
	m.order = slices.DeleteFunc(slices.Clone(m.order), func(x *epoch) bool { return x == e })
	m.pruneRosters()
}

// onStartBehind learns that the disk is an old one restored: start numbers in every session on it may have been used
// before. The session told of is dropped for good, the others are kept for reading, and a new epoch is asked for.
func (m *sessions) onStartBehind(t wire.Transcript) {
	i := slices.IndexFunc(m.order, func(e *epoch) bool { return e.session != nil && e.session.transcript == t })
	if i < 0 { // defence: old-disk-not-sent-under
		return
	}
	told := m.order[i]
	for _, e := range m.order {
		if e.session != nil && e.stale && e != told && !e.session.noSend {
			e.session.noSend = true
			m.saveSession(e)
		}
	}
	m.drop(told)
	m.onRekey()
}

// onSawBehind tells the group that a member sends under a start number used before.
func (m *sessions) onSawBehind(in event.SawBehind) {
	if m.self < 0 || !m.Allow("behind/"+string(in.Role), limits.BehindAgain) {
		return
	}
	b := wire.Behind{Group: m.cfg.Group, Transcript: in.Transcript, Role: in.Role, Start: in.Start}
	m.emit(event.Broadcast{Raw: m.sign(wire.SignedBehind, b.Marshal()), Absent: true})
}

// onBehind hands a claim about this member to the driver, who knows whether it is true.
func (m *sessions) onBehind(s wire.Signed, p wire.Behind) {
	if p.Role != m.cfg.Self {
		return
	}
	for _, x := range m.roster.Members {
		if x.Identity == s.Signer {
			m.emit(event.ToldBehind{Transcript: p.Transcript, Start: p.Start, By: x.Role})
		}
	}
}
