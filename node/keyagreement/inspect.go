package keyagreement

import (
	"slices"

	"conclave/node/keyagreement/event"
)

// Inspect returns the epochs that the machine knows, oldest first. It changes nothing.
func (m *Machine) Inspect() []event.EpochView {
	var views []event.EpochView
	for _, e := range m.order {
		views = append(views, e.view())
	}
	return views
}

// Awaits reports whether this member still waits for the key of an epoch with a lower number.
func (m *Machine) Awaits(below uint64) bool {
	return slices.ContainsFunc(m.order, func(e *epoch) bool { return e.opening.Number < below && m.pending(e) })
}

func (e *epoch) view() event.EpochView {
	v := event.EpochView{
		Number: e.opening.Number, ID: e.id, Previous: e.opening.Previous, Opener: e.opening.Opener,
		RosterVersion: e.opening.RosterVersion, Seen: e.created, GivenUp: (e.failed || e.stale) && e.session == nil,
	}
	for i, c := range e.opening.Contributors {
		p := e.parts[i]
		v.Parts = append(v.Parts, event.PartView{
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
