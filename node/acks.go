package node

import (
	"time"

	"conclave/node/frame"
	"conclave/overlay/wire"
)

// ackAgain is how many of the messages shown last are acknowledged once more at a start: acknowledgements wait in memory,
// so a process that ended may have owed them. Whoever has them already takes no notice. Arbitrary: about what a busy
// group sends between two frames of acknowledgements.
const ackAgain = 64

// acks gathers what was shown, to be acknowledged in one frame for all senders. With many members acknowledgements
// are rarer, so that they do not outgrow the messages.
type acks struct {
	ids []wire.MessageID
	due time.Time
}

func (a *acks) add(e *engine, id wire.MessageID) {
	a.ids = append(a.ids, id)
	if a.due.IsZero() {
		t := e.cfg.Timing
		a.due = time.Now().Add(max(t.AckBase, t.AckPerMember*time.Duration(len(e.roster.Members))))
	}
}

// tick hands the acknowledgements that are due to the outbox.
func (a *acks) tick(e *engine) {
	if a.due.IsZero() || time.Now().Before(a.due) {
		return
	}
	a.due = time.Time{}
	for len(a.ids) > 0 {
		k := min(len(a.ids), frame.MaxAcks)
		id, err := e.messageID()
		if err != nil {
			return
		}
		e.outbox.aside(frame.AckContent(id, e.cfg.Now(), a.ids[:k]))
		a.ids = a.ids[k:]
	}
	a.ids = nil
}
