package node

import (
	"math/rand/v2"
	"time"

	"conclave/node/frame"
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
	ids   []wire.ShortID
	since time.Time // when the first of ids came
	due   time.Time // when they go by themselves; zero without ids
}

func (a *acks) add(e *engine, m state.Shown) {
	a.ids = append(a.ids, m.ID.Short(m.Sender))
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
	for c, ok := a.next(e); ok; c, ok = a.next(e) {
		e.outbox.aside(c)
	}
}

// ride returns acknowledgements that may go with texts which are being sealed: they need no batch of their own then, which
// everybody would have to verify and the relay node to keep. Those that began to gather a short while ago still wait for
// others, as everybody has to open them: for half the time after which they go alone, so whoever talks often never sends
// them alone.
func (a *acks) ride(e *engine) (frame.Content, bool) {
	if a.due.IsZero() || time.Since(a.since) < a.distance(e)/2 {
		return frame.Content{}, false
	}
	return a.next(e)
}

// next takes out as many acknowledgements as fit into a frame.
func (a *acks) next(e *engine) (frame.Content, bool) {
	if len(a.ids) == 0 {
		return frame.Content{}, false
	}
	id, err := e.messageID()
	if err != nil {
		return frame.Content{}, false
	}
	k := min(len(a.ids), frame.MaxAcks)
	c := frame.AckContent(id, e.cfg.Now(), a.ids[:k])
	if a.ids = a.ids[k:]; len(a.ids) == 0 {
		a.ids, a.due = nil, time.Time{}
	}
	return c, true
}
