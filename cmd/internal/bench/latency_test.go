package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"conclave/internal/baseline"
)

// roomy gives the benchmark four of Go's processors for each core, for all sides. The members here share one process, and each
// of theirs keeps a processor while it waits for the disk: as separate processes they would not be in each other's way. More
// do not help, not even 24 members with 24 disks: p99 stays as it is, and every hand-over from one goroutine to another gets
// dearer, as idle processors look for work.
func roomy(b *testing.B) {
	before := runtime.GOMAXPROCS(4 * runtime.NumCPU())
	b.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// apart has the members' one heap collected as often as heaps of their own would be, for all sides: a member has about
// 1 MiB in use, and the runtime lets every process come to 4 MiB before it collects. A collection holds up whoever shares
// the heap, which separate processes do not.
func apart(b *testing.B) {
	before := debug.SetGCPercent(400)
	b.Cleanup(func() { debug.SetGCPercent(before) })
}

// BenchmarkLatency reports each side's quantiles over all deliveries, and once more, as quiet, over those of the texts that
// met no slow processor on their way: the others say more about the machine than about the side. All sides are there all the
// time and talk in turns of a second or two: on a shared machine the same side's p50 differs by a fifth from one minute to the
// next, so sides that are measured a minute apart cannot be compared.
func BenchmarkLatency(b *testing.B) {
	const gap = 20 * time.Millisecond
	sides := []side{ours, plain, newSigned, newFloor}
	for _, c := range []struct{ members, rounds, first, count int }{{3, 30, 21, 60}, {24, 30, 24, 48}} {
		b.Run(fmt.Sprintf("members=%d", c.members), func(b *testing.B) {
			roomy(b)
			apart(b)
			for b.Loop() {
				var chats []chat
				for _, begin := range sides {
					chats = append(chats, begin(b, c.members))
				}
				var all [4]outcome
				for round := range c.rounds + 1 { // the first is not counted: queues, maps and the heap grow
					for i := range chats {
						n := (round + i) % len(chats) // none always comes after the same one
						into := &all[n]
						if round == 0 {
							into = new(outcome)
						}
						begin := round * (c.first + c.count)
						if err := into.turn(b.Context(), chats[n], plan{begin, c.first, c.members}, plan{begin + c.first, c.count, c.members}, gap); err != nil {
							b.Fatal(err)
						}
					}
				}
				for _, chat := range chats {
					if err := chat.close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(all[0].all.Count()), "deliveries")
				reportLatency(b, "", &all[0].all, &all[1].all, &all[2].all, &all[3].all)
				reportSpread(b, "p50-ratio", all[0].medians, all[1].medians, all[2].medians)
				reportSpread(b, "p50-floor", all[3].medians, all[1].medians, all[2].medians)
				if all[0].quiet.Count() > 0 {
					b.ReportMetric(100*all[0].slowShare(), "conclave-slow-%")
					b.ReportMetric(100*all[1].slowShare(), "raw-slow-%")
					reportLatency(b, "quiet-", &all[0].quiet, &all[1].quiet, &all[2].quiet, &all[3].quiet)
				}
				checkSlowest(b, &all[0].all, &all[1].all)
			}
		})
	}
}

// outcome is what one side's turns brought.
type outcome struct {
	all, quiet baseline.Latencies // quiet: without the texts that met a slow processor; empty where nobody may watch
	medians    []time.Duration    // of each turn
}

// turn sends the texts of first and then those of counted, whose deliveries it adds. No collection of the heap that all sides
// share falls into it, and nothing of it is under way when it ends.
func (o *outcome) turn(ctx context.Context, c chat, first, counted plan, gap time.Duration) error {
	runtime.GC()
	if _, err := first.paced(ctx, c, gap); err != nil {
		return err
	}
	end := steady()
	journeys, err := counted.paced(ctx, c, gap)
	var slow slowTimes
	if end != nil {
		slow = end()
	}
	if err != nil {
		return err
	}
	var turn baseline.Latencies
	turn.Add(latencies(journeys)...)
	o.medians = append(o.medians, turn.Quantile(0.5))
	o.all.Add(latencies(journeys)...)
	for _, j := range journeys {
		if end != nil && !slow.touch(j.sent, j.arrived()) {
			o.quiet.Add(j.took...)
		}
	}
	return c.settle(ctx)
}

// slowShare is the share of deliveries that quiet leaves out.
func (o *outcome) slowShare() float64 { return 1 - float64(o.quiet.Count())/float64(o.all.Count()) }

// slowest is what no delivery may take.
const slowest = 500 * time.Millisecond

// reportLatency reports all sides and the ratio that the target speaks of: ours, less what signing and verifying add to
// the baseline, to the baseline. The same ratio of the floor stands beside it: on one machine all members' work is done by the
// same few processors and disks, and the last of them waits for that of all.
func reportLatency(b *testing.B, prefix string, ours, raw, signed, floor *baseline.Latencies) {
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}} {
		report := func(what string, value float64) { b.ReportMetric(value, prefix+what) }
		a, z, s := ours.Quantile(q.at), raw.Quantile(q.at), signed.Quantile(q.at)
		report("conclave-"+q.name+"-µs", micros(a))
		report("raw-"+q.name+"-µs", micros(z))
		report("signed-"+q.name+"-µs", micros(s))
		report("floor-"+q.name+"-µs", micros(floor.Quantile(q.at)))
		report(q.name+"-ratio", float64(a)/float64(z))
		less := func(d time.Duration) float64 { return float64(d-max(s-z, 0)) / float64(z) }
		report(q.name+"-ratio-less-signing", less(a))
		report(q.name+"-floor-less-signing", less(floor.Quantile(q.at)))
		report(q.name+"-times-floor", float64(a)/float64(floor.Quantile(q.at)))
	}
}

