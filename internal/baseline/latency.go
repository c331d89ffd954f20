package baseline

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Latencies collects durations and answers for their quantiles. The zero value is ready and safe for concurrent use.
type Latencies struct {
	mu     sync.Mutex
	all    []time.Duration // guarded by mu
	sorted bool            // guarded by mu
}

// Add records durations.
func (l *Latencies) Add(took ...time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, took...)
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

// PerSecond has a number of writers call write, each with its own number and the number of its call, until d has passed,
// and returns how many calls a second returned. A writer stops at its first error.
func PerSecond(writers int, d time.Duration, write func(writer, call int) error) (float64, error) {
	var done atomic.Int64
	var group errgroup.Group
	begin := time.Now()
	for w := range writers {
		group.Go(func() error {
			for call := 0; time.Since(begin) < d; call++ {
				if err := write(w, call); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds(), err
}
