package keyagreement

import (
	"crypto/sha256"
	"slices"
	"time"

	"conclave/node/keyagreement/asking"
	"conclave/node/keyagreement/clock"
	"conclave/node/keyagreement/early"
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/limits"
	"conclave/node/keyagreement/record"
	"conclave/overlay/wire"
)

// requests is who asked for an epoch, and who was silent in one.
type requests struct {
	epochs
	ask         clock.Timer
	sequence    uint64    // of the last own request
	answered    time.Time // when the last own request went out
	asked       *asking.Book
	rekey       bool        // a new epoch is wanted though the old is well
	rekeyNumber uint64      // and it must be above this number
	tell        clock.Timer // the newest opening is shown to whoever is behind
}

// trusted tells whether others' openings wait for a pending epoch: not if earlier ones of its opener failed. Who opens
// what cannot be completed can thus not keep the others from a key.
func (m *requests) trusted(e *epoch) bool {
	return m.pending(e) && (e.opening.Opener == m.cfg.Self || m.asked.Failures(e.opening.Opener) == 0) // defence: opener-trusted
}

// covered tells whether a pending epoch takes up a request.
func (m *requests) covered(role wire.Role, r asking.Request) bool {
	for _, e := range m.order {
		if m.trusted(e) {
			if i := e.contributor(role); i >= 0 && e.opening.Contributors[i].Instance == r.Instance {
				return true
			}
		}
	}
	return false
}

// stepFailures gives up epochs without progress and remembers who was silent.
func (m *requests) stepFailures() {
	l := m.cfg.Limits
	for _, e := range m.order {
		patience := m.asked.Patience(e.opening.Opener, l.Silent+time.Duration(len(e.parts))*l.SilentEach, l.SilentMax)
		if !m.pending(e) || !e.own && !e.answerAt.IsZero() || !m.Reached(e.progress.Add(patience)) {
			continue
		}
		e.failed, e.answerAt = true, time.Time{}
		m.asked.Failed(e.opening.Opener)
		for i := range e.parts {
			c := e.opening.Contributors[i]
			if e.parts[i].have || c.Role == m.cfg.Self { // defence: silent-left-out
				continue
			}
			m.asked.Silent(c.Role, m.Now, l.Silent, l.SilentMax)
			m.note("was silent and is left out", c.Role)
		}
		m.ask.Reset(m.Now)
	}
}

// leftOut tells whether a role was silent and has not asked anew, or not waited long enough.
func (m *requests) leftOut(role wire.Role) bool {
	until, anew := m.asked.Until(role)
	return !anew || !m.Reached(until)
}

// onPair takes two announcements that contradict each other. Both signatures have been verified.
func (m *requests) onPair(role wire.Role, version uint64, e *epoch, a, b []byte) {
	if e != nil && !e.split {
		e.split = true
		e.answerAt = time.Time{}
		m.ask.Reset(m.Now)
		if e.session != nil {
			m.saveSession(e)
		}
	}
	if version != m.roster.Version {
		return
	}
	if _, known := m.evidence[role]; known {
		return
	}
	m.evidence[role] = evidence{slices.Clone(a), slices.Clone(b)}
	m.persist(record.Evidence(version, role), record.Pack(a, b))
	m.emit(event.Evidence{Role: role, A: a, B: b})
	delete(m.asked.Newest, role)
	m.emit(event.Broadcast{Raw: a, Absent: true})
	m.emit(event.Broadcast{Raw: b, Absent: true})
}

// earlyPair looks for a contradiction among announcements whose opening is not here.
func (m *requests) earlyPair(s wire.Signed, p wire.Announcement) bool {
	if p.RosterVersion != m.roster.Version || !m.roster.Key(p.Role, s.Signer) {
		return false
	}
	hash := sha256.Sum256(s.Payload)
	for i := range m.early.All() {
		w := &m.early.All()[i]
		if w.Epoch != p.Epoch || w.Signer != s.Signer {
			continue
		}
		other, err := wire.UnmarshalSigned(w.Raw)
		if err != nil || other.Type != wire.SignedAnnouncement {
			continue
		}
		if sha256.Sum256(other.Payload) == hash {
			return true // the same again
		}
		m.onPair(p.Role, p.RosterVersion, nil, w.Raw, s.Marshal())
		return false
	}
	return false
}

// tellBehind prepares to show the newest opening because somebody knows only an older one: the later the later in role
// order, so that one member does it.
func (m *requests) tellBehind() {
	if m.tell.At.IsZero() {
		m.tell.Reset(m.Now.Add(time.Duration(m.self) * m.cfg.Limits.Turn))
	}
}

