package mailbox

import (
	"cmp"
	"slices"

	"conclave/overlay/wire"
)

// label is what memory holds of one mail: everything but its kind and its payload. A mail takes about 150 bytes of memory,
// its place in boxes included.
type label struct {
	seq       int64
	id        wire.MailID
	sender    int64 // its number
	recipient int64 // its number
	size      int   // of the payload
	expires   int64 // Unix time in milliseconds
}

// boxes are the labels of everything that lies here. They are what an index of the table would be. A deposit would change
// that on as many pages as there are mails, all of them to be written and synced: four times as much as the mails.
type boxes struct {
	by  map[int64][]label // by recipient, in the order of seq; a box that is empty is not here
	ids map[wire.MailID]int64
}

func newBoxes() boxes { return boxes{by: map[int64][]label{}, ids: map[wire.MailID]int64{}} }

func (b boxes) has(id wire.MailID) bool {
	_, here := b.ids[id]
	return here
}

// put enters a mail: a new one behind all others, or one whose removal is undone in its old place.
func (b boxes) put(l label) {
	box := b.by[l.recipient]
	b.by[l.recipient] = slices.Insert(box, search(box, l.seq), l)
	b.ids[l.id] = l.seq
}

// take takes a mail out of a box, and reports whether it was in there.
func (b boxes) take(recipient int64, id wire.MailID) (label, bool) {
	box, seq := b.by[recipient], b.ids[id]
	i := search(box, seq)
	if i == len(box) || box[i].id != id {
		return label{}, false
	}
	l := box[i]
	delete(b.ids, id)
	switch {
	case len(box) == 1:
		delete(b.by, recipient)
	case i == 0: // as it mostly is, and then what lies behind it stays where it is
		b.by[recipient] = box[1:]
	default:
		b.by[recipient] = slices.Delete(box, i, i+1)
	}
	return l, true
}

// after returns what lies in a box behind seq. It is good until the next change.
func (b boxes) after(recipient, seq int64) []label {
	box := b.by[recipient]
	return box[search(box, seq+1):]
}

// which returns at most limit of the labels of a kind.
func (b boxes) which(limit int, is func(label) bool) (found []label) {
	for _, box := range b.by {
		for _, l := range box {
			if !is(l) {
				continue
			}
			if found = append(found, l); len(found) == limit {
				return found
			}
		}
	}
	return found
}

// search returns the place in a box of the first mail whose seq is at least this.
func search(box []label, seq int64) int {
	i, _ := slices.BinarySearchFunc(box, seq, func(l label, seq int64) int { return cmp.Compare(l.seq, seq) })
	return i
}
