package node

import (
	"math/rand/v2"
	"time"

	"conclave/node/state"
	"conclave/overlay/wire"
)

// ackAgain is how many of the messages shown last are acknowledged once more at a start: acknowledgements wait in memory,
// so a process that ended may have owed them. Whoever has them already takes no notice. Arbitrary: about what a busy
// group sends between two frames of acknowledgements.
const ackAgain = 64

// acks gathers what was shown, to be acknowledged in one frame for all senders. With many members acknowledgements
// are rarer, so that they do not outgrow the messages.
type acks struct {
	owed  []owed
	since time.Time // when the first of owed came
	due   time.Time // when they go by themselves; zero without any
}

// owed is a message that is to be acknowledged.
type owed struct {
	sender wire.Role
	id     wire.ShortID
}

func (a *acks) add(e *engine, m state.Shown) {
	a.owed = append(a.owed, owed{m.Sender, m.ID.Short()})
	if a.due.IsZero() {
		d := a.distance(e)
		a.since = time.Now()
		a.due = a.since.Add(d + rand.N(d))
	}
}

// distance is how long acknowledgements gather at least before they go alone, and half of the longest wait. Everybody has
// shown a message at the same moment: if all waited for the same time, a hundred acknowledgements would come at once, which
// everybody has to verify, and what is said in that moment would come a second late.
func (a *acks) distance(e *engine) time.Duration {
	t := e.cfg.Timing
	return max(t.AckBase, t.AckPerMember*time.Duration(len(e.roster.Members)))
}

// tick hands the acknowledgements that are due to the outbox.
func (a *acks) tick(e *engine) {
	if a.due.IsZero() || time.Now().Before(a.due) {
		return
	}
	e.outbox.urgent = append(e.outbox.urgent, a.take()...)
}

// ride returns acknowledgements that may go with texts which are being sealed: they need no batch of their own then, which
// everybody would have to verify and the relay node to keep. Those that began to gather a short while ago still wait for
// others, as everybody has to open them: for half the time after which they go alone, so whoever talks often never sends
// them alone.
func (a *acks) ride(e *engine) []owed {
	if a.due.IsZero() || time.Since(a.since) < a.distance(e)/2 {
		return nil
	}
	return a.take()
}

// take takes out what has gathered.
func (a *acks) take() []owed {
	taken := a.owed
	a.owed, a.due = nil, time.Time{}
	return taken
}
