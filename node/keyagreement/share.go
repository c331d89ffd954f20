package keyagreement

import (
	"crypto/sha256"
	"crypto/subtle"

	"conclave/node/keyagreement/early"
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

// shares draws, announces, offers and takes shares.
type shares struct {
	sessions
	token uint64 // of the last unwrap
}

// unwrap is an envelope whose ciphertext a worker is opening.
type unwrap struct {
	epoch wire.EpochID
	of    int // contributor
	from  [32]byte
	bad   bool // it did not open: this signer gets no second attempt for this share
	refs  []uint64
}

// onAnnouncement takes a contributor's commitment.
func (m *shares) onAnnouncement(s wire.Signed, p wire.Announcement, w early.Message) bool {
	e := m.byID[p.Epoch]
	if e == nil {
		if _, gone := m.dropped[p.Epoch]; gone || !m.knows(s.Signer) && p.RosterVersion <= m.roster.Version {
			return true
		}
		if m.earlyPair(s, p) {
			return true
		}
		w.Epoch = p.Epoch
		return !m.wait(w)
	}
	m.announce(e, s, p)
	return true
}

// announce records an announcement of an epoch; false says that it is not the one that counts here.
func (m *shares) announce(e *epoch, s wire.Signed, p wire.Announcement) bool {
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
	e.progress = m.Now
	m.earlyContradictions(e)
	return true
}

// onUnwrapped takes what a worker found in an envelope.
func (m *shares) onUnwrapped(in event.Unwrapped) {
	u := m.unwraps[in.Token]
	if u == nil || u.bad {
		return
	}
	refs := u.refs
	u.refs = nil
	e := m.byID[u.epoch]
	if e == nil || e.session != nil || e.parts[u.of].have {
		delete(m.unwraps, in.Token)
		m.settle(refs...)
		return
	}
	p := &e.parts[u.of]
	c := share.Commitment(e.id, p.ann.Role, in.Plaintext)
	if !in.OK || subtle.ConstantTimeCompare(c[:], p.ann.Commitment[:]) != 1 { // defence: commitment
		u.bad = true
		m.note("a share does not open or does not match its commitment", e.roster.RoleOf(u.from))
		m.settle(refs...)
		return
	}
	delete(m.unwraps, in.Token)
	p.share, p.have = in.Plaintext, true
	e.progress = m.Now
	m.asked.Forgive(p.ann.Role)
	m.saveEpoch(e)
	m.savePart(e, u.of)
	m.settle(refs...)
	m.complete(e)
}
