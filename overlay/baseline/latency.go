package baseline

import (
	"slices"
	"sync"
	"time"
)

// Latencies collects durations and answers for their quantiles. The zero value is ready and safe for concurrent use.
type Latencies struct {
	mu     sync.Mutex
	all    []time.Duration // guarded by mu
	sorted bool            // guarded by mu
}

// Add records one duration.
func (l *Latencies) Add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
	l.sorted = false
}

// Count returns how many durations were recorded.
func (l *Latencies) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// Quantile returns the smallest recorded duration that at least the share q (0 to 1) of all do not exceed, and 0 when
// none was recorded. Quantile(1) is the largest.
func (l *Latencies) Quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	if !l.sorted {
		slices.Sort(l.all)
		l.sorted = true
	}
	index := int(q*float64(len(l.all))+0.999999) - 1
	return l.all[min(max(index, 0), len(l.all)-1)]
}

// Interleave runs both sides of a comparison in turns, a round each, so that a busy neighbour on the machine slows both
// alike. It stops at the first error.
func Interleave(rounds int, sides ...func(round int) error) error {
	for round := range rounds {
		for _, side := range sides {
			if err := side(round); err != nil {
				return err
			}
		}
	}
	return nil
}
