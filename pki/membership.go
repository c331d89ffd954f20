package pki

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// RosterStore keeps the newest roster on disk. Save does nothing for the roster that is there already and refuses an
// older one and a different one of the same version.
type RosterStore interface {
	Save(*Roster) error
}

// Membership is who belongs to a group now: the newest roster that was taken. Versions only grow, and two different
// rosters of one version are never both believed. It may be used from several goroutines.
type Membership struct {
	group *Group
	store RosterStore // nil keeps the roster in memory

	taking sync.Mutex // held while a roster is taken, so that store and memory agree
	now    atomic.Pointer[Roster]
}

// NewMembership returns the membership that a verified roster says. A newer one goes to store first; store may be nil.
func NewMembership(g *Group, first *Roster, store RosterStore) *Membership {
	m := &Membership{group: g, store: store}
	m.now.Store(first)
	return m
}

// Load returns the roster in force.
func (m *Membership) Load() *Roster { return m.now.Load() }

// Take puts a roster into force if it is newer, from whomever it comes: the authority signed it. It is on disk before
// anybody can see it. Take returns the roster that was offered, nil if the envelope holds none, and the one that it
// replaced, nil if nothing changed. An older roster is refused with ErrRosterOlder, a different one of the version in
// force with ErrRosterConflict; the one in force is accepted and changes nothing.
func (m *Membership) Take(envelope []byte, now time.Time) (offered, replaced *Roster, err error) {
	offered, err = OpenRoster(m.group, envelope, now)
	if err != nil {
		return nil, nil, err
	}
	m.taking.Lock()
	defer m.taking.Unlock()
	before := m.now.Load()
	if err := offered.Supersedes(before); err != nil {
		return offered, nil, err
	}
	if offered.Version == before.Version {
		return offered, nil, nil
	}
	if m.store != nil {
		if err := m.store.Save(offered); err != nil {
			return offered, nil, fmt.Errorf("keeping roster version %d: %w", offered.Version, err)
		}
	}
	m.now.Store(offered)
	return offered, before, nil
}
