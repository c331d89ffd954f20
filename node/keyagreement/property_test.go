package keyagreement

import (
	"flag"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"conclave/overlay/longtest"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run this schedule only, with a trace")
	simCount = flag.Uint64("sim.count", 0, "schedules to run; 0: 4,000; 20,000 in the long form, 1,000 under -race or -short")
	simFirst = flag.Uint64("sim.first", 1, "first seed")
)

func scheduleCount() uint64 {
	switch {
	case *simCount != 0:
		return *simCount
	case raceEnabled || testing.Short():
		return 1000
	case !longtest.Wanted():
		return 4000
	}
	return 20_000
}

// TestSchedule shows one schedule: go test -run TestSchedule -v -sim.seed N.
func TestSchedule(t *testing.T) {
	if *simSeed == 0 {
		t.Skip("no -sim.seed")
	}
	tracing = true
	w := schedule(*simSeed)
	tracing = false
	w.dump()
	for _, e := range w.errs {
		t.Error(e)
	}
}

// TestProperty runs the schedules. What they must keep is in sim_oracle_test.go.
func TestProperty(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	count, first := scheduleCount(), *simFirst
	t.Logf("seeds %d to %d", first, first+count-1)
	var (
		next   atomic.Uint64
		mu     sync.Mutex
		wait   sync.WaitGroup
		faults = map[string]int{}
		failed int
	)
	next.Store(first)
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for seed := next.Add(1) - 1; seed < first+count; seed = next.Add(1) - 1 {
				w := schedule(seed)
				mu.Lock()
				for k, v := range w.faults {
					faults[k] += v
				}
				if len(w.errs) > 0 {
					if failed++; failed <= 20 {
						t.Errorf("%s (-sim.seed %d)", w.errs[0], seed)
					}
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	var table strings.Builder
	for _, k := range slices.Sorted(maps.Keys(faults)) {
		fmt.Fprintf(&table, "%10d  %s\n", faults[k], k)
	}
	t.Logf("%d schedules, %d failed; faults:\n%s", count, failed, table.String())
	for _, name := range allFaults {
		if faults[name] == 0 {
			t.Errorf("fault %q never happened", name)
		}
	}
}

// allFaults must each happen.
var allFaults = []string{
	"clock jumps", "clock off by up to a minute", "confirmation with a wrong MAC", "crash after the commit", "crash in a step", "death",
	"death half way", "deposit lost", "duplicate message", "duplicate share", "equivocation", "forged confirmation", "lost message",
	"lost share", "member added", "member removed", "number at the limit", "number far ahead", "old disk restored",
	"opening for a past instance", "opening storm", "partition", "rekey", "relay node down", "reordered message", "replay",
	"request storm", "restart", "restart of all", "roster expires", "share against its commitment", "share withheld",
	"start number behind", "two openings of one number", "wipe of a member", "wipe of the relay node", "wrong presence hint",
}
