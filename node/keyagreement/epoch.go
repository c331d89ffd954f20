package keyagreement

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"conclave/node/keyagreement/roster"
	"conclave/overlay/backoff"
	"conclave/overlay/wire"
)

// epoch is one opening and what came of it.
type epoch struct {
	id      wire.EpochID
	opening wire.Opening
	raw     []byte // the signed opening
	payload []byte // what it says, whose hash is id
	roster  *roster.View
	created time.Time // first seen, also before a restart

	parts    []part // by contributor
	own      bool   // this member has contributed
	split    bool   // two announcements of one contributor are known
	failed   bool   // given up waiting here; it may still complete
	saved    bool   // the opening is among the records
	stale    bool   // from before this start: nobody waits for it
	progress time.Time
	answerAt time.Time // this opening is to be answered then, zero for not

	deliveries map[wire.Role]*delivery // of the own share
	lack       timer
	early      map[wire.Role]wire.Confirmation // confirmations that came before the key
	session    *session
}

// part is what is known of one contributor of an epoch.
type part struct {
	raw  []byte            // the signed announcement
	ann  wire.Announcement // and what it says
	hash [32]byte          // SHA-256 of its payload
	// share is here and matches the commitment when have is set.
	share Share
	have  bool
}

// contributor returns the index of a role in S, or -1.
func (e *epoch) contributor(role wire.Role) int {
	i, ok := slices.BinarySearchFunc(e.opening.Contributors, role, func(c wire.Contributor, r wire.Role) int {
		return strings.Compare(string(c.Role), string(r))
	})
	if !ok {
		return -1
	}
	return i
}

// newEpoch makes an epoch of a checked opening.
func (m *Machine) newEpoch(raw, payload []byte, p wire.Opening, v *roster.View) *epoch {
	e := &epoch{
		id: sha256.Sum256(payload), opening: p, raw: bytes.Clone(raw), payload: bytes.Clone(payload), roster: v, created: m.now,
		progress: m.now, parts: make([]part, len(p.Contributors)),
		deliveries: map[wire.Role]*delivery{}, early: map[wire.Role]wire.Confirmation{},
	}
	e.lack.reset(m.now.Add(m.cfg.Limits.Repair))
	m.epochs[e.id] = e
	m.order = append(m.order[:len(m.order):len(m.order)], e)
	m.highest = max(m.highest, p.Number)
	return e
}

// pending tells whether this member waits for an epoch.
func (m *Machine) pending(e *epoch) bool {
	return e.session == nil && !e.failed && !e.stale && !m.tainted(e) && e.roster == m.roster
}

// trusted tells whether others' openings wait for a pending epoch: not if earlier ones of its opener failed. Who opens
// what cannot be completed can thus not keep the others from a key.
func (m *Machine) trusted(e *epoch) bool {
	return m.pending(e) && (e.opening.Opener == m.cfg.Self || m.failed[e.opening.Opener] == 0) // defence: opener-trusted
}

// covered tells whether a pending epoch takes up a request.
func (m *Machine) covered(role wire.Role, r request) bool {
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
func (m *Machine) patience(e *epoch) time.Duration {
	l := m.cfg.Limits
	first := l.Silent + time.Duration(len(e.parts))*l.SilentEach
	failures := m.failed[e.opening.Opener] // defence: patience-doubles
	return backoff.Wait(first, max(first, l.SilentMax), failures)
}

// stepFailures gives up epochs without progress and remembers who was silent.
func (m *Machine) stepFailures() {
	for _, e := range m.order {
		if !m.pending(e) || !e.own && !e.answerAt.IsZero() || !m.reached(e.progress.Add(m.patience(e))) {
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
			s.sequence = m.requests[c.Role].sequence
			s.until = m.now.Add(m.cfg.Limits.Silent)
			if s.n > 1 { // defence: patience-doubles
				s.until = m.now.Add(backoff.Wait(m.cfg.Limits.Silent, m.cfg.Limits.SilentMax, s.n-1))
			}
			m.strikes[c.Role] = s
			m.note("was silent and is left out", c.Role)
		}
		m.ask.reset(m.now)
	}
}

// leftOut tells whether a role was silent and has not asked anew, or not waited long enough.
func (m *Machine) leftOut(role wire.Role, r request) bool {
	s, ok := m.strikes[role]
	if !ok {
		return false
	}
	if r.sequence <= s.sequence {
		return true // defence: silent-asks-anew
	}
	return !m.reached(s.until)
}
