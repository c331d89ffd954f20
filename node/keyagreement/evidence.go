package keyagreement

import (
	"crypto/sha256"
	"slices"
	"time"

	"conclave/node/keyagreement/record"
	"conclave/overlay/wire"
)

// evidence is two signed announcements of one member for one epoch.
type evidence struct{ a, b []byte }

// onPair takes two announcements that contradict each other. Both signatures have been verified.
func (m *Machine) onPair(role wire.Role, version uint64, e *epoch, a, b []byte) {
	if e != nil && !e.split {
		e.split = true
		e.answerAt = time.Time{}
		m.ask.reset(m.now)
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
	m.emit(Evidence{role, a, b})
	delete(m.requests, role)
	m.emit(Broadcast{a, true})
	m.emit(Broadcast{b, true})
}

// earlyPair looks for a contradiction among announcements whose opening is not here.
func (m *Machine) earlyPair(s wire.Signed, p wire.Announcement) bool {
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

// showEvidence lets those see it who still build on a cheat.
func (m *Machine) showEvidence(role wire.Role) {
	if ev, ok := m.evidence[role]; ok && m.allow("evidence/"+string(role), evidenceAgain) {
		m.emit(Broadcast{ev.a, false})
		m.emit(Broadcast{ev.b, false})
	}
}

// dropEvidence forgets evidence of older rosters: it excludes under one version only.
func (m *Machine) dropEvidence() {
	for _, role := range sortedRoles(m.evidence) {
		a, err := wire.UnmarshalSigned(m.evidence[role].a)
		if err != nil {
			continue
		}
		if p, err := wire.UnmarshalAnnouncement(a.Payload); err == nil && p.RosterVersion < m.roster.Version {
			delete(m.evidence, role)
			m.erase(record.Evidence(p.RosterVersion, role))
		}
	}
}

// contradiction compares a confirmation with the announcements that are here. Where they differ, one of two lied: the
// contributor, who announced twice, or the confirming member. This member shows what it was given, the other does the
// same, and if there are two announcements both will have the pair. Nothing else follows from a mere claim.
func (m *Machine) contradiction(e *epoch, p wire.Confirmation) {
	differs := false
	for i := range e.parts {
		role := e.opening.Contributors[i].Role
		if e.parts[i].raw == nil || e.parts[i].hash == p.Announcements[i] {
			continue
		}
		differs = true
		if m.allow("shown/"+string(role)+string(e.id[:]), evidenceAgain) { // defence: contradiction-shown
			m.emit(Broadcast{e.parts[i].raw, false})
		}
	}
	if (differs || e.session != nil) && m.allow("contradiction/"+string(p.Role)+string(e.id[:]), evidenceAgain) {
		m.note("a confirmation contradicts what is here", p.Role)
	}
}

// earlyContradictions looks again at confirmations that came before an announcement.
func (m *Machine) earlyContradictions(e *epoch) {
	for _, role := range sortedRoles(e.early) {
		m.contradiction(e, e.early[role])
	}
}
