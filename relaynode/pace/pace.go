package pace

import (
	"context"
	"time"
)

// Signal is a signal that many may ring and one waits for; rings that come together are one.
type Signal chan struct{}

// NewBell returns a bell that nobody rang yet.
func NewBell() Signal { return make(Signal, 1) }

// Ring wakes the one who waits, now or at his next wait. It never blocks.
func (b Signal) Ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// Every calls do after each ring, but never more often than once in every: the first of a burst is served at once and the
// rest of it together when the time is over. It returns when ctx ends.
func Every(ctx context.Context, b Signal, every time.Duration, do func()) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b:
		}
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
		select {
		case <-b: // rung while we rested: what follows serves it too
		default:
		}
		do()
		rest.Reset(every)
	}
}

// Calm returns once b has not rung for pause, and after latest even if it goes on ringing. It reports false when ctx ends first.
func Calm(ctx context.Context, b Signal, pause, latest time.Duration) bool {
	quiet, end := time.NewTimer(pause), time.NewTimer(latest)
	defer quiet.Stop()
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-quiet.C:
			return true
		case <-end.C:
			return true
		case <-b:
			quiet.Reset(pause)
		}
	}
}
