package bench

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"conclave/overlay/baseline"
)

// roomy gives the benchmark four of Go's processors for each core, for both sides. The members here share one process, and
// each of theirs keeps a processor for up to 10 ms while it waits for the disk: as separate processes they would not
// be in each other's way.
func roomy(b *testing.B) {
	before := runtime.GOMAXPROCS(4 * runtime.NumCPU())
	b.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func BenchmarkLatency(b *testing.B) {
	roomy(b)
	const rounds, count, gap = 5, 72, 20 * time.Millisecond
	for _, members := range []int{3, 24} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			ours, raw := newConclave(b, members), newRaw(b, members)
			cost := measureSigning(b)
			for b.Loop() {
				var a, z, warm baseline.Latencies
				side := func(c chat, first int, into *baseline.Latencies) func(int) error {
					return func(round int) error {
						return plan{first + round*count, count, members}.paced(b.Context(), c, gap, into)
					}
				}
				if err := baseline.Interleave(1, side(ours, 0, &warm), side(raw, 0, &warm)); err != nil {
					b.Fatal(err)
				}
				if err := baseline.Interleave(rounds, side(ours, count, &a), side(raw, count, &z)); err != nil {
					b.Fatal(err)
				}
				if worst := a.Quantile(1); worst > 500*time.Millisecond {
					b.Errorf("a delivery took %v; none may take over 500 ms", worst)
				}
				reportLatency(b, &a, &z, cost)
			}
		})
	}
}

// reportLatency reports both sides and the ratio that the target speaks of, with the measured cost of one signature and
// one verification taken off ours.
func reportLatency(b *testing.B, ours, raw *baseline.Latencies, cost signingCost) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ours.Count()), "deliveries")
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"max", 1}} {
		a, z := ours.Quantile(q.at), raw.Quantile(q.at)
		b.ReportMetric(micros(a), "conclave-"+q.name+"-µs")
		b.ReportMetric(micros(z), "raw-"+q.name+"-µs")
		b.ReportMetric(float64(a)/float64(z), q.name+"-ratio")
		b.ReportMetric(float64(a-cost.sign-cost.verify)/float64(z), q.name+"-ratio-less-signing")
	}
	b.ReportMetric(micros(cost.sign), "sign-µs")
	b.ReportMetric(micros(cost.verify), "verify-µs")
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func BenchmarkThroughput(b *testing.B) {
	roomy(b)
	const members, rounds, count = 3, 3, 15000
	ours, raw := newConclave(b, members), newRaw(b, members)
	for b.Loop() {
		var took [2]time.Duration
		side := func(n int, c chat, brake bool) func(int) error {
			return func(round int) error {
				d, err := plan{(round + 1) * count, count, members}.burst(b.Context(), c, brake)
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
