package backoff

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestWaitDoubles(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		first, most time.Duration
		failures    int
		want        time.Duration
	}{
		{s, 10 * s, 0, s},
		{s, 10 * s, 1, 2 * s},
		{s, 10 * s, 3, 8 * s},
		{s, 10 * s, 4, 10 * s},
		{s, 8 * s, 3, 8 * s},
		{s, 8*s - 1, 3, 8*s - 1},
		{s, 10 * s, -1, s},
		{10 * s, s, 0, s},
		{s, math.MaxInt64, 33, s << 33},
		{s, math.MaxInt64, 34, math.MaxInt64},
		{s, 10 * s, 63, 10 * s},
		{s, 10 * s, 64, 10 * s},
		{s, 10 * s, math.MaxInt, 10 * s},
		{1, math.MaxInt64, 62, 1 << 62},
		{1, math.MaxInt64, 63, math.MaxInt64},
		{0, s, 5, 0},
		{0, s, math.MaxInt, 0},
	} {
		if got := Wait(c.first, c.most, c.failures); got != c.want {
			t.Errorf("Wait(%s, %s, %d) = %s, want %s", c.first, c.most, c.failures, got, c.want)
		}
	}
}

func TestWaitNeverShrinks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		first, most := time.Duration(1+r.Int64N(math.MaxInt64)>>r.IntN(62)), time.Duration(1+r.Int64N(math.MaxInt64)>>r.IntN(62))
		last := time.Duration(0)
		for failures := range 100 {
			d := Wait(first, most, failures)
			if d < last || d > most || d < min(first, most) {
				t.Fatalf("Wait(%d, %d, %d) = %d after %d", first, most, failures, d, last)
			}
			last = d
		}
		if last != most {
			t.Fatalf("Wait(%d, %d, 99) = %d, not the longest", first, most, last)
		}
	}
}

func TestJitterStaysBetweenHalfAndAll(t *testing.T) {
	least := func(time.Duration) time.Duration { return 0 }
	greatest := func(n time.Duration) time.Duration { return n - 1 }
	for _, d := range []time.Duration{0, 1, 2, 3, time.Second, time.Second + 1, math.MaxInt64} {
		if got := Jitter(d, least); got != d/2 {
			t.Errorf("the shortest for %d is %d", d, got)
		}
		if got := Jitter(d, greatest); got > d || got < d-1 {
			t.Errorf("the longest for %d is %d", d, got)
		}
		if got := Jitter(d, rand.N[time.Duration]); got < d/2 || got > d {
			t.Errorf("%d became %d", d, got)
		}
	}
}
