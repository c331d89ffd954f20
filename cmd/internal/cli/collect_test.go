package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestCollectionIsPostponedOnce sees the usual pace come back with the first collection, and GOGC respected.
func TestCollectionIsPostponedOnce(t *testing.T) {
	percent := func() int { p := debug.SetGCPercent(100); debug.SetGCPercent(p); return p }
	if was, set := os.LookupEnv("GOGC"); set {
		t.Cleanup(func() { _ = os.Setenv("GOGC", was) })
	}
	before := percent()
	t.Cleanup(func() { debug.SetGCPercent(before) })

	_ = os.Setenv("GOGC", "100")
	if postponeCollection(); percent() != before {
		t.Errorf("GOGC is set and the pace is %d", percent())
	}
	_ = os.Unsetenv("GOGC")
	if postponeCollection(); percent() != startHeap {
		t.Fatalf("the pace at the start is %d, want %d", percent(), startHeap)
	}
	for deadline := time.Now().Add(time.Minute); percent() != before; time.Sleep(time.Millisecond) {
		if runtime.GC(); time.Now().After(deadline) {
			t.Fatalf("the pace after a collection is %d, want %d", percent(), before)
		}
	}
}
