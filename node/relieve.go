package node

import (
	"time"

	"conclave/node/deadline"
)

// asidePatience is how long a batch counts as on its way while there is no relay node that could store it and nobody
// acknowledges it. Arbitrary: members acknowledge within a fraction of a second.
const asidePatience = 5 * time.Second

// relieve lets what no relay node can store make room for what comes: it is on the shelf, where others find it, and is
// brought to the next relay node.
func (o *outbox) relieve() {
	if !o.e.keep.Alone() {
		return
	}
	now := time.Now()
	for i := 0; i < len(o.flying); {
		s := o.flying[i]
		if !s.kept || !o.answered(s) && now.Before(s.flown.Add(asidePatience)) {
			i++
			continue
		}
		o.land(s)
		s.aside = true
		o.e.keep.SetAside(s.id)
		o.byID[s.id] = s // a relay node may store it yet
	}
}

// answered reports whether nothing in a batch waits for anybody.
func (o *outbox) answered(s *sealed) bool {
	for _, m := range s.texts {
		if o.open[m.ID] != nil {
			return false
		}
	}
	return true
}

// relief returns when relieve has something to do that nothing else tells of.
func (o *outbox) relief() (due time.Time) {
	if !o.e.keep.Alone() {
		return due
	}
	for _, s := range o.flying {
		if s.kept {
			due = deadline.Sooner(due, s.flown.Add(asidePatience))
		}
	}
	return due
}
