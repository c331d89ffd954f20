package keyagreement

import (
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/limits"
	"conclave/node/keyagreement/record"
	"conclave/node/keyagreement/roster"
	"conclave/overlay/wire"
)

// evidence is two signed announcements of one member for one epoch.
type evidence struct{ a, b []byte }

// evidences is who cheated, and what came before its time.
type evidences struct {
	ground
	evidence map[wire.Role]evidence
	waiting  []waiting
	receive  func(waiting) // takes a message again
}

// waiting is a message that cannot be judged yet.
type waiting struct {
	raw     []byte
	ref     uint64
	signer  [32]byte
	version uint64       // waits for a roster of this version, or
	epoch   wire.EpochID // waits for this epoch's opening
}

// showEvidence lets those see it who still build on a cheat.
func (m *evidences) showEvidence(role wire.Role) {
	if ev, ok := m.evidence[role]; ok && m.Allow("evidence/"+string(role), limits.EvidenceAgain) {
		m.emit(event.Broadcast{Raw: ev.a, Absent: false})
		m.emit(event.Broadcast{Raw: ev.b, Absent: false})
	}
}

// dropEvidence forgets evidence of older rosters: it excludes under one version only.
func (m *evidences) dropEvidence() {
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

// underRoster finds the roster that a message names. When it is not here, settled tells whether to give the message up.
func (m *evidences) underRoster(version uint64, hash wire.RosterHash, w waiting) (v *roster.View, settled bool) {
	if v, ok := m.rosters[hash]; ok {
		return v, true
	}
	if version > m.roster.Version { // defence: newer-roster
		m.needRoster(version)
		w.version = version
		return nil, !m.wait(w)
	}
	return nil, true
}

// wait keeps a message for later, the newest of them, and a bounded part of one signer's.
func (m *evidences) wait(w waiting) bool {
	limit := max(m.cfg.Limits.MaxWaiting/8, 1)
	same, first := 0, -1
	for i := range m.waiting {
		if m.waiting[i].signer == w.signer {
			if same++; first < 0 {
				first = i
			}
		}
	}
	switch {
	case same >= limit:
		m.waiting = append(m.waiting[:first], m.waiting[first+1:]...)
	case len(m.waiting) >= m.cfg.Limits.MaxWaiting:
		m.waiting = m.waiting[1:]
	}
	w.raw = append([]byte(nil), w.raw...)
	m.waiting = append(m.waiting, w)
	return true
}

// retryWaiting takes again what a condition says can be judged now.
func (m *evidences) retryWaiting(ready func(*waiting) bool) {
	var again []waiting
	keep := m.waiting[:0]
	for i := range m.waiting {
		if w := m.waiting[i]; ready(&w) {
			w.version, w.epoch = 0, wire.EpochID{}
			again = append(again, w)
		} else {
			keep = append(keep, w)
		}
	}
	m.waiting = keep
	for _, w := range again {
		m.receive(w)
	}
}
