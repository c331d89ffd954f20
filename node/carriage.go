package node

import "time"

const (
	// doubts is how many batches in a row the topic has to fail to carry.
	doubts = 3
	// doubtAgain is the shortest distance of two links that end because of it: beginning again may not help.
	doubtAgain = time.Minute
	// doubtBytes is how much may be on its way for a late batch to count: on a slow line what is large is late.
	doubtBytes = 8 << 10
)

// carriage finds out whether the topic carries, from what is sent and read anyway: a batch that the relay node acknowledges
// only when it got it over the session as well, and a batch of another member that had to be fetched, were not carried.
// The link that is to blame begins again; pubsub greets anew only on a new connection.
type carriage struct {
	e    *engine
	out  streak
	in   streak
	told time.Time // when a link was last ended
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

// acknowledged is told that a relay node has a batch of this member.
func (c *carriage) acknowledged(s *sealed) {
	switch {
	case s.tries == 0:
		c.out = streak{}
	case s.again || c.e.outbox.flyingBytes > doubtBytes:
	case c.out.miss(time.Now(), c.e.cfg.Timing.DoubtAfter):
		c.doubt()
	}
}

// heard is told that something came over the topic, and fetched that it did not.
func (c *carriage) heard() { c.in = streak{} }

func (c *carriage) fetched() {
	if c.in.miss(time.Now(), c.e.cfg.Timing.DoubtAfter) {
		c.doubt()
	}
}

// doubt ends the main link.
func (c *carriage) doubt() {
	main := c.e.relays.Main()
	if main == nil || time.Since(c.told) < doubtAgain {
		return
	}
	c.told, c.in, c.out = time.Now(), streak{}, streak{}
	c.e.n.uplink.Doubt(main.ID)
}
