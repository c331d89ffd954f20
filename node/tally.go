package node

import (
	"slices"

	"conclave/overlay/wire"
)

// maxMine is how many of this member's messages are remembered, to tell who has shown them.
const maxMine = 16_384

// tally knows who has shown which of this member's last messages.
type tally struct {
	by   map[wire.MessageID][]wire.Role // in role order
	ring []wire.MessageID
}

func newTally() tally { return tally{by: make(map[wire.MessageID][]wire.Role)} }

// add remembers a message of this member.
func (t *tally) add(id wire.MessageID) {
	if _, known := t.by[id]; known {
		return
	}
	t.by[id] = nil
	t.ring = append(t.ring, id)
	if len(t.ring) > maxMine {
		delete(t.by, t.ring[0])
		t.ring = t.ring[1:]
	}
}

// acknowledge notes that a member has shown a message. It returns everybody who has, and whether that is news: it is
// not for another member's message or a repetition.
func (t *tally) acknowledge(id wire.MessageID, by wire.Role) (all []wire.Role, news bool) {
	before, mine := t.by[id]
	if !mine {
		return nil, false
	}
	i, known := slices.BinarySearch(before, by)
	if known {
		return nil, false
	}
	t.by[id] = slices.Insert(slices.Clone(before), i, by)
	return t.by[id], true
}
