// Package deadline compares the times at which the parts of a member have something to do.
//
// A part that has nothing to do before something happens has no deadline, which is the zero time. Whoever waits for several
// parts waits for the soonest of their deadlines.
//
// It has no clock. It may be imported by node and its rooms, and imports nothing.
package deadline

import "time"

// Sooner returns the earlier of two times, of which zero is none.
func Sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
