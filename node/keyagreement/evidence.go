package keyagreement

import (
	"conclave/node/keyagreement/early"
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
	early    *early.Queue        // messages that came before their time
	receive  func(early.Message) // takes a message again
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
func (m *evidences) underRoster(version uint64, hash wire.RosterHash, w early.Message) (v *roster.View, settled bool) {
	if v, ok := m.rosters[hash]; ok {
		return v, true
	}
	if version > m.roster.Version { // defence: newer-roster
		m.needRoster(version)
		w.Version = version
		return nil, !m.wait(w)
	}
	return nil, true
}

// wait keeps a message for later. What has to make room for it is given up, so that its carrier need not keep it.
func (m *evidences) wait(w early.Message) bool {
	for _, gone := range m.early.Keep(w) {
		m.settle(gone.Ref) // defence: evicted-settled
	}
	return true
}

// retryWaiting takes again what a condition says can be judged now.
func (m *evidences) retryWaiting(ready func(*early.Message) bool) {
	for _, w := range m.early.Take(ready) {
		m.receive(w)
	}
}
