package keyagreement

import (
	"maps"
	"slices"

	"conclave/node/keyagreement/clock"
	"conclave/node/keyagreement/envelope"
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/limits"
	"conclave/node/keyagreement/record"
	"conclave/node/keyagreement/roster"
	"conclave/overlay/wire"
)

// ground is what all layers stand on.
type ground struct {
	clock.Clock
	cfg Config
	out []event.Output // of the step being taken

	// Who is who.
	roster  *roster.View // the newest
	rosters map[wire.RosterHash]*roster.View
	self    int // index in roster, -1 when removed
	need    need

	// The network, as far as hints say.
	relayUp  bool
	database wire.DatabaseID
	online   map[wire.Role]bool
}

// need is a newer roster that somebody spoke of.
type need struct {
	version uint64
	again   clock.Timer
}

// connected tells whether anybody can hear.
func (m *ground) connected() bool { return m.relayUp || len(m.online) > 0 }

func (m *ground) emit(o event.Output) { m.out = append(m.out, o) }

func (m *ground) note(text string, role wire.Role) { m.emit(event.Note{Text: text, Role: role}) }

func (m *ground) settle(refs ...uint64) {
	for _, r := range refs {
		if r != 0 {
			m.emit(event.Settled{Ref: r})
		}
	}
}

// open checks a Signed of one of the given types under the given key holder.
func (m *ground) open(raw []byte) (wire.Signed, bool) {
	s, err := wire.UnmarshalSigned(raw)
	if err != nil {
		return s, false
	}
	if !m.cfg.Verify(s.Signer, wire.SignedBytes(m.cfg.Group, s.Type, s.Payload), s.Signature[:]) { // defence: control-signed
		return s, false
	}
	return s, true
}

func (m *ground) persist(key string, value []byte) { m.emit(event.Persist{Key: key, Value: value}) }

func (m *ground) erase(key string) { m.emit(event.Erase{Key: key}) }

func (m *ground) saveRoster(v *roster.View) {
	if v.Saved {
		return
	}
	v.Saved = true
	m.persist(record.Roster(v.Hash), record.RosterValue(v.Roster))
}

func (m *ground) sign(typ wire.SignedType, payload []byte) []byte {
	return envelope.Sign(m.cfg.Group, m.roster.Members[m.self].Identity, m.cfg.Sign, typ, payload)
}

// keepRosters is how many rosters without an epoch are kept, so that what was sent under the last few can be read.
const keepRosters = 4

// needRoster asks the driver for a roster of at least this version.
func (m *ground) needRoster(version uint64) {
	if version <= m.need.version {
		return
	}
	m.need = need{version: version}
	m.need.again.Reset(m.Now)
}

// stepNeed repeats the question until the roster is here.
func (m *ground) stepNeed() {
	if m.need.version > m.roster.Version && m.Due(&m.need.again, limits.NeedAgain, limits.NeedMax) {
		m.emit(event.NeedRoster{Version: m.need.version})
	}
}

// offerRoster lets the driver send the newest roster to a member that has an older one.
func (m *ground) offerRoster(to wire.Role) {
	if _, ok := m.roster.Index[to]; !ok || to == m.cfg.Self {
		return
	}
	if m.Allow("offer/"+string(to), limits.OfferAgain) { // defence: newer-roster-offered
		m.emit(event.OfferRoster{To: to})
	}
}

// knows tells whether any roster held has a member of this key.
func (m *ground) knows(key [32]byte) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(m.rosters)), func(v *roster.View) bool { return v.RoleOf(key) != "" })
}
