package keyagreement

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"

	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

// unwrap is an envelope whose ciphertext a worker is opening.
type unwrap struct {
	epoch wire.EpochID
	of    int // contributor
	from  [32]byte
	bad   bool // it did not open: this signer gets no second attempt for this share
	refs  []uint64
}

// onAnnouncement takes a contributor's commitment.
func (m *Machine) onAnnouncement(s wire.Signed, p wire.Announcement, w waiting) bool {
	e := m.epochs[p.Epoch]
	if e == nil {
		if _, gone := m.dropped[p.Epoch]; gone || !m.signerKnown(s.Signer) && p.RosterVersion <= m.roster.Version {
			return true
		}
		if m.earlyPair(s, p) {
			return true
		}
		w.epoch = p.Epoch
		return !m.wait(w)
	}
	m.announce(e, s, p)
	return true
}

// announce records an announcement of an epoch; false says that it is not the one that counts here.
func (m *Machine) announce(e *epoch, s wire.Signed, p wire.Announcement) bool {
	i := e.contributor(p.Role)
	if i < 0 || p.Epoch != e.id || p.RosterVersion != e.opening.RosterVersion || !e.roster.Key(p.Role, s.Signer) {
		return false
	}
	// One that names another instance counts as much for evidence, but never for the key.
	known := &e.parts[i]
	hash := sha256.Sum256(s.Payload)
	if known.raw != nil {
		if known.hash == hash {
			return true
		}
		m.onPair(p.Role, p.RosterVersion, e, known.raw, s.Marshal())
		return false
	}
	if p.Instance != e.opening.Contributors[i].Instance {
		return false
	}
	*known = part{raw: s.Marshal(), ann: p, hash: hash}
	e.progress = m.now
	m.earlyContradictions(e)
	return true
}

// onEnvelope takes a share on its way; false means that it is settled only when its ciphertext has been opened.
func (m *Machine) onEnvelope(s wire.Signed, p wire.Envelope, w waiting) bool {
	if p.To != m.cfg.Self {
		return true
	}
	e, done := m.envelopeEpoch(p, w)
	if e == nil {
		return done
	}
	i := m.envelopeAnnouncement(e, p)
	if i < 0 || !m.member(e, s.Signer) {
		return true
	}
	if e.parts[i].have || e.session != nil {
		return true
	}
	for _, u := range m.unwraps {
		if u.epoch == e.id && u.of == i && u.from == s.Signer {
			if u.bad {
				return true
			}
			if w.ref != 0 {
				u.refs = append(u.refs, w.ref)
			}
			return false
		}
	}
	m.token++
	m.unwraps[m.token] = &unwrap{epoch: e.id, of: i, from: s.Signer, refs: []uint64{w.ref}}
	label := share.Label(m.cfg.Group, e.roster.Hash, e.id, e.opening.Contributors[i].Role, m.cfg.Self)
	m.emit(Unwrap{m.token, bytes.Clone(p.Ciphertext), label})
	return false
}

// envelopeEpoch finds the epoch of an envelope, by the opening in it if need be.
func (m *Machine) envelopeEpoch(p wire.Envelope, w waiting) (*epoch, bool) {
	s, err := wire.UnmarshalSigned(p.Opening)
	if err != nil || s.Type != wire.SignedOpening {
		return nil, true
	}
	if e := m.epochs[sha256.Sum256(s.Payload)]; e != nil {
		return e, true
	}
	opening, err := wire.UnmarshalOpening(s.Payload)
	if err != nil || opening.Group != m.cfg.Group {
		return nil, true
	}
	if s, ok := m.open(p.Opening); ok {
		return m.onOpening(s, opening, w) // if the roster is not here yet, the whole envelope waits
	}
	return nil, true
}

// envelopeAnnouncement returns the contributor whose share an envelope holds, or -1.
func (m *Machine) envelopeAnnouncement(e *epoch, p wire.Envelope) int {
	for i := range e.parts {
		if e.parts[i].raw != nil && bytes.Equal(e.parts[i].raw, p.Announcement) {
			return i // verified before
		}
	}
	s, ok := m.open(p.Announcement)
	if !ok || s.Type != wire.SignedAnnouncement {
		return -1
	}
	a, err := wire.UnmarshalAnnouncement(s.Payload)
	if err != nil || a.Group != m.cfg.Group || !m.announce(e, s, a) {
		return -1
	}
	return e.contributor(a.Role)
}

// member tells whether a key is that of a member of the epoch's roster.
func (m *Machine) member(e *epoch, key [32]byte) bool {
	for i := range e.roster.Members {
		if e.roster.Members[i].Identity == key {
			return true
		}
	}
	return false
}

// onUnwrapped takes what a worker found in an envelope.
func (m *Machine) onUnwrapped(in Unwrapped) {
	u := m.unwraps[in.Token]
	if u == nil || u.bad {
		return
	}
	refs := u.refs
	u.refs = nil
	e := m.epochs[u.epoch]
	if e == nil || e.session != nil || e.parts[u.of].have {
		delete(m.unwraps, in.Token)
		m.settle(refs...)
		return
	}
	p := &e.parts[u.of]
	c := share.Commitment(e.id, p.ann.Role, in.Plaintext)
	if !in.OK || subtle.ConstantTimeCompare(c[:], p.ann.Commitment[:]) != 1 { // defence: commitment
		u.bad = true
		m.note("a share does not open or does not match its commitment", m.roleOf(e, u.from))
		m.settle(refs...)
		return
	}
	delete(m.unwraps, in.Token)
	p.share, p.have = in.Plaintext, true
	e.progress = m.now
	delete(m.strikes, p.ann.Role)
	m.saveEpoch(e)
	m.savePart(e, u.of)
	m.settle(refs...)
	m.complete(e)
}

// roleOf names the member of an epoch's roster that has a key.
func (m *Machine) roleOf(e *epoch, key [32]byte) wire.Role {
	for i := range e.roster.Members {
		if e.roster.Members[i].Identity == key {
			return e.roster.Members[i].Role
		}
	}
	return ""
}