// reportSpread reports how sure a ratio of p50s is: the standard error of the mean of the turns' ratios, and that mean.
func reportSpread(b *testing.B, what string, ours, raw, signed []time.Duration) {
	var sum, squares float64
	n := float64(len(raw))
	for i, z := range raw {
		r := float64(ours[i]-max(signed[i]-z, 0)) / float64(z)
		sum += r
		squares += r * r
	}
	mean := sum / n
	b.ReportMetric(mean, what+"-less-signing-of-turns")
	b.ReportMetric(math.Sqrt(max(squares/n-mean*mean, 0)/(n-1)), what+"-less-signing-±")
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
			roomy(b)
			for b.Loop() {
				var a, z baseline.Latencies
				turn := func(begin side, into *baseline.Latencies) error {
					return alone(b, members, begin, func(c chat) error {
						journeys, err := plan{0, hubMessages, members}.paced(b.Context(), c, gap)
						into.Add(latencies(journeys)...)
						return err
					})
				}
				if err := errors.Join(turn(ours, &a), turn(plain, &z)); err != nil {
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
	const members, turns, rounds, count = 3, 3, 3, 30000
	roomy(b)
	for b.Loop() {
		var took [2]time.Duration
		turn := func(n int, begin side, brake bool) func(int) error {
			return func(int) error {
				return alone(b, members, begin, func(c chat) error {
					d, err := bursts(b.Context(), c, rounds, count, brake)
					took[n] += d
					return err
				})
			}
		}
		if err := baseline.Interleave(turns, turn(0, ours, false), turn(1, plain, true)); err != nil {
			b.Fatal(err)
		}
		deliveries := float64(turns * rounds * count * (members - 1))
		a, z := deliveries/took[0].Seconds(), deliveries/took[1].Seconds()
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(a, "conclave-deliveries/s")
		b.ReportMetric(z, "raw-deliveries/s")
		b.ReportMetric(a/z, "times-raw")
	}
}

// bursts has all members send as fast as they can and returns how long that many rounds took. One more comes first and is
// not counted: queues, maps and the heap grow to the size that they keep.
func bursts(ctx context.Context, c chat, rounds, count int, brake bool) (took time.Duration, err error) {
	for round := range rounds + 1 {
		d, err := plan{round * count, count, c.size()}.burst(ctx, c, brake)
		if err != nil {
			return 0, err
		}
		if round > 0 {
			took += d
		}
	}
	return took, nil
}
