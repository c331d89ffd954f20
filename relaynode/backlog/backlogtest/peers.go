package backlogtest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conclave/relaynode/backlog"
)

// testMissing: what a range lacks is named exactly, for the chain of one signer.
func testMissing(t *testing.T, open Open) {
	l := newLog(t, open, backlog.DefaultLimits())
	a := chainOf(A, 0)
	claimed := a
	claimed.Signer = B
	l.append(true, batch(a, 0, 3, 4), batch(a, 0, 6), batch(claimed, 0, 0, 1, 2))
	for _, c := range []struct {
		chain    backlog.Chain
		from, to uint32
		want     [][2]uint32
	}{
		{a, 0, 9, [][2]uint32{{0, 2}, {5, 5}, {7, 9}}},
		{a, 3, 6, [][2]uint32{{5, 5}}},
		{a, 4, 4, nil},
		{a, 4, 5, [][2]uint32{{5, 5}}},
		{a, 7, 7, [][2]uint32{{7, 7}}},
		{a, 1, 0, nil},
		{a, 0, 1<<32 - 1, [][2]uint32{{0, 2}, {5, 5}, {7, 1<<32 - 1}}},
		{claimed, 0, 4, [][2]uint32{{3, 4}}},
		{chainOf(C, 0), 0, 4, [][2]uint32{{0, 4}}},
	} {
		got, err := l.s.Missing(context.Background(), backlog.Range{Chain: c.chain, From: c.from, To: c.to})
		if err != nil {
			t.Fatal(err)
		}
		var want []backlog.Range
		for _, w := range c.want {
			want = append(want, backlog.Range{Chain: c.chain, From: w[0], To: w[1]})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("missing of %d to %d (-want +got):\n%s", c.from, c.to, diff)
		}
	}
}

// testAges: a copy is as old as what it was made from, never younger than it says and never from the future.
func testAges(t *testing.T, open Open) {
	limits := backlog.DefaultLimits()
	limits.Age = time.Hour
	l := newLog(t, open, limits)
	a := chainOf(A, 0)
	own, older, future := batch(a, 0, 0), batch(a, 0, 1), batch(a, 0, 2)
	older.At, future.At = start.Add(-50*time.Minute), start.Add(time.Minute)
	l.append(true, own, older, future)
	copies, more, err := l.s.Copies(context.Background(), backlog.Range{Chain: a, To: 9}, 1<<20)
	if err != nil || more || len(copies) != 3 {
		t.Fatalf("%d copies, %v, %v", len(copies), more, err)
	}
	for i, at := range []time.Time{start, older.At, start} {
		if !copies[i].At.Equal(at) {
			t.Errorf("copy %d came at %v, want %v", i, copies[i].At, at)
		}
	}
	if n, err := l.s.Expire(context.Background(), start.Add(15*time.Minute)); err != nil || n != 1 {
		t.Fatalf("%d expired, %v; want the older one", n, err)
	}
	left, err := l.s.Missing(context.Background(), backlog.Range{Chain: a, To: 2})
	if err != nil || len(left) != 1 || left[0].From != 1 || left[0].To != 1 {
		t.Errorf("missing %v, %v", left, err)
	}
}
