package keyagreement

import (
	"slices"
	"time"

	"conclave/overlay/wire"
)

// EpochView is what a debug window may show of an epoch. It holds no share, no key and nothing made from one but the
// commitments, which hide the shares behind random blinds, and the transcript.
type EpochView struct {
	Number        uint64
	ID            wire.EpochID
	Previous      wire.EpochID // zeros for none
	Opener        wire.Role
	RosterVersion uint64
	Seen          time.Time // when its opening came here first
	Parts         []PartView
	// Complete says that the session of this epoch is here, named by Transcript.
	Complete   bool
	Transcript wire.Transcript
	Completed  time.Time
	Confirmed  []wire.Role // who has proved to hold the key, in role order
	// GivenUp says that a contributor was silent for too long: nobody here waits for this epoch any more.
	GivenUp bool
	// Erased says that the shares are gone, because everybody has the key.
	Erased bool
}

// PartView is one contributor's part of an epoch.
type PartView struct {
	Role       wire.Role
	Instance   wire.Instance
	Announced  bool
	Commitment [32]byte // zeros until announced
	// Share says that the contributor's share is or was here and matches its commitment.
	Share bool
}

// Inspect returns the epochs that the machine knows, oldest first. It changes nothing.
func (m *Machine) Inspect() []EpochView {
	var views []EpochView
	for _, e := range m.sorted() {
		views = append(views, e.view())
	}
	return views
}

// Awaits reports whether this member still waits for the key of an epoch with a lower number.
func (m *Machine) Awaits(below uint64) bool {
	return slices.ContainsFunc(m.order, func(e *epoch) bool { return e.opening.Number < below && m.pending(e) })
}

func (e *epoch) view() EpochView {
	v := EpochView{
		Number: e.opening.Number, ID: e.id, Previous: e.opening.Previous, Opener: e.opening.Opener,
		RosterVersion: e.opening.RosterVersion, Seen: e.created, GivenUp: (e.failed || e.stale) && e.session == nil,
	}
	for i, c := range e.opening.Contributors {
		p := e.parts[i]
		v.Parts = append(v.Parts, PartView{
			Role: c.Role, Instance: c.Instance, Announced: p.raw != nil, Commitment: p.ann.Commitment, Share: p.have || e.session != nil,
		})
	}
	if s := e.session; s != nil {
		v.Complete, v.Transcript, v.Completed, v.Erased = true, s.transcript, s.completed, s.erased
		for _, member := range e.roster.Members {
			if s.confirmed[member.Role] {
				v.Confirmed = append(v.Confirmed, member.Role)
			}
		}
	}
	return v
}
