package keyagreement

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"conclave/overlay/wire"
)

// Records and what they hold; values are packed fields (see pack). All times are Unix milliseconds, u64.
//
//	roster/<hash>          version, expires, then role, identity and unwrap of each member
//	epoch/<id>             opening (Signed), roster hash, first seen
//	part/<id>/<role>       announcement (Signed), share 64 B: secret, erased when nobody needs it any more
//	stored/<id>/<role>     database whose mailbox holds the own share for this member
//	session/<id>           transcript, confirm key, completed, superseded, own confirmation, flags, announcements
//	confirmed/<id>/<role>  empty: this member has confirmed the session
//	dropped/<id>           when it was dropped
//	evidence/<version>/<role>  two announcements (Signed)
func keyRoster(h wire.RosterHash) string          { return "roster/" + h.String() }
func keyEpoch(id wire.EpochID) string             { return "epoch/" + id.String() }
func keyPart(id wire.EpochID, r wire.Role) string { return "part/" + id.String() + "/" + string(r) }

func keyStored(id wire.EpochID, r wire.Role) string { return "stored/" + id.String() + "/" + string(r) }
func keySession(id wire.EpochID) string             { return "session/" + id.String() }
func keyConfirmed(id wire.EpochID, r wire.Role) string {
	return "confirmed/" + id.String() + "/" + string(r)
}
func keyDropped(id wire.EpochID) string { return "dropped/" + id.String() }
func keyEvidence(version uint64, r wire.Role) string {
	return "evidence/" + hex.EncodeToString(binary.BigEndian.AppendUint64(nil, version)) + "/" + string(r)
}

var zeroTime time.Time

// pack puts fields one after another, each behind its length (u32).
func pack(fields ...[]byte) []byte {
	var b []byte
	for _, f := range fields {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	return b
}

// unpack takes them apart; nil if the bytes are not a packing of at least n fields.
func unpack(b []byte, n int) (fields [][]byte) {
	for len(b) >= 4 {
		size := binary.BigEndian.Uint32(b)
		if b = b[4:]; uint64(len(b)) < uint64(size) {
			return nil
		}
		fields = append(fields, bytes.Clone(b[:size]))
		b = b[size:]
	}
	if len(b) != 0 || len(fields) < n {
		return nil
	}
	return fields
}

func stamp(t time.Time) []byte {
	if t.IsZero() {
		return make([]byte, 8)
	}
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixMilli()))
}

func readStamp(b []byte) time.Time {
	if len(b) != 8 || binary.BigEndian.Uint64(b) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
}

func sortedRoles[V any](m map[wire.Role]V) []wire.Role { return slices.Sorted(maps.Keys(m)) }

func (m *Machine) persist(key string, value []byte) { m.emit(Persist{key, value}) }

func (m *Machine) erase(key string) { m.emit(Erase{key}) }

func (m *Machine) saveRoster(v *rosterView) {
	if v.saved {
		return
	}
	v.saved = true
	fields := [][]byte{binary.BigEndian.AppendUint64(nil, v.Version), stamp(v.Expires)}
	for _, x := range v.Members {
		fields = append(fields, []byte(x.Role), x.Identity[:], x.Unwrap[:])
	}
	m.persist(keyRoster(v.Hash), pack(fields...))
}

func (m *Machine) saveEpoch(e *epoch) {
	if !e.saved {
		e.saved = true
		m.persist(keyEpoch(e.id), pack(e.raw, e.roster.Hash[:], stamp(e.created)))
	}
}

func (m *Machine) savePart(e *epoch, i int) {
	m.persist(keyPart(e.id, e.opening.Contributors[i].Role), pack(e.parts[i].raw, bytes.Clone(e.parts[i].share.b[:])))
}

func (m *Machine) saveStored(e *epoch, to wire.Role, d *delivery) {
	m.persist(keyStored(e.id, to), bytes.Clone(d.stored[:]))
}

func (m *Machine) saveConfirmed(e *epoch, role wire.Role) {
	m.persist(keyConfirmed(e.id, role), []byte{})
}

func (m *Machine) saveSession(e *epoch) {
	s := e.session
	flags := []byte{0, 0, 0}
	if s.noSend {
		flags[0] = 1
	}
	if s.erased {
		flags[1] = 1
	}
	if e.split {
		flags[2] = 1
	}
	fields := [][]byte{s.transcript[:], bytes.Clone(s.confirm.b[:]), stamp(s.completed), stamp(s.superseded), s.confirmation, flags}
	for i := range e.parts {
		fields = append(fields, e.parts[i].raw)
	}
	m.persist(keySession(e.id), pack(fields...))
}

// eraseEpoch removes all records of an epoch.
func (m *Machine) eraseEpoch(e *epoch) {
	if !e.saved {
		return
	}
	m.erase(keyEpoch(e.id))
	m.erase(keySession(e.id))
	for _, c := range e.opening.Contributors {
		m.erase(keyPart(e.id, c.Role))
	}
	for _, x := range e.roster.Members {
		m.erase(keyStored(e.id, x.Role))
		m.erase(keyConfirmed(e.id, x.Role))
	}
}

