// Package topicwatch finds out whether the topic carries, from what is sent and read anyway: a batch that the relay node
// acknowledges only when it got it over the session as well, and a batch of another member that had to be fetched, were not
// carried.
//
// It has no clock: it is told the time. It may be imported by node/delivery and imports nothing of ours.
package topicwatch

import "time"

const (
	// doubts is how many batches in a row the topic has to fail to carry.
	doubts = 3
	// doubtAgain is the shortest distance of two doubts: beginning again may not help.
	doubtAgain = time.Minute
)

// Watch is what was carried lately. The zero value has seen nothing.
type Watch struct {
	out  streak
	in   streak
	told time.Time // when it was last found
}

// streak is how often in a row, and since when, something was not carried.
type streak struct {
	missed int
	since  time.Time
}

// miss counts one more and reports whether that is too many for too long.
func (s *streak) miss(now time.Time, most time.Duration) bool {
	if s.missed++; s.missed == 1 {
		s.since = now
	}
	return s.missed >= doubts && now.Sub(s.since) >= most
}

// Acknowledged is told that a relay node has a batch of this member: late if it got it over the session only, excused if that
// says nothing about the topic. It reports whether the topic is silent for so long as most, as Fetched does.
func (s *Watch) Acknowledged(late, excused bool, now time.Time, most time.Duration) bool {
	switch {
	case !late:
		s.out = streak{}
	case excused:
	case s.out.miss(now, most):
		return s.found(now)
	}
	return false
}

// Heard is told that something came over the topic.
func (s *Watch) Heard() { s.in = streak{} }

// Fetched is told that something was fetched that did not come over the topic.
func (s *Watch) Fetched(now time.Time, most time.Duration) bool {
	return s.in.miss(now, most) && s.found(now)
}

func (s *Watch) found(now time.Time) bool {
	if !s.told.IsZero() && now.Sub(s.told) < doubtAgain { // defence: doubt-rarely
		return false
	}
	*s = Watch{told: now}
	return true
}
