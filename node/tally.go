package node

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"conclave/overlay/wire"
)

// maxMine is how many of this member's messages are remembered, to tell who has shown them.
const maxMine = 16_384

// tally knows this member's last messages, which all have other short IDs, and who has shown them.
type tally struct {
	of   map[wire.ShortID]tallied
	ring []wire.ShortID // oldest first
}

// tallied is a message and who has shown it, in role order.
type tallied struct {
	id wire.MessageID
	by []wire.Role
}

func newTally() tally { return tally{of: make(map[wire.ShortID]tallied)} }

// add remembers a message of this member, unless one with its short ID is.
func (t *tally) add(id wire.MessageID) bool {
	short := id.Short()
	if _, known := t.of[short]; known {
		return false
	}
	t.of[short] = tallied{id: id}
	t.ring = append(t.ring, short)
	if len(t.ring) > maxMine {
		delete(t.of, t.ring[0])
		t.ring = t.ring[1:]
	}
	return true
}

// errRandom is returned for a random source that gives the same again and again.
var errRandom = errors.New("the random source repeats itself")

// draw returns the ID of a new message and remembers it.
func (t *tally) draw(random io.Reader) (id wire.MessageID, err error) {
	for range 8 { // each fails with a probability of at most 2^-18
		if _, err := io.ReadFull(random, id[:]); err != nil {
			return id, fmt.Errorf("drawing a message ID: %w", err)
		}
		if t.add(id) {
			return id, nil
		}
	}
	return id, errRandom
}

// acknowledge notes that a member has shown a message. It returns the message's ID and everybody who has shown it, and
// whether that is news: it is not for a message that is forgotten or a repetition.
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
