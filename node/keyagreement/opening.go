package keyagreement

import (
	"bytes"
	"crypto/sha256"
	"io"
	"slices"
	"time"

	"conclave/node/keyagreement/early"
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

// openings opens epochs and answers others' openings.
type openings struct {
	shares
	opened      time.Time
	answeredBy  map[wire.Role]time.Time // when an opening of this role was last answered
	answeredAny time.Time
}

// candidates returns those who would be in S if this member opened now, in role order, and whether one of them wants an
// epoch that none pending gives. first and last say when the first such want and the newest newcomer came.
func (m *openings) candidates() (s []wire.Contributor, wanted bool, first, last time.Time) {
	for _, member := range m.roster.Members {
		role := member.Role
		r, ok := m.asked.Newest[role]
		if role == m.cfg.Self {
			s = append(s, wire.Contributor{Role: role, Instance: m.cfg.Instance})
			if !ok {
				continue
			}
		} else {
			if !ok || m.leftOut(role) {
				continue
			}
			if _, cheat := m.evidence[role]; cheat { // defence: cheat-excluded
				continue
			}
			s = append(s, wire.Contributor{Role: role, Instance: r.Instance})
		}
		if r.Came.After(last) {
			last = r.Came
		}
		if m.covered(role, r) || !r.Want { // defence: want-opens
			continue
		}
		wanted = true
		if first.IsZero() || r.Came.Before(first) {
			first = r.Came
		}
	}
	return s, wanted, first, last
}

// stepOpen opens an epoch when one is wanted and it is this member's turn.
func (m *openings) stepOpen() {
	if m.Now.After(m.roster.Expires) { // defence: roster-expired
		return
	}
	if _, cheat := m.evidence[m.cfg.Self]; cheat || !m.connected() {
		return
	}
	for _, e := range m.order {
		if m.trusted(e) {
			return // its completion or failure comes first
		}
	}
	s, wanted, first, last := m.candidates()
	if !wanted || m.alone(s) || !m.Reached(m.openTime(s, first, last)) {
		return
	}
	m.openEpoch(s)
}

// openTime returns when this member opens: at once if the whole roster asked, else after a while without newcomers, and
// the later the later its role comes.
func (m *openings) openTime(s []wire.Contributor, first, last time.Time) time.Time {
	l := m.cfg.Limits
	at := last
	if len(s) < len(m.roster.Members) || !m.hasAsked() { // defence: open-at-once
		at = last.Add(l.Quiet)                           // defence: wait-for-newcomers
		if end := first.Add(l.QuietMax); at.After(end) { // defence: wait-ends
			at = end
		}
	}
	turn := slices.IndexFunc(s, func(c wire.Contributor) bool { return c.Role == m.cfg.Self })
	if turn > 0 { // defence: open-in-turn
		at = at.Add(time.Duration(turn) * l.Turn)
	}
	// The others would answer no sooner: see stepAnswers.
	if t := m.answeredBy[m.cfg.Self].Add(l.PerOpener); at.Before(t) {
		at = t
	}
	if t := m.answeredAny.Add(l.PerGroup); at.Before(t) && m.best(true) != nil {
		at = t
	}
	return at
}

// hasAsked tells whether this member has a request of its own out.
func (m *openings) hasAsked() bool {
	_, ok := m.asked.Newest[m.cfg.Self]
	return ok
}

// openEpoch publishes an opening and contributes to it.
func (m *openings) openEpoch(s []wire.Contributor) {
	number := uint64(max(m.Now.UnixMilli(), 0)) // defence: number-from-clock
	number = max(number, m.highest+1)           // defence: number-above-known
	p := wire.Opening{
		Group: m.cfg.Group, RosterVersion: m.roster.Version, RosterHash: m.roster.Hash, Number: number, Opener: m.cfg.Self,
		Contributors: s,
	}
	for _, e := range m.order {
		if e.session != nil && e.session.transcript == m.using {
			p.Previous = e.id
		}
	}
	if _, err := io.ReadFull(m.cfg.Rand, p.Nonce[:]); err != nil {
		m.note("no randomness: "+err.Error(), "")
		return
	}
	payload := p.Marshal()
	raw := m.sign(wire.SignedOpening, payload)
	m.opened = m.Now
	m.emit(event.Broadcast{Raw: raw, Absent: true})
	e := m.newEpoch(raw, payload, p, m.roster)
	m.mark(e)
	m.contribute(e)
}

// onOpening takes an opening from anywhere and returns its epoch if it is one that this member can follow.
func (m *openings) onOpening(s wire.Signed, p wire.Opening, w early.Message) (*epoch, bool) {
	if e := m.byID[sha256.Sum256(s.Payload)]; e != nil {
		if e == m.best(true) {
			m.tell.Stop() // somebody else has told it
		}
		return e, true
	}
	v, settled := m.underRoster(p.RosterVersion, p.RosterHash, w)
	if v == nil {
		return nil, settled
	}
	if !v.Key(p.Opener, s.Signer) {
		return nil, true
	}
	for _, c := range p.Contributors {
		if _, ok := v.Index[c.Role]; !ok {
			return nil, true
		}
	}
	if p.Number > uint64(max(m.Now.Add(m.cfg.Limits.Ahead).UnixMilli(), 0)) { // defence: number-not-ahead
		m.note("an opening runs ahead of the clock", p.Opener)
		return nil, true
	}
	if v != m.roster {
		m.offerRoster(p.Opener)
	}
	if _, gone := m.dropped[sha256.Sum256(s.Payload)]; gone {
		return nil, true
	}
	m.limitEpochs(p.Opener)
	e := m.newEpoch(wire.Signed.Marshal(s), s.Payload, p, v)
	if best := m.best(true); best != nil && m.before(best, e) {
		m.tellBehind()
	}
	e.answerAt = m.answerTime(e)
	m.retryWaiting(func(w *early.Message) bool { return w.Epoch == e.id })
	return e, true
}

// mayAnswer tells whether an opening is one to contribute to at all.
func (m *openings) mayAnswer(e *epoch) bool {
	if e.own || e.stale || e.session != nil || m.alone(e.opening.Contributors) || e.opening.Number <= m.floor[e.opening.Opener] {
		return false
	}
	i := e.contributor(m.cfg.Self)
	if i < 0 || m.Now.After(m.roster.Expires) { // defence: roster-expired
		return false
	}
	if e.opening.Contributors[i].Instance != m.cfg.Instance { // defence: share-for-this-instance
		return false
	}
	if e.roster != m.roster { // defence: older-roster
		return false
	}
	for _, c := range e.opening.Contributors {
		if _, cheat := m.evidence[c.Role]; cheat { // defence: cheat-excluded
			m.showEvidence(c.Role)
			return false
		}
	}
	return true
}

// answerTime returns when an opening may be answered, zero for never: one of an opener in 10 s, one at all in 2 s.
func (m *openings) answerTime(e *epoch) time.Time {
	if !m.mayAnswer(e) {
		return time.Time{}
	}
	at := m.Now
	if t := m.answeredBy[e.opening.Opener].Add(m.cfg.Limits.PerOpener); at.Before(t) { // defence: answers-per-opener
		at = t
	}
	first := m.best(true) == nil                                               // defence: first-key-at-once
	if t := m.answeredAny.Add(m.cfg.Limits.PerGroup); at.Before(t) && !first { // defence: answers-per-group
		at = t
	}
	if until, _ := m.asked.Until(e.opening.Opener); at.Before(until) {
		at = until
	}
	return at
}

// stepAnswers contributes to the openings whose time has come, the newest of each opener.
func (m *openings) stepAnswers() {
	for _, e := range m.order {
		if e.answerAt.IsZero() || !m.Reached(e.answerAt) {
			continue
		}
		if best := m.best(true); best != nil && best.created.After(e.created) && best.opening.Number > e.opening.Number {
			e.answerAt = time.Time{} // overtaken while it waited
			continue
		}
		if e.answerAt = m.answerTime(e); e.answerAt.IsZero() || !m.Reached(e.answerAt) {
			continue
		}
		e.answerAt = time.Time{}
		m.mark(e)
		m.contribute(e)
	}
}

// mark counts an opening as answered.
func (m *openings) mark(e *epoch) {
	m.answeredBy[e.opening.Opener], m.answeredAny = m.Now, m.Now
	e.progress = m.Now
}

// limitEpochs makes room for one more epoch of an opener: incomplete ones without a contribution of this member go first.
func (m *openings) limitEpochs(opener wire.Role) {
	var of []*epoch
	for _, e := range m.order {
		if e.opening.Opener == opener && e.session == nil {
			of = append(of, e)
		}
	}
	for _, own := range []bool{false, true} {
		for _, e := range of {
			if len(of) < m.cfg.Limits.MaxEpochs {
				return
			}
			if e.own == own {
				m.drop(e)
				of = slices.DeleteFunc(slices.Clone(of), func(x *epoch) bool { return x == e })
			}
		}
	}
}

// onEnvelope takes a share on its way; false means that it is settled only when its ciphertext has been opened.
func (m *openings) onEnvelope(s wire.Signed, p wire.Envelope, w early.Message) bool {
	if p.To != m.cfg.Self {
		return true
	}
	e, done := m.envelopeEpoch(p, w)
	if e == nil {
		return done
	}
	i := m.envelopeAnnouncement(e, p)
	if i < 0 || e.roster.RoleOf(s.Signer) == "" {
		return true
	}
	if e.parts[i].have || e.session != nil {
		return true
	}
	for _, u := range m.unwraps {
		if u.epoch == e.id && u.of == i && u.from == s.Signer {
			if u.bad {
				return true
			}
			if w.Ref != 0 {
				u.refs = append(u.refs, w.Ref)
			}
			return false
		}
	}
	m.token++
	m.unwraps[m.token] = &unwrap{epoch: e.id, of: i, from: s.Signer, refs: []uint64{w.Ref}}
	label := share.Label(m.cfg.Group, e.roster.Hash, e.id, e.opening.Contributors[i].Role, m.cfg.Self)
	m.emit(event.Unwrap{Token: m.token, Ciphertext: bytes.Clone(p.Ciphertext), Label: label})
	return false
}

// envelopeEpoch finds the epoch of an envelope, by the opening in it if need be.
func (m *openings) envelopeEpoch(p wire.Envelope, w early.Message) (*epoch, bool) {
	s, err := wire.UnmarshalSigned(p.Opening)
	if err != nil || s.Type != wire.SignedOpening {
		return nil, true
	}
	if e := m.byID[sha256.Sum256(s.Payload)]; e != nil {
		return e, true
	}
	opening, err := wire.UnmarshalOpening(s.Payload)
	if err != nil || opening.Group != m.cfg.Group {
		return nil, true
	}
	if s, ok := m.open(p.Opening); ok {
		return m.onOpening(s, opening, w) // if the roster is not here yet, the whole envelope waits
	}
	return nil, true
}

// envelopeAnnouncement returns the contributor whose share an envelope holds, or -1.
func (m *openings) envelopeAnnouncement(e *epoch, p wire.Envelope) int {
	for i := range e.parts {
		if e.parts[i].raw != nil && bytes.Equal(e.parts[i].raw, p.Announcement) {
			return i // verified before
		}
	}
	s, ok := m.open(p.Announcement)
	if !ok || s.Type != wire.SignedAnnouncement {
		return -1
	}
	a, err := wire.UnmarshalAnnouncement(s.Payload)
	if err != nil || a.Group != m.cfg.Group || !m.announce(e, s, a) {
		return -1
	}
	return e.contributor(a.Role)
}
