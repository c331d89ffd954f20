package relaynode

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceServesABurstTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b, start := newBell(), time.Now()
		var calls []time.Duration
		done := make(chan struct{})
		go func() {
			defer close(done)
			pace(ctx, b, 250*time.Millisecond, func() { calls = append(calls, time.Since(start)) })
		}()
		synctest.Wait()
		for range 100 {
			b.ring()
			synctest.Wait()
		}
		time.Sleep(time.Second)
		b.ring()
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
