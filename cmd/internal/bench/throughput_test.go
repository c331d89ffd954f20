package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conclave/overlay/baseline"
)

// window is how many texts a sender lets be on their way: enough to keep all queues busy, too few to overflow any. Raw
// gossipsub has no brake of its own: without a window it loses what its queues of 4,096 do not hold.
const window = 1000

// throughput has every member send its share of count texts as fast as it can, and returns how long it took until each
// member had all texts of the others.
func throughput(ctx context.Context, c chat, first, count int, brake bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patient)
	defer cancel()
	var delivered atomic.Int64
	wake := make(chan struct{}, 1)
	start := time.Now()
	result := make(chan error, 1)
	go func() {
		result <- watch(ctx, c, first, count, func(int, int) {
			delivered.Add(1)
			select {
			case wake <- struct{}{}:
			default:
			}
		})
	}()
	others := int64(c.size() - 1)
	var sent atomic.Int64
	var group sync.WaitGroup
	errs := make(chan error, c.size())
	for member := range c.size() {
		group.Go(func() {
			for i := member; i < count; i += c.size() {
				for brake && sent.Load()-delivered.Load()/others > window {
					select {
					case <-wake:
					case <-ctx.Done():
						errs <- ctx.Err()
						return
					}
				}
				sent.Add(1)
				if err := c.send(ctx, member, text(first+i)); err != nil {
					errs <- fmt.Errorf("sending: %w", err)
					return
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-errs:
		return 0, err
	case err := <-result:
		return time.Since(start), err
	}
}

func BenchmarkThroughput(b *testing.B) {
	const members, rounds, count = 3, 3, 15000
	ours, raw := newConclave(b, members), newRaw(b, members)
	for b.Loop() {
		var took [2]time.Duration
		side := func(n int, c chat, brake bool) func(int) error {
			return func(round int) error {
				d, err := throughput(b.Context(), c, count*(round+1), count, brake)
				took[n] += d
				return err
			}
		}
		if err := baseline.Interleave(rounds, side(0, ours, false), side(1, raw, true)); err != nil {
			b.Fatal(err)
		}
		deliveries := float64(rounds * count * (members - 1))
		a, z := deliveries/took[0].Seconds(), deliveries/took[1].Seconds()
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(a, "conclave-deliveries/s")
		b.ReportMetric(z, "raw-deliveries/s")
		b.ReportMetric(a/z, "times-raw")
	}
}
