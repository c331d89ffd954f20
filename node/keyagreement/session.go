package keyagreement

import (
	"crypto/subtle"
	"time"

	"conclave/node/keyagreement/clock"
	"conclave/node/keyagreement/early"
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/limits"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

// sessions completes epochs and forgets them.
type sessions struct {
	requests
	dropped map[wire.EpochID]time.Time
	floor   map[wire.Role]uint64 // highest number of a forgotten epoch of this opener to which this instance contributed
	beat    time.Time            // when the newest session is shown again
	unwraps map[uint64]*unwrap   // shares that are being opened
}

// session is what the machine keeps of a completed epoch: no key that opens a frame.
type session struct {
	transcript   wire.Transcript
	confirm      share.Secret // the confirm key
	completed    time.Time
	confirmation []byte // the own one, signed
	confirmed    map[wire.Role]bool
	repeat       clock.Timer // of the own confirmation
	noSend       bool        // from an old disk: read only
	restored     bool        // completed before this start: nobody waits for confirmations again
	erased       bool        // the shares are gone
	superseded   time.Time
}

// contradiction compares a confirmation with the announcements that are here. Where they differ, one of two lied: the
// contributor, who announced twice, or the confirming member. This member shows what it was given, the other does the
// same, and if there are two announcements both will have the pair. Nothing else follows from a mere claim.
func (m *sessions) contradiction(e *epoch, p wire.Confirmation) {
	differs := false
	for i := range e.parts {
		role := e.opening.Contributors[i].Role
		if e.parts[i].raw == nil || e.parts[i].hash == p.Announcements[i] {
			continue
		}
		differs = true
		if m.Allow("shown/"+string(role)+string(e.id[:]), limits.EvidenceAgain) { // defence: contradiction-shown
			m.emit(event.Broadcast{Raw: e.parts[i].raw, Absent: false})
		}
	}
	if (differs || e.session != nil) && m.Allow("contradiction/"+string(p.Role)+string(e.id[:]), limits.EvidenceAgain) {
		m.note("a confirmation contradicts what is here", p.Role)
	}
}

// earlyContradictions looks again at confirmations that came before an announcement.
func (m *sessions) earlyContradictions(e *epoch) {
	for _, role := range sortedRoles(e.early) {
		m.contradiction(e, e.early[role])
	}
}

// stepTell shows the newest opening to a member that is behind, unless somebody else does first.
func (m *sessions) stepTell() {
	if m.tell.At.IsZero() || !m.Reached(m.tell.At) {
		return
	}
	m.tell.Stop()
	if best := m.best(true); best != nil && m.Allow("tell", limits.TellAgain) { // defence: behind-told
		m.emit(event.Broadcast{Raw: best.raw, Absent: false})
	}
}

// complete derives the key once every contributor has announced and its share is here.
func (m *sessions) complete(e *epoch) {
	if e.session != nil {
		return
	}
	for i := range e.parts {
		if !e.parts[i].have { // defence: all-shares
			return
		}
	}
	members := make([]Member, len(e.parts))
	roles := make([]wire.Role, len(e.parts))
	for i, c := range e.opening.Contributors {
		members[i], roles[i] = e.roster.Members[e.roster.Index[c.Role]], c.Role
	}
	t, kabc, prk := derive(e.payload, members, e.parts)
	e.session = &session{
		transcript: t, confirm: share.ConfirmKey(prk), completed: m.Now, confirmed: map[wire.Role]bool{m.cfg.Self: true},
	}
	e.answerAt, e.lack = time.Time{}, clock.Timer{}
	m.emit(event.Completed{Session: event.Session{
		Number: e.opening.Number, ID: e.id, RosterVersion: e.opening.RosterVersion, Transcript: t, Contributors: roles,
		Members: e.roster.Members, PRK: prk, Key: kabc, Fingerprint: share.Fingerprint(prk),
	}})
	m.confirm(e)
	m.saveEpoch(e)
	m.saveSession(e)
	m.completed(e)
	early := e.early
	e.early = nil
	for _, role := range sortedRoles(early) {
		m.takeConfirmation(e, early[role])
	}
	m.eraseShares(e)
}

// derive returns a session's name and keys from its opening and all parts of it.
func derive(opening []byte, members []Member, parts []part) (t wire.Transcript, kabc, prk share.Secret) {
	announced, shares := make([]share.Announced, len(parts)), make([]share.Share, len(parts))
	for i := range parts {
		announced[i], shares[i] = share.Announced{Identity: members[i].Identity, Announcement: parts[i].ann}, parts[i].share
	}
	t = share.Transcript(opening, announced)
	kabc, prk = share.Derive(t, shares)
	return t, kabc, prk
}

// completed closes the requests that an epoch answers, and forgives. Who wants more asks again.
func (m *sessions) completed(e *epoch) {
	if e.roster != m.roster {
		return
	}
	m.asked.Completed(e.opening.Opener)
	for _, c := range e.opening.Contributors {
		m.asked.Forgive(c.Role)
		if r, ok := m.asked.Newest[c.Role]; ok && r.Instance == c.Instance {
			delete(m.asked.Newest, c.Role)
		}
	}
	m.ask.Reset(m.answered.Add(limits.AnswerAgain))
}

// confirm signs that this member holds the key, and says so.
func (m *sessions) confirm(e *epoch) {
	c := wire.Confirmation{
		Group: m.cfg.Group, Epoch: e.id, Role: m.cfg.Self, Transcript: e.session.transcript,
		MAC: share.ConfirmMAC(e.session.confirm, e.session.transcript, m.cfg.Self),
	}
	for i := range e.parts {
		c.Announcements = append(c.Announcements, e.parts[i].hash)
	}
	e.session.confirmation = m.sign(wire.SignedConfirmation, c.Marshal())
	m.emit(event.Broadcast{Raw: e.session.confirmation, Absent: true})
	e.session.repeat = clock.Timer{At: m.Now.Add(limits.ConfirmAgain), N: 1}
}

// stepConfirm repeats the own confirmation a few times while others have not shown theirs: they may lack this one.
func (m *sessions) stepConfirm() {
	for _, e := range m.order {
		s := e.session
		if s == nil || !m.connected() || s.repeat.At.IsZero() {
			continue
		}
		if s.repeat.N > limits.ConfirmTimes || s.repeat.N > 0 && m.allConfirmed(e) {
			s.repeat.Stop()
			continue
		}
		if m.Due(&s.repeat, limits.ConfirmAgain, limits.ConfirmMax) {
			m.emit(event.Broadcast{Raw: s.confirmation, Absent: false})
		}
	}
}

// stepHeartbeat shows the newest session here, seldom and for ever: whoever knows of a newer one, or that this one is
// split, then says so.
func (m *sessions) stepHeartbeat() {
	if !m.connected() {
		return
	}
	if m.beat.IsZero() {
		m.beat = m.Now.Add(m.heartbeat())
	}
	if !m.Reached(m.beat) {
		return
	}
	m.beat = m.Now.Add(m.heartbeat())
	m.WakeAt(m.beat)
	if best := m.best(true); best != nil { // defence: heartbeat
		m.emit(event.Broadcast{Raw: best.session.confirmation, Absent: false})
	}
}

// heartbeat is how often a member shows which session is its newest: together they do it at most once in 2 s.
func (m *sessions) heartbeat() time.Duration {
	return max(limits.HeartbeatMin, time.Duration(len(m.roster.Members))*limits.HeartbeatEach)
}

// onConfirmation takes another member's word that it holds a key.
func (m *sessions) onConfirmation(s wire.Signed, p wire.Confirmation, w early.Message) bool {
	e := m.byID[p.Epoch]
	if e == nil {
		if _, gone := m.dropped[p.Epoch]; gone {
			return true
		}
		w.Epoch = p.Epoch
		return !m.wait(w)
	}
	if !e.roster.Key(p.Role, s.Signer) || p.Role == m.cfg.Self || len(p.Announcements) != len(e.parts) { // defence: control-signed
		return true
	}
	if _, ok := e.roster.Index[p.Role]; !ok {
		return true
	}
	if m.tainted(e) {
		for _, c := range e.opening.Contributors {
			m.showEvidence(c.Role) // that member builds on a cheat
		}
	}
	if e.session == nil {
		e.early[p.Role] = p
		m.contradiction(e, p)
		return true
	}
	if best := m.best(true); !m.takeConfirmation(e, p) && best != nil && m.before(best, e) {
		m.tellBehind() // a repeat: perhaps it knows of nothing newer
	}
	return true
}

// takeConfirmation compares a confirmation with the session that is here, and tells whether it is news.
func (m *sessions) takeConfirmation(e *epoch, p wire.Confirmation) (news bool) {
	s := e.session
	if p.Transcript != s.transcript {
		m.contradiction(e, p)
		return true
	}
	mac := share.ConfirmMAC(s.confirm, s.transcript, p.Role)
	if subtle.ConstantTimeCompare(mac[:], p.MAC[:]) != 1 { // defence: confirmation-mac
		m.note("a confirmation whose MAC is wrong", p.Role)
		return true
	}
	if s.confirmed[p.Role] {
		return false
	}
	s.confirmed[p.Role] = true
	m.saveConfirmed(e, p.Role)
	m.emit(event.Confirmed{Epoch: e.id, Transcript: s.transcript, Role: p.Role})
	m.eraseShares(e)
	return true
}

// confirmed tells whether a member has shown that it holds this epoch's key.
func (e *epoch) confirmed(role wire.Role) bool { return e.session != nil && e.session.confirmed[role] }

// contributorsConfirmed tells whether all of S have confirmed.
func (e *epoch) contributorsConfirmed() bool {
	for _, c := range e.opening.Contributors {
		if !e.confirmed(c.Role) {
			return false
		}
	}
	return true
}
