package node

import (
	"slices"

	"conclave/overlay/wire"
)

// maxMine is how many of this member's messages are remembered, to tell who has shown them.
const maxMine = 16_384

// tally knows who has shown which of this member's last messages.
type tally struct {
	self wire.Role
	of   map[wire.ShortID]tallied
	ring []wire.ShortID // oldest first
}

// tallied is a message and who has shown it, in role order.
type tallied struct {
	id wire.MessageID
	by []wire.Role
}

func newTally(self wire.Role) tally { return tally{self: self, of: make(map[wire.ShortID]tallied)} }

// add remembers a message of this member.
func (t *tally) add(id wire.MessageID) {
	short := id.Short(t.self)
	if _, known := t.of[short]; known {
		return
	}
	t.of[short] = tallied{id: id}
	t.ring = append(t.ring, short)
	if len(t.ring) > maxMine {
		delete(t.of, t.ring[0])
		t.ring = t.ring[1:]
	}
}

// acknowledge notes that a member has shown a message. It returns the message's ID and everybody who has shown it, and
// whether that is news: it is not for another member's message or a repetition.
func (t *tally) acknowledge(short wire.ShortID, by wire.Role) (id wire.MessageID, all []wire.Role, news bool) {
	m, mine := t.of[short]
	if !mine {
		return id, nil, false
	}
	i, known := slices.BinarySearch(m.by, by)
	if known {
		return id, nil, false
	}
	m.by = slices.Insert(slices.Clone(m.by), i, by)
	t.of[short] = m
	return m.id, m.by, true
}
