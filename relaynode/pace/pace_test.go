package pace

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestEveryServesABurstTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b, start := NewBell(), time.Now()
		var calls []time.Duration
		done := make(chan struct{})
		go func() {
			defer close(done)
			Every(ctx, b, 250*time.Millisecond, func() { calls = append(calls, time.Since(start)) })
		}()
		synctest.Wait()
		for range 100 {
			b.Ring()
			synctest.Wait()
		}
		time.Sleep(time.Second)
		b.Ring()
		synctest.Wait()
		cancel()
		<-done
		want := []time.Duration{0, 250 * time.Millisecond, time.Second}
		if len(calls) != len(want) {
			t.Fatalf("called at %v, want %v", calls, want)
		}
		for i := range want {
			if calls[i] != want[i] {
				t.Errorf("call %d at %v, want %v", i, calls[i], want[i])
			}
		}
	})
}

// TestCalm has a report wait for a pause between rings, but not for ever.
func TestCalm(t *testing.T) {
	const pause, latest = 250 * time.Millisecond, time.Second
	for name, test := range map[string]struct {
		rings int // one each 100 ms
		want  time.Duration
	}{
		"no further ring":     {0, pause},
		"a ring in between":   {1, 100*time.Millisecond + pause},
		"some rings":          {5, 500*time.Millisecond + pause},
		"no end of the rings": {1000, latest},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			b, began := NewBell(), time.Now()
			go func() {
				for range test.rings {
					select {
					case <-time.After(100 * time.Millisecond):
						b.Ring()
					case <-ctx.Done():
						return
					}
				}
			}()
			if ok, took := Calm(ctx, b, pause, latest), time.Since(began); !ok || took != test.want {
				t.Errorf("%s: calm after %v (%v), want %v", name, took, ok, test.want)
			}
			cancel()
			if Calm(ctx, NewBell(), time.Hour, time.Hour) {
				t.Errorf("%s: calm though the context has ended", name)
			}
			synctest.Wait()
		})
	}
}
