package courier

import (
	"context"
	"slices"
	"testing"
)

// TestQuickJobsGoFirst queues unwraps before wraps: the wraps are done first, each kind in its order, and nothing after the
// end.
func TestQuickJobsGoFirst(t *testing.T) {
	t.Parallel()
	p := newPool()
	var did []string
	job := func(name string) func() { return func() { did = append(did, name) } }
	if !p.add(job("unwrap 1")) || !p.add(job("unwrap 2")) || !p.addQuick(job("wrap 1")) || !p.addQuick(job("wrap 2")) {
		t.Fatal("a job is not taken")
	}
	for next := p.next(); next != nil; next = p.next() {
		next()
	}
	if want := []string{"wrap 1", "wrap 2", "unwrap 1", "unwrap 2"}; !slices.Equal(did, want) {
		t.Errorf("done in the order %q, want %q", did, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.run(ctx)
	if p.add(job("late")) || p.addQuick(job("late")) {
		t.Error("a job is taken after the end")
	}
}
