package clock_test

import (
	"testing"
	"time"

	"conclave/node/keyagreement/clock"
)

func TestTimer(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1000, 0)
	c, timer := clock.Clock{Now: begin}, clock.Timer{}
	if c.Due(&timer, time.Second, time.Minute) || !c.Wake.IsZero() {
		t.Fatal("a timer that was never set is due")
	}
	timer.Reset(begin.Add(time.Second))
	if c.Due(&timer, time.Second, time.Minute) || !c.Wake.Equal(timer.At) {
		t.Fatalf("due too early, or no step asked for: %v", c.Wake)
	}
	var waits []time.Duration
	for range 4 {
		c.Now = timer.At
		if !c.Due(&timer, time.Second, 3*time.Second) {
			t.Fatal("not due")
		}
		waits = append(waits, timer.At.Sub(c.Now))
	}
	for i, want := range []time.Duration{1, 2, 3, 3} {
		if waits[i] != want*time.Second {
			t.Errorf("wait %d is %v", i, waits[i])
		}
	}
	if timer.Stop(); c.Due(&timer, time.Second, time.Second) {
		t.Error("due though it was stopped")
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	c := clock.Clock{Now: time.Unix(1000, 0)}
	if !c.Allow("a", time.Second) || c.Allow("a", time.Second) || !c.Allow("b", time.Second) {
		t.Error("once in each span, for each name")
	}
	if c.Now = c.Now.Add(time.Second); !c.Allow("a", time.Second) {
		t.Error("not again after the span")
	}
	if c.Now = c.Now.Add(-time.Hour); !c.Allow("a", time.Second) {
		t.Error("a clock that was set back forbids it for an hour")
	}
	if c.Forget(); !c.Allow("a", time.Hour) {
		t.Error("remembered though it was to be forgotten")
	}
}