// wants tells whether this member needs a new epoch.
func (m *requests) wants() bool {
	if _, cheat := m.evidence[m.cfg.Self]; cheat || m.Now.After(m.roster.Expires) {
		return false
	}
	usable, newest := false, time.Time{}
	for _, e := range m.order {
		if !m.eligible(e) {
			continue
		}
		usable = true
		if e.session.completed.After(newest) {
			newest = e.session.completed
		}
		if m.rekey && e.opening.Number > m.rekeyNumber && e.contributor(m.cfg.Self) >= 0 {
			m.rekey = false
		}
	}
	switch {
	case !usable:
		return true
	case !m.contributed(): // defence: everybody-contributes
		return true
	case m.rekey: // defence: rekey-opens
		return true
	case m.outrun(): // defence: outrun-asks
		return true
	case m.Reached(newest.Add(m.cfg.Limits.MaxAge)): // defence: old-session-replaced
		return true
	}
	return false
}

// contributed tells whether the newest key is this member's work too, under this roster.
func (m *requests) contributed() bool {
	best := m.best(true)
	return best != nil && best.roster.Hash == m.roster.Hash && best.contributor(m.cfg.Self) >= 0
}

// outrun tells whether others have completed a newer epoch that this member cannot complete, though it has asked for
// what it lacks: its disk is an old one, and the others have erased the shares.
func (m *requests) outrun() bool {
	best := m.best(true)
	for _, e := range m.order {
		if e.session == nil && !m.tainted(e) && e.roster == m.roster && e.lack.N > 1 && len(e.early) > 0 &&
			(best == nil || m.before(e, best)) {
			return true
		}
	}
	return false
}

// onRekey asks for a new epoch while the old goes on.
func (m *requests) onRekey() {
	m.rekey, m.rekeyNumber = true, m.highest
	m.ask.Reset(m.Now)
}

// stepAsk says what this member wants, at once and then ever more seldom.
func (m *requests) stepAsk() {
	if !m.wants() {
		m.ask.Reset(m.Now)
		if r, ok := m.asked.Newest[m.cfg.Self]; ok && r.Want {
			delete(m.asked.Newest, m.cfg.Self)
		}
		return
	}
	if !m.connected() || m.pendingWithMe() {
		return
	}
	if m.Due(&m.ask, m.cfg.Limits.AskAgain, m.cfg.Limits.AskMax) {
		m.sendRequest(true)
	}
}

// pendingWithMe tells whether an epoch to which this member contributes is under way.
func (m *requests) pendingWithMe() bool {
	for _, e := range m.order {
		if m.trusted(e) {
			if i := e.contributor(m.cfg.Self); i >= 0 && e.opening.Contributors[i].Instance == m.cfg.Instance && e.own {
				return true
			}
		}
	}
	return false
}

// sendRequest publishes a request of this instance.
func (m *requests) sendRequest(want bool) {
	m.sequence = max(m.sequence+1, uint64(max(m.Now.UnixMilli(), 0)))
	r := wire.Request{
		Group: m.cfg.Group, RosterVersion: m.roster.Version, RosterHash: m.roster.Hash, Role: m.cfg.Self,
		Instance: m.cfg.Instance, Sequence: m.sequence, Want: want, Known: m.highest,
	}
	m.asked.Take(r, m.Now)
	m.answered = m.Now
	m.emit(event.Broadcast{Raw: m.sign(wire.SignedRequest, r.Marshal()), Absent: want})
}

// onRequest takes another member's request.
func (m *requests) onRequest(s wire.Signed, p wire.Request, w early.Message) bool {
	v, settled := m.underRoster(p.RosterVersion, p.RosterHash, w)
	if v == nil {
		return settled
	}
	if !v.Key(p.Role, s.Signer) || p.Role == m.cfg.Self {
		return true
	}
	if v != m.roster {
		m.offerRoster(p.Role)
		return true
	}
	if _, cheat := m.evidence[p.Role]; cheat { // defence: cheat-excluded
		m.showEvidence(p.Role)
		return true
	}
	limit := uint64(m.Now.Add(m.cfg.Limits.Ahead).UnixMilli())
	if p.Known <= limit {
		m.highest = max(m.highest, p.Known)
	}
	if !m.asked.Fresh(p, limit, m.Now, m.online[p.Role]) {
		return true
	}
	m.asked.Take(p, m.Now)
	if best := m.best(true); p.Want && best != nil && p.Known < best.opening.Number {
		m.tellBehind()
	}
	return true
}

// stepRequests forgets requests that nobody repeats, and joins another member's: whoever is present contributes.
func (m *requests) stepRequests() {
	own, asked := m.asked.Newest[m.cfg.Self]
	join := false
	for role, r := range m.asked.Newest {
		life := limits.AnswerLife
		if r.Want {
			life = limits.WantLife
		}
		switch {
		case role == m.cfg.Self:
		case m.Reached(r.Heard.Add(life)):
			delete(m.asked.Newest, role)
		case r.Want && !m.covered(role, r) && (!asked || r.Heard.After(own.Heard)):
			join = true // whoever asks may not have heard this member's own request
		}
	}
	if !join || m.Now.After(m.roster.Expires) || m.pendingWithMe() {
		return
	}
	if m.Reached(m.answered.Add(limits.AnswerAgain)) { // defence: request-joined
		m.sendRequest(false)
	}
}
