package delivery

import "time"

const (
	// doubts is how many batches in a row the topic has to fail to carry.
	doubts = 3
	// doubtAgain is the shortest distance of two doubts: beginning again may not help.
	doubtAgain = time.Minute
	// doubtBytes is how much may be on its way for a late batch to count: on a slow line what is large is late.
	doubtBytes = 8 << 10
)

// topicWatch finds out whether the topic carries, from what is sent and read anyway: a batch that the relay node acknowledges
// only when it got it over the session as well, and a batch of another member that had to be fetched, were not carried.
type topicWatch struct {
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

// acknowledged is told that a relay node has a batch of this member, of which so many bytes are on their way. It reports
// whether the topic is silent, as fetched does.
func (s *topicWatch) acknowledged(f *flight, bytes int, now time.Time, most time.Duration) bool {
	switch {
	case f.tries == 0:
		s.out = streak{}
	case f.again || bytes > doubtBytes:
	case s.out.miss(now, most):
		return s.found(now)
	}
	return false
}

// heard is told that something came over the topic.
func (s *topicWatch) heard() { s.in = streak{} }

// fetched is told that something was fetched that did not come over the topic.
func (s *topicWatch) fetched(now time.Time, most time.Duration) bool {
	return s.in.miss(now, most) && s.found(now)
}

func (s *topicWatch) found(now time.Time) bool {
	if !s.told.IsZero() && now.Sub(s.told) < doubtAgain { // defence: doubt-rarely
		return false
	}
	*s = topicWatch{told: now}
	return true
}
