package keyagreement

import (
	"slices"
	"time"

	"conclave/overlay/wire"
)

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

// wants tells whether this member needs a new epoch.
func (m *Machine) wants() bool {
	if _, cheat := m.evidence[m.cfg.Self]; cheat || m.now.After(m.roster.Expires) {
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
	case m.reached(newest.Add(m.cfg.Limits.MaxAge)): // defence: old-session-replaced
		return true
	}
	return false
}

// contributed tells whether the newest key is this member's work too, under this roster.
func (m *Machine) contributed() bool {
	best := m.best(true)
	return best != nil && best.roster.Hash == m.roster.Hash && best.contributor(m.cfg.Self) >= 0
}

// outrun tells whether others have completed a newer epoch that this member cannot complete, though it has asked for
// what it lacks: its disk is an old one, and the others have erased the shares.
func (m *Machine) outrun() bool {
	best := m.best(true)
	for _, e := range m.order {
		if e.session == nil && !m.tainted(e) && e.roster == m.roster && e.lack.n > 1 && len(e.early) > 0 &&
			(best == nil || m.before(e, best)) {
			return true
		}
	}
	return false
}

// onRekey asks for a new epoch while the old goes on.
func (m *Machine) onRekey() {
	m.rekey, m.rekeyNumber = true, m.highest
	m.ask.reset(m.now)
}

// stepAsk says what this member wants, at once and then ever more seldom.
func (m *Machine) stepAsk() {
	if !m.wants() {
		m.ask.reset(m.now)
		if r, ok := m.requests[m.cfg.Self]; ok && r.want {
			delete(m.requests, m.cfg.Self)
		}
		return
	}
	if !m.connected() || m.pendingWithMe() {
		return
	}
	if m.due(&m.ask, m.cfg.Limits.AskAgain, m.cfg.Limits.AskMax) {
		m.sendRequest(true)
	}
}

// pendingWithMe tells whether an epoch to which this member contributes is under way.
func (m *Machine) pendingWithMe() bool {
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
func (m *Machine) sendRequest(want bool) {
	m.sequence = max(m.sequence+1, uint64(max(m.now.UnixMilli(), 0)))
	r := wire.Request{
		Group: m.cfg.Group, RosterVersion: m.roster.Version, RosterHash: m.roster.Hash, Role: m.cfg.Self,
		Instance: m.cfg.Instance, Sequence: m.sequence, Want: want, Known: m.highest,
	}
	old, ok := m.requests[m.cfg.Self]
	next := request{m.cfg.Instance, m.sequence, want || ok && old.want, m.now, m.now}
	if ok {
		next.came = old.came
	}
	m.requests[m.cfg.Self] = next
	m.answered = m.now
	m.emit(Broadcast{m.sign(wire.SignedRequest, r.Marshal()), want})
}

func (m *Machine) sign(typ wire.SignedType, payload []byte) []byte {
	return seal(m.cfg.Group, m.roster.Members[m.self].Identity, m.cfg.Sign, typ, payload)
}

// onRequest takes another member's request.
func (m *Machine) onRequest(s wire.Signed, p wire.Request, w waiting) bool {
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
	limit := uint64(m.now.Add(m.cfg.Limits.Ahead).UnixMilli())
	if p.Known <= limit {
		m.highest = max(m.highest, p.Known)
	}
	if !m.fresh(p, limit) {
		return true
	}
	old, had := m.requests[p.Role]
	r := request{p.Instance, p.Sequence, p.Want, m.now, m.now}
	if had && old.instance == p.Instance {
		r.came, r.want = old.came, r.want || old.want // a repeat is no newcomer
	}
	m.requests[p.Role] = r
	if best := m.best(true); p.Want && best != nil && p.Known < best.opening.Number {
		m.tellBehind()
	}
	return true
}

// fresh tells whether a request is newer than those seen of its role, and remembers it.
func (m *Machine) fresh(p wire.Request, limit uint64) bool {
	old := m.instances[p.Role]
	if old == nil {
		old = &seen{}
		m.instances[p.Role] = old
	}
	at := slices.IndexFunc(old.runs, func(r run) bool { return r.instance == p.Instance })
	if at < 0 {
		if old.runs = append(old.runs, run{instance: p.Instance}); len(old.runs) > maxInstances {
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
	old2 := p.Sequence < uint64(max(m.now.Add(-requestAge).UnixMilli(), 0))
	return !old2 || m.online[p.Role]
}

// stepRequests forgets requests that nobody repeats, and joins another member's: whoever is present contributes.
func (m *Machine) stepRequests() {
	own, asked := m.requests[m.cfg.Self]
	join := false
	for role, r := range m.requests {
		life := answerLife
		if r.want {
			life = wantLife
		}
		switch {
		case role == m.cfg.Self:
		case m.reached(r.heard.Add(life)):
			delete(m.requests, role)
		case r.want && !m.covered(role, r) && (!asked || r.heard.After(own.heard)):
			join = true // whoever asks may not have heard this member's own request
		}
	}
	if !join || m.now.After(m.roster.Expires) || m.pendingWithMe() {
		return
	}
	if m.reached(m.answered.Add(answerAgain)) { // defence: request-joined
		m.sendRequest(false)
	}
}
