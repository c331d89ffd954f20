// Package early keeps messages that came before their time: under a roster, or of an epoch, that is not here yet.
//
// A Queue keeps the newest messages, and of one signer an eighth of all at most, so that nobody keeps others' out. What has to
// make room is handed back, because its carrier waits to hear of it.
//
// It has no clock and judges nothing. It may be imported by the key agreement.
package early

import (
	"bytes"

	"conclave/overlay/wire"
)

// share is the part of a Queue that one signer may fill.
const share = 8

// Message is a message that cannot be judged yet.
type Message struct {
	Raw     []byte
	Ref     uint64 // of its carrier's; 0: nobody waits to hear of it
	Signer  [32]byte
	Version uint64       // it waits for a roster of this version, or
	Epoch   wire.EpochID // for this epoch's opening
}

// Queue is the messages that wait, the oldest first.
type Queue struct {
	most int
	list []Message
}

// NewQueue returns a queue of at most so many messages.
func NewQueue(most int) *Queue { return &Queue{most: most} }

// All returns the messages that wait. The caller does not change them.
func (q *Queue) All() []Message { return q.list }

// Keep keeps a message, and returns those that had to make room: the oldest of its signer, or the oldest of all.
func (q *Queue) Keep(m Message) (evicted []Message) {
	same, first := 0, -1
	for i := range q.list {
		if q.list[i].Signer == m.Signer {
			if same++; first < 0 {
				first = i
			}
		}
	}
	switch {
	case same >= max(q.most/share, 1): // defence: early-per-signer
		evicted = append(evicted, q.list[first])
		q.list = append(q.list[:first:first], q.list[first+1:]...)
	case len(q.list) >= q.most: // defence: early-bound
		evicted = append(evicted, q.list[0])
		q.list = q.list[1:]
	}
	m.Raw = bytes.Clone(m.Raw)
	q.list = append(q.list, m)
	return evicted
}

// Take takes out those that a condition says can be judged now. They wait for nothing any more.
func (q *Queue) Take(ready func(*Message) bool) (taken []Message) {
	var keep []Message
	for _, m := range q.list {
		if ready(&m) {
			m.Version, m.Epoch = 0, wire.EpochID{}
			taken = append(taken, m)
		} else {
			keep = append(keep, m)
		}
	}
	q.list = keep
	return taken
}
