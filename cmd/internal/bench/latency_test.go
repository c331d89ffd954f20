package bench

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"conclave/overlay/baseline"
)

// roomy gives the benchmark two of Go's processors for each member and the hub, and at least four for each core, for all
// sides. The members here share one process, and each of theirs keeps a processor for up to 10 ms while it waits for the
// disk: as separate processes they would not be in each other's way.
func roomy(b *testing.B, members int) {
	before := runtime.GOMAXPROCS(max(4*runtime.NumCPU(), 2*(members+1)))
	b.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func BenchmarkLatency(b *testing.B) {
	const rounds, count, gap = 5, 72, 20 * time.Millisecond
	for _, members := range []int{3, 24} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			roomy(b, members)
			sides := []chat{newConclave(b, members), newRaw(b, members), newSigned(b, members), newKept(b, members)}
			for b.Loop() {
				var all [4]baseline.Latencies
				turns := func(warm bool) (turns []func(int) error) {
					for n, c := range sides {
						turns = append(turns, func(round int) error {
							into, first := &all[n], (round+1)*count
							if warm {
								into, first = new(baseline.Latencies), 0
							}
							return plan{first, count, members}.paced(b.Context(), c, gap, into)
						})
					}
					return turns
				}
				if err := baseline.Interleave(1, turns(true)...); err != nil {
					b.Fatal(err)
				}
				if err := baseline.Interleave(rounds, turns(false)...); err != nil {
					b.Fatal(err)
				}
				reportLatency(b, &all[0], &all[1], &all[2], &all[3])
			}
		})
	}
}

// slowest is what no delivery may take.
const slowest = 500 * time.Millisecond

// reportLatency reports all sides and the ratio that the target speaks of: ours, less what signing and verifying add to
// the baseline, to the baseline. What the baseline takes when it also keeps every message, as it would have to, stands beside
// it: on one machine all members' disks are one.
func reportLatency(b *testing.B, ours, raw, signed, kept *baseline.Latencies) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ours.Count()), "deliveries")
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"max", 1}} {
		a, z, s := ours.Quantile(q.at), raw.Quantile(q.at), signed.Quantile(q.at)
		b.ReportMetric(micros(a), "conclave-"+q.name+"-µs")
		b.ReportMetric(micros(z), "raw-"+q.name+"-µs")
		b.ReportMetric(micros(s), "signed-"+q.name+"-µs")
		b.ReportMetric(micros(kept.Quantile(q.at)), "kept-"+q.name+"-µs")
		b.ReportMetric(float64(a)/float64(z), q.name+"-ratio")
		b.ReportMetric(float64(a-max(s-z, 0))/float64(z), q.name+"-ratio-less-signing")
		b.ReportMetric(float64(a)/float64(kept.Quantile(q.at)), q.name+"-times-kept")
	}
	checkSlowest(b, ours, raw)
}

// checkSlowest fails when a delivery took too long. What a benchmark that fails would report is lost, so this says it.
func checkSlowest(b *testing.B, ours, raw *baseline.Latencies) {
	if worst := ours.Quantile(1); worst > slowest {
		b.Errorf("a delivery took %v; none may take over %v (p50 %v, p99 %v; raw %v, %v, %v)", worst, slowest,
			ours.Quantile(0.5), ours.Quantile(0.99), raw.Quantile(0.5), raw.Quantile(0.99), raw.Quantile(1))
	}
}

// BenchmarkHub sends 20 messages a second through one relay node for half a minute, and as many through the baseline's
// hub: no delivery takes over half a second.
func BenchmarkHub(b *testing.B) {
	const gap = 50 * time.Millisecond
	for _, members := range []int{fewMembers, manyMembers} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			roomy(b, fewMembers) // a hundred have their state in memory
			ours, raw := newConclave(b, members), newRaw(b, members)
			for b.Loop() {
				var a, z baseline.Latencies
				p := plan{0, hubMessages, members}
				if err := errors.Join(p.paced(b.Context(), ours, gap, &a), p.paced(b.Context(), raw, gap, &z)); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(a.Count()), "deliveries")
				for name, at := range map[string]float64{"p50": 0.5, "p99": 0.99, "max": 1} {
					b.ReportMetric(micros(a.Quantile(at)), "conclave-"+name+"-µs")
					b.ReportMetric(micros(z.Quantile(at)), "raw-"+name+"-µs")
				}
				checkSlowest(b, &a, &z)
			}
		})
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func BenchmarkThroughput(b *testing.B) {
	const members, rounds, count = 3, 3, 15000
	roomy(b, members)
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
