package keyagreement

import (
	"slices"
	"strings"
	"time"

	"conclave/overlay/wire"
)

// rosterView is a roster with its index.
type rosterView struct {
	Roster
	index map[wire.Role]int
	saved bool // the snapshot is among the records
}

func newRosterView(r Roster) *rosterView {
	r.Members = slices.Clone(r.Members)
	slices.SortFunc(r.Members, func(a, b Member) int { return strings.Compare(string(a.Role), string(b.Role)) })
	v := &rosterView{Roster: r, index: make(map[wire.Role]int, len(r.Members))}
	for i, m := range r.Members {
		v.index[m.Role] = i
	}
	return v
}

// key tells whether key is the identity of role in this roster.
func (v *rosterView) key(role wire.Role, key [32]byte) bool {
	i, ok := v.index[role]
	return ok && v.Members[i].Identity == key
}

// holds tells whether this roster has the very same member.
func (v *rosterView) holds(m Member) bool {
	i, ok := v.index[m.Role]
	return ok && v.Members[i] == m
}

// removes tells whether a member of the older roster is not, or not with the same keys, in this one.
func (v *rosterView) removes(older *rosterView) bool {
	if v == older || v.Hash == older.Hash {
		return false
	}
	return slices.ContainsFunc(older.Members, func(m Member) bool { return !v.holds(m) })
}

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
	m.roster = newRosterView(r)
	m.rosters[r.Hash] = m.roster
	m.self = -1
	if i, ok := m.roster.index[m.cfg.Self]; ok {
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
	var spare []*rosterView
	for h, v := range m.rosters {
		if !used[h] {
			spare = append(spare, v)
		}
	}
	slices.SortFunc(spare, func(a, b *rosterView) int { return int(int64(b.Version) - int64(a.Version)) })
	for i, v := range spare {
		if i >= keepRosters {
			delete(m.rosters, v.Hash)
			m.erase(keyRoster(v.Hash))
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
	if _, ok := m.roster.index[to]; !ok || to == m.cfg.Self {
		return
	}
	if m.allow("offer/"+string(to), offerAgain) { // defence: newer-roster-offered
		m.emit(OfferRoster{to})
	}
}
