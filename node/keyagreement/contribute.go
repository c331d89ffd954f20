package keyagreement

import (
	"crypto/sha256"

	"conclave/node/keyagreement/clock"
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/limits"
	"conclave/node/keyagreement/share"
	"conclave/overlay/backoff"
	"conclave/overlay/wire"
)

// delivery is the own share's way to one member.
type delivery struct {
	again  clock.Timer // when to offer it (again)
	failed bool        // the last offer failed
	// stored is the database whose mailbox holds it.
	stored   wire.DatabaseID
	isStored bool
}

// contribute draws a share for an epoch that names this instance, keeps it, announces it and offers it to everybody.
func (m *shares) contribute(e *epoch) {
	own, err := share.Draw(m.cfg.Rand)
	if err != nil {
		m.note("no randomness: "+err.Error(), "")
		return
	}
	i := e.contributor(m.cfg.Self)
	a := wire.Announcement{
		Group: m.cfg.Group, RosterVersion: e.opening.RosterVersion, Epoch: e.id, Role: m.cfg.Self,
		Instance: e.opening.Contributors[i].Instance, Commitment: share.Commitment(e.id, m.cfg.Self, own),
	}
	payload := a.Marshal()
	e.parts[i] = part{m.sign(wire.SignedAnnouncement, payload), a, sha256.Sum256(payload), own, true}
	e.own = true
	m.saveEpoch(e)                                             // defence: share-on-disk
	m.savePart(e, i)                                           // defence: share-on-disk
	m.emit(event.Broadcast{Raw: e.parts[i].raw, Absent: true}) // defence: announce-first
	m.startDeliveries(e)                                       // defence: announce-first
	m.complete(e)
}

// startDeliveries begins to offer the own share to every other member of the epoch's roster, present or not.
func (m *shares) startDeliveries(e *epoch) {
	for _, to := range e.roster.Members {
		if to.Role == m.cfg.Self { // defence: share-for-everybody
			continue
		}
		d := &delivery{}
		d.again.Reset(m.Now)
		e.deliveries[to.Role] = d
	}
}

// stepOffers offers what is due. A member that has confirmed, or that is no longer in the roster, gets nothing more.
func (m *shares) stepOffers() {
	for _, e := range m.order {
		if !e.own {
			continue
		}
		i := e.contributor(m.cfg.Self)
		if !e.parts[i].have {
			continue
		}
		for _, to := range e.roster.Members {
			d := e.deliveries[to.Role]
			if d == nil {
				continue
			}
			if e.confirmed(to.Role) || !m.roster.Holds(to) {
				d.again.Stop()
				continue
			}
			if !m.connected() {
				continue
			}
			if m.Due(&d.again, m.cfg.Limits.Offer, m.cfg.Limits.OfferMax) { // defence: deposit-again
				m.wrap(e, i, to.Role)
			}
		}
	}
}

// wrap asks the driver to seal and deliver contributor i's share.
func (m *shares) wrap(e *epoch, i int, to wire.Role) {
	p := event.Parcel{Epoch: e.id, Of: e.opening.Contributors[i].Role, To: to}
	m.emit(event.Wrap{
		Parcel: p, Plaintext: e.parts[i].share, Label: share.Label(m.cfg.Group, e.roster.Hash, p.Epoch, p.Of, p.To), Opening: e.raw,
		Announcement: e.parts[i].raw, Group: m.cfg.Group,
	})
}

// delivery finds what a driver's answer is about.
func (m *shares) delivery(p event.Parcel) (*epoch, *delivery) {
	e := m.byID[p.Epoch]
	if e == nil || p.Of != m.cfg.Self {
		return nil, nil
	}
	return e, e.deliveries[p.To]
}

// onStored notes that a mailbox holds a share: enough, as long as that database lives.
func (m *shares) onStored(p event.Parcel) {
	e, d := m.delivery(p)
	if d == nil {
		return
	}
	d.stored, d.isStored, d.failed = m.database, true, false
	d.again.Stop()
	if e.saved {
		m.saveStored(e, p.To, d)
	}
}

// onDelivered notes that the recipient took a share; it is offered again if no confirmation comes.
func (m *shares) onDelivered(p event.Parcel) {
	if _, d := m.delivery(p); d != nil {
		d.failed = false
		d.again.At = m.Now.Add(backoff.Wait(limits.DeliveredAgain, m.cfg.Limits.OfferMax, d.again.N))
	}
}

// onFailed notes that nobody took a share.
func (m *shares) onFailed(p event.Parcel) {
	if _, d := m.delivery(p); d != nil {
		d.failed = true
		d.again.At = m.Now.Add(backoff.Wait(limits.FailedAgain, m.cfg.Limits.OfferMax, d.again.N))
	}
}

// onDatabase offers again what this database does not hold.
func (m *shares) onDatabase(e *epoch) {
	for _, d := range e.deliveries {
		if d.isStored && d.stored == m.database { // defence: deposit-in-new-database
			continue
		}
		d.again.At, d.isStored = m.Now, false
	}
	if e.own && e.session == nil && !e.stale {
		e.progress = m.Now
	}
}
