package early_test

import (
	"testing"

	"conclave/node/keyagreement/early"
)

// TestBounds keeps no more than it may, of nobody more than a part, and hands back what has to go.
func TestBounds(t *testing.T) {
	t.Parallel()
	q := early.NewQueue(16)
	var back []uint64
	keep := func(signer byte, ref uint64) {
		for _, m := range q.Keep(early.Message{Signer: [32]byte{signer}, Ref: ref, Raw: []byte{signer}}) {
			back = append(back, m.Ref)
		}
	}
	for ref := range uint64(10) { // one signer fills its part only
		keep(1, ref+1)
	}
	if len(q.All()) != 2 || len(back) != 8 || back[0] != 1 || back[7] != 8 {
		t.Fatalf("%d are kept, handed back are %v", len(q.All()), back)
	}
	back = nil
	for signer := range byte(20) {
		keep(signer+2, 100+uint64(signer))
	}
	if len(q.All()) != 16 || len(back) != 6 {
		t.Fatalf("%d are kept, handed back are %v", len(q.All()), back)
	}
}

// TestTake takes out what is ready and leaves the others in their order.
func TestTake(t *testing.T) {
	t.Parallel()
	q := early.NewQueue(16)
	for signer := range byte(3) {
		q.Keep(early.Message{Signer: [32]byte{signer}, Version: uint64(signer)})
	}
	taken := q.Take(func(m *early.Message) bool { return m.Version == 1 })
	if len(taken) != 1 || taken[0].Version != 0 || taken[0].Signer != [32]byte{1} || len(q.All()) != 2 || q.All()[1].Version != 2 {
		t.Errorf("taken %v, left %v", taken, q.All())
	}
}
