package keyagreement

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/record"
	"conclave/node/keyagreement/roster"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

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
				m.dropped[id] = record.ReadStamp(records[key])
			}
		case "evidence":
			_, role, _ := strings.Cut(rest, "/")
			if f := record.Unpack(records[key], 2); f != nil && rest == strings.TrimPrefix(record.Evidence(m.roster.Version, wire.Role(role)), "evidence/") {
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
		v.Saved = true
		return
	}
	if r, ok := record.ReadRoster(hash, value); ok {
		v := roster.New(r)
		v.Saved = true
		m.rosters[hash] = v
	}
}

func (m *Machine) restoreEpoch(records map[string][]byte, name string, value []byte) {
	f := record.Unpack(value, 3)
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
		if _, ok := v.Index[c.Role]; !ok {
			return
		}
	}
	e := m.newEpoch(f[0], s.Payload, p, v)
	e.saved, e.stale, e.created = true, true, record.ReadStamp(f[2])
	m.restoreSession(records, e)
	for i, c := range p.Contributors {
		f := record.Unpack(records[record.Part(e.id, c.Role)], 2)
		if f == nil || len(f[1]) != 64 {
			continue
		}
		m.restoreAnnouncement(e, i, f[0])
		e.parts[i].share, e.parts[i].have = share.Of([64]byte(f[1])), true
		e.own = e.own || c.Role == m.cfg.Self
	}
	if e.session != nil {
		e.lack.Stop()
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
	c, ok := record.ReadCompleted(records[record.Session(e.id)], len(e.parts))
	if !ok { // defence: sessions-survive
		return
	}
	s := &session{
		transcript: c.Transcript, confirm: c.Confirm, completed: c.At, superseded: c.Superseded, confirmation: c.Confirmation,
		restored: true, noSend: c.NoSend, erased: c.Erased, confirmed: map[wire.Role]bool{m.cfg.Self: true},
	}
	for i := range e.parts {
		m.restoreAnnouncement(e, i, c.Announcements[i])
	}
	for _, x := range e.roster.Members {
		if _, ok := records[record.Confirmed(e.id, x.Role)]; ok {
			s.confirmed[x.Role] = true
		}
	}
	e.session, e.early, e.split = s, nil, c.Split
}

// restoreDeliveries offers the own share again, unchanged, to whom it has not been stored for.
func (m *Machine) restoreDeliveries(records map[string][]byte, e *epoch) {
	m.startDeliveries(e)
	for role, d := range e.deliveries {
		if db := records[record.Stored(e.id, role)]; len(db) == len(d.stored) {
			d.stored, d.isStored = wire.DatabaseID(db), true
			d.again.Stop()
		}
	}
	if e.session == nil {
		m.emit(event.Broadcast{Raw: e.parts[e.contributor(m.cfg.Self)].raw, Absent: true})
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
