package delivery

import (
	"encoding/binary"
	"io"
	"time"

	"conclave/overlay/wire"
)

// ackAgain is how many of the messages shown last are acknowledged once more at a start: acknowledgements wait in memory,
// so a process that ended may have owed them. Whoever has them already takes no notice. Arbitrary: about what a busy
// group sends between two frames of acknowledgements.
const ackAgain = 64

// acks gathers what was shown, to be acknowledged in one frame for all senders. With many members acknowledgements
// are rarer, so that they do not outgrow the messages.
type acks struct {
	cfg   *Config
	list  []ack
	since time.Time // when the first of them came
	alone time.Time // when they go by themselves; zero without any
}

// ack is a message that is to be acknowledged.
type ack struct {
	sender wire.Role
	id     wire.ShortID
}

func (a *acks) add(m Shown, now time.Time) {
	a.list = append(a.list, ack{m.Sender, m.ID.Short()})
	if a.alone.IsZero() {
		d := a.distance()
		a.since = now
		a.alone = now.Add(d + spread(a.cfg.Rand, d))
	}
}

// spread returns a duration that is drawn below d; without randomness none.
func spread(random io.Reader, d time.Duration) time.Duration {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil || d <= 0 {
		return 0
	}
	return time.Duration(binary.BigEndian.Uint64(b[:]) % uint64(d))
}

// distance is how long acknowledgements gather at least before they go alone, and half of the longest wait. Everybody has
// shown a message at the same moment: if all waited for the same time, a hundred acknowledgements would come at once, which
// everybody has to verify, and what is said in that moment would come a second late.
func (a *acks) distance() time.Duration {
	t := a.cfg.Timing
	return max(t.AckBase, t.AckPerMember*time.Duration(a.cfg.Members))
}

// due returns the acknowledgements that go now, whatever else does.
func (a *acks) due(now time.Time) []ack {
	if a.alone.IsZero() || now.Before(a.alone) {
		return nil
	}
	return a.take()
}

// ride returns acknowledgements that may go with texts which are being sealed: they need no batch of their own then, which
// everybody would have to verify and the relay node to keep. Those that began to gather a short while ago still wait for
// others, as everybody has to open them: for half the time after which they go alone, so whoever talks often never sends
// them alone.
func (a *acks) ride(now time.Time) []ack {
	if a.alone.IsZero() || now.Sub(a.since) < a.distance()/2 {
		return nil
	}
	return a.take()
}

// take takes out what has gathered.
func (a *acks) take() []ack {
	taken := a.list
	a.list, a.alone = nil, time.Time{}
	return taken
}

func (a *acks) deadline() time.Time { return a.alone }
