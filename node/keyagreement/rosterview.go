package keyagreement

import (
	"slices"
	"time"

	"conclave/node/keyagreement/record"
	"conclave/node/keyagreement/roster"
	"conclave/overlay/wire"
)

// signerKnown tells whether any roster held has a member of this key.
func (m *Machine) signerKnown(key [32]byte) bool {
	for _, v := range m.rosters {
		if slices.ContainsFunc(v.Members, func(x Member) bool { return x.Identity == key }) {
			return true
		}
	}
	return false
}

// onRoster takes a newer roster.
func (m *Machine) onRoster(r Roster) {
	if r.Version < m.roster.Version || r.Version == m.roster.Version && r.Hash == m.roster.Hash {
		return
	}
	if r.Version == m.roster.Version {
		m.note("two rosters have one version: the second is refused", "")
		return
	}
	m.setRoster(r)
	for role := range m.requests {
		delete(m.requests, role)
	}
	for _, e := range m.order {
		e.answerAt = time.Time{}
	}
	m.ask.reset(m.now)
	clear(m.failed)
	clear(m.strikes)
	m.dropEvidence()
	m.retryWaiting(func(w *waiting) bool { return w.version != 0 && w.version <= r.Version })
}

// setRoster makes r the roster in force and keeps the older ones that epochs need.
func (m *Machine) setRoster(r Roster) {
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

// keepRosters is how many rosters without an epoch are kept, so that what was sent under the last few can be read.
const keepRosters = 4

func (m *Machine) pruneRosters() {
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

// need is a newer roster that somebody spoke of.
type need struct {
	version uint64
	again   timer
}

// needRoster asks the driver for a roster of at least this version.
func (m *Machine) needRoster(version uint64) {
	if version <= m.need.version {
		return
	}
	m.need = need{version: version}
	m.need.again.reset(m.now)
}

// stepNeed repeats the question until the roster is here.
func (m *Machine) stepNeed() {
	if m.need.version > m.roster.Version && m.due(&m.need.again, needAgain, needMax) {
		m.emit(NeedRoster{m.need.version})
	}
}

// offerRoster lets the driver send the newest roster to a member that has an older one.
func (m *Machine) offerRoster(to wire.Role) {
	if _, ok := m.roster.Index[to]; !ok || to == m.cfg.Self {
		return
	}
	if m.allow("offer/"+string(to), offerAgain) { // defence: newer-roster-offered
		m.emit(OfferRoster{to})
	}
}
