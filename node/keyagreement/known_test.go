package keyagreement

import (
	"fmt"
	"testing"

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
