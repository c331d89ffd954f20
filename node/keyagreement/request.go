package keyagreement

import (
	"crypto/sha256"
	"slices"
	"time"

	"conclave/node/keyagreement/clock"
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/limits"
	"conclave/node/keyagreement/record"
	"conclave/overlay/backoff"
	"conclave/overlay/wire"
)

// requests is who asked for an epoch, and who was silent in one.
type requests struct {
	epochs
	ask         clock.Timer
	sequence    uint64                // of the last own request
	answered    time.Time             // when the last own request went out
	newest      map[wire.Role]request // newest of each role, its own among them
	instances   map[wire.Role]*seen
	strikes     map[wire.Role]strike
	failed      map[wire.Role]int // epochs of this opener that failed since one of its was completed
	rekey       bool              // a new epoch is wanted though the old is well
	rekeyNumber uint64            // and it must be above this number
	tell        clock.Timer       // the newest opening is shown to whoever is behind
}

// request is the newest request of a role, as far as it is neither answered by a completed epoch nor too old.
type request struct {
	instance wire.Instance
	sequence uint64
	want     bool
	came     time.Time // first heard of, so a repeat is no newcomer
	heard    time.Time // last heard of
}

// seen is the runs of a role that asked, the newest last, so that an old request is not taken for a new one. Each run
// counts for itself: the clock of the next one may be behind.
type seen struct {
	runs []run // at most maxInstances
}

// run is one instance and its highest sequence.
type run struct {
	instance wire.Instance
	highest  uint64
}

// strike counts how often a role was silent in an epoch that it had asked for.
type strike struct {
	n        int
	sequence uint64    // its request then: only a newer one counts
	until    time.Time // and not before this
}

// trusted tells whether others' openings wait for a pending epoch: not if earlier ones of its opener failed. Who opens
// what cannot be completed can thus not keep the others from a key.
func (m *requests) trusted(e *epoch) bool {
	return m.pending(e) && (e.opening.Opener == m.cfg.Self || m.failed[e.opening.Opener] == 0) // defence: opener-trusted
}

// covered tells whether a pending epoch takes up a request.
func (m *requests) covered(role wire.Role, r request) bool {
	for _, e := range m.order {
		if m.trusted(e) {
			if i := e.contributor(role); i >= 0 && e.opening.Contributors[i].Instance == r.instance {
				return true
			}
		}
	}
	return false
}

// patience is how long a contributor may be silent.
func (m *requests) patience(e *epoch) time.Duration {
	l := m.cfg.Limits
	first := l.Silent + time.Duration(len(e.parts))*l.SilentEach
	failures := m.failed[e.opening.Opener] // defence: patience-doubles
	return backoff.Wait(first, max(first, l.SilentMax), failures)
}

// stepFailures gives up epochs without progress and remembers who was silent.
func (m *requests) stepFailures() {
	for _, e := range m.order {
		if !m.pending(e) || !e.own && !e.answerAt.IsZero() || !m.Reached(e.progress.Add(m.patience(e))) {
			continue
		}
		e.failed, e.answerAt = true, time.Time{}
		m.failed[e.opening.Opener]++
		for i := range e.parts {
			c := e.opening.Contributors[i]
			if e.parts[i].have || c.Role == m.cfg.Self { // defence: silent-left-out
				continue
			}
			s := m.strikes[c.Role]
			s.n++
			s.sequence = m.newest[c.Role].sequence
			s.until = m.Now.Add(m.cfg.Limits.Silent)
			if s.n > 1 { // defence: patience-doubles
				s.until = m.Now.Add(backoff.Wait(m.cfg.Limits.Silent, m.cfg.Limits.SilentMax, s.n-1))
			}
			m.strikes[c.Role] = s
			m.note("was silent and is left out", c.Role)
		}
		m.ask.Reset(m.Now)
	}
}

