package bench

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conclave/overlay/baseline"
)

const (
	payload = 256 // bytes of every text
	gap     = 20 * time.Millisecond
	patient = time.Minute // for anything that should take a second
)

// chat is what both sides of a comparison can do: some members around one hub.
type chat interface {
	size() int
	send(ctx context.Context, from int, text string) error
	// receive returns the next text of another member that reaches this one.
	receive(ctx context.Context, member int) (string, error)
	close() error
}

// text makes the i-th text: its number in hex, filled up to the payload's size.
func text(i int) string {
	var data [payload / 2]byte
	binary.BigEndian.PutUint64(data[:], uint64(i))
	return hex.EncodeToString(data[:])
}

// index is the number of a text, or -1.
func index(text string) int {
	if len(text) != payload {
		return -1
	}
	data, err := hex.DecodeString(text[:16])
	if err != nil {
		return -1
	}
	return int(binary.BigEndian.Uint64(data))
}

// watch receives at every member until each has count texts of others, and calls seen for each delivery. Every member
// must receive each text exactly once.
func watch(ctx context.Context, c chat, first, count int, seen func(member, index int)) error {
	var group sync.WaitGroup
	errs := make([]error, c.size())
	for member := range c.size() {
		group.Go(func() {
			got := make(map[int]bool)
			for i := range count {
				if i%c.size() == member {
					got[first+i] = true // its own
				}
			}
			for len(got) < count {
				s, err := c.receive(ctx, member)
				if err != nil {
					errs[member] = fmt.Errorf("member %d has %d of %d texts: %w", member, len(got), count, err)
					return
				}
				i := index(s)
				if i < first || i >= first+count {
					continue // of an earlier round
				}
				if got[i] {
					errs[member] = fmt.Errorf("member %d got text %d twice", member, i)
					return
				}
				got[i] = true
				seen(member, i)
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// latencies sends count texts, one after each gap and each from the next member, and records every delivery.
func latencies(ctx context.Context, c chat, first, count int, into *baseline.Latencies) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	sent := make([]atomic.Int64, count)
	start := time.Now()
	result := make(chan error, 1)
	go func() {
		result <- watch(ctx, c, first, count, func(_, i int) {
			into.Add(time.Since(start) - time.Duration(sent[i-first].Load()))
		})
	}()
	tick := time.NewTicker(gap)
	defer tick.Stop()
	for i := range count {
		<-tick.C
		sent[i].Store(int64(time.Since(start)))
		if err := c.send(ctx, i%c.size(), text(first+i)); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
	}
	return <-result
}

func BenchmarkLatency(b *testing.B) {
	for _, members := range []int{3, 24} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			ours, raw := newConclave(b, members), newRaw(b, members)
			const rounds, count = 5, 60
			signing := measureSigning(b)
			for b.Loop() {
				var a, z baseline.Latencies
				sides := []chat{ours, raw}
				for i, into := range []*baseline.Latencies{new(baseline.Latencies), new(baseline.Latencies)} { // warm
					if err := latencies(b.Context(), sides[i], 0, members, into); err != nil {
						b.Fatal(err)
					}
				}
				side := func(c chat, into *baseline.Latencies) func(int) error {
					return func(round int) error { return latencies(b.Context(), c, 1000*(round+1), count, into) }
				}
				if err := baseline.Interleave(rounds, side(ours, &a), side(raw, &z)); err != nil {
					b.Fatal(err)
				}
				reportLatency(b, members, &a, &z, signing)
			}
		})
	}
}

// reportLatency reports both sides and the ratio that the target speaks of: with the measured cost of signing taken off.
// A text is signed once and verified by each recipient; here all of them share this machine's cores.
func reportLatency(b *testing.B, members int, ours, raw *baseline.Latencies, cost signingCost) {
	b.ReportMetric(0, "ns/op")
	crypto := cost.sign + cost.verify
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"max", 1}} {
		a, z := ours.Quantile(q.at), raw.Quantile(q.at)
		b.ReportMetric(micros(a), "conclave-"+q.name+"-µs")
		b.ReportMetric(micros(z), "raw-"+q.name+"-µs")
		b.ReportMetric(float64(a)/float64(z), q.name+"-ratio")
		if q.at < 1 {
			b.ReportMetric(float64(a-crypto)/float64(z), q.name+"-ratio-less-signing")
		}
	}
	b.ReportMetric(micros(cost.sign), "sign-µs")
	b.ReportMetric(micros(cost.verify), "verify-µs")
	if worst := ours.Quantile(1); worst > 500*time.Millisecond {
		b.Errorf("a delivery took %v; none may take over 500 ms", worst)
	}
	if want := 5 * 60 * (members - 1); ours.Count() != want || raw.Count() != want {
		b.Errorf("%d and %d deliveries, want %d", ours.Count(), raw.Count(), want)
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
