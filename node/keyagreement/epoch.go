package keyagreement

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"conclave/node/keyagreement/clock"
	"conclave/node/keyagreement/record"
	"conclave/node/keyagreement/roster"
	"conclave/node/keyagreement/share"
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
	lack       clock.Timer
	early      map[wire.Role]wire.Confirmation // confirmations that came before the key
	session    *session
}

// part is what is known of one contributor of an epoch.
type part struct {
	raw  []byte            // the signed announcement
	ann  wire.Announcement // and what it says
	hash [32]byte          // SHA-256 of its payload
	// share is here and matches the commitment when have is set.
	share share.Share
	have  bool
}

// epochs is what is known of each epoch.
type epochs struct {
	evidences
	byID    map[wire.EpochID]*epoch
	order   []*epoch        // the same, as they were first seen; never changed in place
	highest uint64          // highest opening number known
	using   wire.Transcript // zero: hold
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
func (m *epochs) newEpoch(raw, payload []byte, p wire.Opening, v *roster.View) *epoch {
	e := &epoch{
		id: sha256.Sum256(payload), opening: p, raw: bytes.Clone(raw), payload: bytes.Clone(payload), roster: v, created: m.Now,
		progress: m.Now, parts: make([]part, len(p.Contributors)),
		deliveries: map[wire.Role]*delivery{}, early: map[wire.Role]wire.Confirmation{},
	}
	e.lack.Reset(m.Now.Add(m.cfg.Limits.Repair))
	m.byID[e.id] = e
	m.order = append(m.order[:len(m.order):len(m.order)], e)
	m.highest = max(m.highest, p.Number)
	return e
}

// pending tells whether this member waits for an epoch.
func (m *epochs) pending(e *epoch) bool {
	return e.session == nil && !e.failed && !e.stale && !m.tainted(e) && e.roster == m.roster
}

// alone tells whether so few contribute that one member would choose the key by itself, though the group has others.
func (m *epochs) alone(s []wire.Contributor) bool {
	return len(s) < min(2, len(m.roster.Members)) // defence: nobody-alone
}

// setRoster makes r the roster in force and keeps the older ones that epochs need.
func (m *epochs) setRoster(r Roster) {
	m.roster = roster.New(r)
	m.rosters[r.Hash] = m.roster
	m.self = -1
	if i, ok := m.roster.Index[m.cfg.Self]; ok {
		m.self = i
	}
	if m.need.version <= r.Version {
		m.need = need{}
	}
	m.pruneRosters()
	m.saveRoster(m.roster)
}

func (m *epochs) pruneRosters() {
	used := map[wire.RosterHash]bool{m.roster.Hash: true}
	for _, e := range m.order {
		used[e.roster.Hash] = true
	}
	var spare []*roster.View
	for h, v := range m.rosters {
		if !used[h] {
			spare = append(spare, v)
		}
	}
	slices.SortFunc(spare, func(a, b *roster.View) int { return int(int64(b.Version) - int64(a.Version)) })
	for i, v := range spare {
		if i >= keepRosters {
			delete(m.rosters, v.Hash)
			m.erase(record.Roster(v.Hash))
		}
	}
}

// allConfirmed tells whether every member of the epoch's roster that is still a member has confirmed.
func (m *epochs) allConfirmed(e *epoch) bool {
	for _, x := range e.roster.Members {
		if m.roster.Holds(x) && !e.confirmed(x.Role) {
			return false
		}
	}
	return true
}

// eraseShares forgets the shares of a session that everybody has: with them gone, a state stolen later opens nothing
// that the frames' own ratchet has closed.
func (m *epochs) eraseShares(e *epoch) {
	if e.session == nil || e.session.erased || !m.allConfirmed(e) { // defence: shares-erased
		return
	}
	m.dropShares(e)
}

// dropShares erases an epoch's shares here and among the records.
func (m *epochs) dropShares(e *epoch) {
	for i := range e.parts {
		e.parts[i].share, e.parts[i].have = share.Share{}, false
		m.erase(record.Part(e.id, e.opening.Contributors[i].Role))
	}
	for _, role := range sortedRoles(e.deliveries) {
		m.erase(record.Stored(e.id, role))
	}
	clear(e.deliveries)
	if e.session != nil {
		e.session.erased = true
		m.saveSession(e)
	}
}