// leftOut tells whether a role was silent and has not asked anew, or not waited long enough.
func (m *requests) leftOut(role wire.Role, r request) bool {
	s, ok := m.strikes[role]
	if !ok {
		return false
	}
	if r.sequence <= s.sequence {
		return true // defence: silent-asks-anew
	}
	return !m.Reached(s.until)
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
	delete(m.newest, role)
	m.emit(event.Broadcast{Raw: a, Absent: true})
	m.emit(event.Broadcast{Raw: b, Absent: true})
}

// earlyPair looks for a contradiction among announcements whose opening is not here.
func (m *requests) earlyPair(s wire.Signed, p wire.Announcement) bool {
	if p.RosterVersion != m.roster.Version || !m.roster.Key(p.Role, s.Signer) {
		return false
	}
	hash := sha256.Sum256(s.Payload)
	for i := range m.waiting {
		w := &m.waiting[i]
		if w.epoch != p.Epoch || w.signer != s.Signer {
			continue
		}
		other, err := wire.UnmarshalSigned(w.raw)
		if err != nil || other.Type != wire.SignedAnnouncement {
			continue
		}
		if sha256.Sum256(other.Payload) == hash {
			return true // the same again
		}
		m.onPair(p.Role, p.RosterVersion, nil, w.raw, s.Marshal())
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
		if r, ok := m.newest[m.cfg.Self]; ok && r.want {
			delete(m.newest, m.cfg.Self)
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
	old, ok := m.newest[m.cfg.Self]
	next := request{m.cfg.Instance, m.sequence, want || ok && old.want, m.Now, m.Now}
	if ok {
		next.came = old.came
	}
	m.newest[m.cfg.Self] = next
	m.answered = m.Now
	m.emit(event.Broadcast{Raw: m.sign(wire.SignedRequest, r.Marshal()), Absent: want})
}

// onRequest takes another member's request.
func (m *requests) onRequest(s wire.Signed, p wire.Request, w waiting) bool {
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
	if !m.fresh(p, limit) {
		return true
	}
	old, had := m.newest[p.Role]
	r := request{p.Instance, p.Sequence, p.Want, m.Now, m.Now}
	if had && old.instance == p.Instance {
		r.came, r.want = old.came, r.want || old.want // a repeat is no newcomer
	}
	m.newest[p.Role] = r
	if best := m.best(true); p.Want && best != nil && p.Known < best.opening.Number {
		m.tellBehind()
	}
	return true
}

// fresh tells whether a request is newer than those seen of its role, and remembers it.
func (m *requests) fresh(p wire.Request, limit uint64) bool {
	old := m.instances[p.Role]
	if old == nil {
		old = &seen{}
		m.instances[p.Role] = old
	}
	at := slices.IndexFunc(old.runs, func(r run) bool { return r.instance == p.Instance })
	if at < 0 {
		if old.runs = append(old.runs, run{instance: p.Instance}); len(old.runs) > limits.MaxInstances {
			old.runs = old.runs[1:]
		}
		at = len(old.runs) - 1
	} else if p.Sequence <= old.runs[at].highest {
		return false
	}
	if p.Sequence <= limit {
		old.runs[at].highest = p.Sequence
	}
	// What lay in a mailbox speaks for a run that may be over, unless its sender is here.
	old2 := p.Sequence < uint64(max(m.Now.Add(-limits.RequestAge).UnixMilli(), 0))
	return !old2 || m.online[p.Role]
}

// stepRequests forgets requests that nobody repeats, and joins another member's: whoever is present contributes.
func (m *requests) stepRequests() {
	own, asked := m.newest[m.cfg.Self]
	join := false
	for role, r := range m.newest {
		life := limits.AnswerLife
		if r.want {
			life = limits.WantLife
		}
		switch {
		case role == m.cfg.Self:
		case m.Reached(r.heard.Add(life)):
			delete(m.newest, role)
		case r.want && !m.covered(role, r) && (!asked || r.heard.After(own.heard)):
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
