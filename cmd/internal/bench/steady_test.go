package bench

import (
	"slices"
	"testing"
	"time"
)

const (
	// slowFactor is how many times the median a probe takes that finds its processor slow. Cold caches make it two.
	slowFactor = 3
	// slowGap is the longest time between two probes of a processor that was there all the while.
	slowGap = 5 * time.Millisecond
)

// probe is one look at a processor.
type probe struct {
	from, to time.Time     // since the look before
	work     time.Duration // what the same work took
}

// slowTimes are the times in which a processor was slow or away.
type slowTimes []probe

// slowIn returns those of the probes that found their processor slow or away.
func slowIn(all []probe) (slow slowTimes) {
	if len(all) == 0 {
		return nil
	}
	works := make([]time.Duration, 0, len(all))
	for _, p := range all {
		works = append(works, p.work)
	}
	slices.Sort(works)
	median := works[len(works)/2]
	for _, p := range all {
		if p.work > slowFactor*median || p.to.Sub(p.from) > slowGap {
			slow = append(slow, p)
		}
	}
	return slow
}

// touch reports whether something that went on between two times met a slow processor.
func (s slowTimes) touch(from, to time.Time) bool {
	return slices.ContainsFunc(s, func(p probe) bool { return p.from.Before(to) && p.to.After(from) })
}

func TestSlowTimes(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var all []probe
	for ms := range 20 {
		all = append(all, probe{at(ms), at(ms + 1), 4 * time.Microsecond})
	}
	all[10].work = 40 * time.Microsecond
	all = append(all, probe{at(20), at(30), 4 * time.Microsecond})
	slow := slowIn(all)
	for _, c := range []struct {
		from, to int
		want     bool
	}{{0, 10, false}, {8, 12, true}, {11, 20, false}, {19, 21, true}, {22, 23, true}, {30, 31, false}} {
		if got := slow.touch(at(c.from), at(c.to)); got != c.want {
			t.Errorf("from %d to %d ms: %v, want %v", c.from, c.to, got, c.want)
		}
	}
	if slowIn(nil) != nil {
		t.Error("no probes found something")
	}
}
