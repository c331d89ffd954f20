package keyagreement

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"conclave/node/keyagreement/record"
	"conclave/overlay/wire"
)

func (m *epochs) saveEpoch(e *epoch) {
	if !e.saved {
		e.saved = true
		m.persist(record.Epoch(e.id), record.Pack(e.raw, e.roster.Hash[:], record.Stamp(e.created)))
	}
}

func (m *epochs) savePart(e *epoch, i int) {
	m.persist(record.Part(e.id, e.opening.Contributors[i].Role), record.Pack(e.parts[i].raw, e.parts[i].share.Bytes()))
}

func (m *epochs) saveStored(e *epoch, to wire.Role, d *delivery) {
	m.persist(record.Stored(e.id, to), bytes.Clone(d.stored[:]))
}

func (m *epochs) saveConfirmed(e *epoch, role wire.Role) {
	m.persist(record.Confirmed(e.id, role), []byte{})
}

func (m *epochs) saveSession(e *epoch) {
	s := e.session
	c := record.Completed{
		Transcript: s.transcript, Confirm: s.confirm, At: s.completed, Superseded: s.superseded, Confirmation: s.confirmation,
		NoSend: s.noSend, Erased: s.erased, Split: e.split,
	}
	for i := range e.parts {
		c.Announcements = append(c.Announcements, e.parts[i].raw)
	}
	m.persist(record.Session(e.id), c.Value())
}

// eraseEpoch removes all records of an epoch.
func (m *epochs) eraseEpoch(e *epoch) {
	if !e.saved {
		return
	}
	m.erase(record.Epoch(e.id))
	m.erase(record.Session(e.id))
	for _, c := range e.opening.Contributors {
		m.erase(record.Part(e.id, c.Role))
	}
	for _, x := range e.roster.Members {
		m.erase(record.Stored(e.id, x.Role))
		m.erase(record.Confirmed(e.id, x.Role))
	}
}

func sortedRoles[V any](m map[wire.Role]V) []wire.Role { return slices.Sorted(maps.Keys(m)) }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