// restore takes up what an earlier run has left. A record that does not parse is passed over: the member then lacks
// what it held, and asks for it like one that never had it.
func (m *Machine) restore(records map[string][]byte) {
	for _, key := range sortedKeys(records) {
		if hash, ok := strings.CutPrefix(key, "roster/"); ok {
			m.restoreRoster(hash, records[key])
		}
	}
	for _, key := range sortedKeys(records) {
		kind, rest, _ := strings.Cut(key, "/")
		switch kind {
		case "epoch":
			m.restoreEpoch(records, rest, records[key])
		case "dropped":
			var id wire.EpochID
			if n, err := hex.Decode(id[:], []byte(rest)); err == nil && n == len(id) {
				m.dropped[id] = readStamp(records[key])
			}
		case "evidence":
			_, role, _ := strings.Cut(rest, "/")
			if f := unpack(records[key], 2); f != nil && rest == strings.TrimPrefix(keyEvidence(m.roster.Version, wire.Role(role)), "evidence/") {
				m.evidence[wire.Role(role)] = evidence{f[0], f[1]}
			}
		}
	}
	slices.SortStableFunc(m.order, func(a, b *epoch) int { return a.created.Compare(b.created) })
	for _, e := range m.order {
		m.restoreSplit(e)
		m.complete(e)
	}
}

func (m *Machine) restoreRoster(name string, value []byte) {
	var hash wire.RosterHash
	if n, err := hex.Decode(hash[:], []byte(name)); err != nil || n != len(hash) {
		return
	}
	if v := m.rosters[hash]; v != nil {
		v.saved = true
		return
	}
	f := unpack(value, 2)
	if f == nil || len(f)%3 != 2 || len(f[0]) != 8 {
		return
	}
	r := Roster{Version: binary.BigEndian.Uint64(f[0]), Hash: hash, Expires: readStamp(f[1])}
	for i := 2; i < len(f); i += 3 {
		if len(f[i+1]) != 32 || len(f[i+2]) != 32 {
			return
		}
		r.Members = append(r.Members, Member{wire.Role(f[i]), [32]byte(f[i+1]), [32]byte(f[i+2])})
	}
	v := newRosterView(r)
	v.saved = true
	m.rosters[hash] = v
}

func (m *Machine) restoreEpoch(records map[string][]byte, name string, value []byte) {
	f := unpack(value, 3)
	if f == nil || len(f[1]) != 32 {
		return
	}
	v := m.rosters[wire.RosterHash(f[1])]
	s, err := wire.UnmarshalSigned(f[0])
	if v == nil || err != nil {
		return
	}
	p, err := wire.UnmarshalOpening(s.Payload)
	if err != nil || wire.EpochID(sha256.Sum256(s.Payload)).String() != name {
		return
	}
	for _, c := range p.Contributors {
		if _, ok := v.index[c.Role]; !ok {
			return
		}
	}
	e := m.newEpoch(f[0], s.Payload, p, v)
	e.saved, e.stale, e.created = true, true, readStamp(f[2])
	m.restoreSession(records, e)
	for i, c := range p.Contributors {
		f := unpack(records[keyPart(e.id, c.Role)], 2)
		if f == nil || len(f[1]) != 64 {
			continue
		}
		m.restoreAnnouncement(e, i, f[0])
		e.parts[i].share.b, e.parts[i].have = [64]byte(f[1]), true
		e.own = e.own || c.Role == m.cfg.Self
	}
	if e.session != nil {
		e.lack.stop()
	}
	if e.own { // defence: share-sent-again
		m.restoreDeliveries(records, e)
	}
}

func (m *Machine) restoreAnnouncement(e *epoch, i int, raw []byte) {
	s, err := wire.UnmarshalSigned(raw)
	if err != nil {
		return
	}
	if a, err := wire.UnmarshalAnnouncement(s.Payload); err == nil {
		e.parts[i].raw, e.parts[i].ann, e.parts[i].hash = raw, a, sha256.Sum256(s.Payload)
	}
}

func (m *Machine) restoreSession(records map[string][]byte, e *epoch) {
	f := unpack(records[keySession(e.id)], 6+len(e.parts))
	if f == nil || len(f[0]) != 32 || len(f[1]) != 32 || len(f[5]) != 3 { // defence: sessions-survive
		return
	}
	s := &session{
		transcript: wire.Transcript(f[0]), confirm: Secret{[32]byte(f[1])}, completed: readStamp(f[2]), superseded: readStamp(f[3]),
		confirmation: f[4], restored: true, noSend: f[5][0] == 1, erased: f[5][1] == 1, confirmed: map[wire.Role]bool{m.cfg.Self: true},
	}
	for i := range e.parts {
		m.restoreAnnouncement(e, i, f[6+i])
	}
	for _, x := range e.roster.Members {
		if _, ok := records[keyConfirmed(e.id, x.Role)]; ok {
			s.confirmed[x.Role] = true
		}
	}
	e.session, e.early, e.split = s, nil, f[5][2] == 1
}

// restoreDeliveries offers the own share again, unchanged, to whom it has not been stored for.
func (m *Machine) restoreDeliveries(records map[string][]byte, e *epoch) {
	m.startDeliveries(e)
	for role, d := range e.deliveries {
		if db := records[keyStored(e.id, role)]; len(db) == len(d.stored) {
			d.stored, d.isStored = wire.DatabaseID(db), true
			d.again.stop()
		}
	}
	if e.session == nil {
		m.emit(Broadcast{e.parts[e.contributor(m.cfg.Self)].raw, true})
	}
}

// restoreSplit finds out from the evidence which epochs have two worlds.
func (m *Machine) restoreSplit(e *epoch) {
	for _, ev := range m.evidence {
		if s, err := wire.UnmarshalSigned(ev.a); err == nil {
			if p, err := wire.UnmarshalAnnouncement(s.Payload); err == nil && p.Epoch == e.id {
				e.split = true
			}
		}
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
