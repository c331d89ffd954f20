package keyagreement

import (
	"fmt"
	"testing"

	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
)

// known are schedules in which one of the marked rules is needed: without it they fail. See testdata/mutants.txt.
var known = []uint64{
	1, 2, 3, 4, 5, 6, 10, 11, 13, 15, 21, 23, 24, 31, 35, 37, 43, 44, 47, 51, 54,
	55, 59, 63, 67, 72, 101, 115, 156, 239, 756, 1456,
}

// TestKnownSchedules runs each of them.
func TestKnownSchedules(t *testing.T) {
	t.Parallel()
	for _, seed := range known {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if w := schedule(seed); len(w.errs) > 0 {
				t.Errorf("%s (-sim.seed %d)", w.errs[0], seed)
			}
		})
	}
}

// TestBefore orders epochs by number, then by how many contribute, then by ID: everybody has to choose the same.
func TestBefore(t *testing.T) {
	t.Parallel()
	of := func(number uint64, contributors int, id byte) *epoch {
		return &epoch{id: wire.EpochID{id}, opening: wire.Opening{Number: number}, parts: make([]part, contributors)}
	}
	inOrder := []*epoch{of(3, 1, 9), of(2, 3, 9), of(2, 2, 1), of(2, 2, 2), of(1, 9, 0)}
	for i, a := range inOrder {
		for j, b := range inOrder {
			if got := new(Machine).before(a, b); got != (i < j) {
				t.Errorf("%d is before %d: %v", i, j, got)
			}
		}
	}
}

// TestEvictedIsSettled floods a member with messages of an epoch whose opening nobody has: the carriers of those that have to
// make room are told, so that references do not pile up (a mailbox brings the messages again otherwise, for ever).
func TestEvictedIsSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(7)
	w.add(3, 3)
	for _, n := range w.nodes {
		n.roster, n.linked = w.roster, true
		n.boot()
	}
	a, b := w.nodes[0], w.nodes[1]
	const sent = 1000
	settled := map[uint64]bool{}
	for ref := uint64(1); ref <= sent; ref++ {
		c := wire.Confirmation{Group: w.group, Epoch: wire.EpochID{1}, Role: b.role, Announcements: [][32]byte{{byte(ref), byte(ref >> 8)}}}
		for _, o := range a.m.Step(a.clock(), event.Control{Ref: ref, Raw: b.signAs(wire.SignedConfirmation, c.Marshal())}) {
			if o, ok := o.(event.Settled); ok {
				settled[o.Ref] = true
			}
		}
	}
	if kept := len(a.m.early.All()); len(settled)+kept != sent || kept == 0 {
		t.Errorf("of %d messages %d wait and %d are settled", sent, kept, len(settled))
	}
}
