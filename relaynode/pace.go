package relaynode

import (
	"context"
	"time"
)

// bell is a signal that many may ring and one waits for; rings that come together are one.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

// ring wakes the one who waits, now or at his next wait. It never blocks.
func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// pace calls do after each ring, but never more often than once in every: the first of a burst is served at once and the
// rest of it together when the time is over. It returns when ctx ends.
func pace(ctx context.Context, b bell, every time.Duration, do func()) {
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

// calm returns once b has not rung for pause, and after latest even if it goes on ringing. It reports false when ctx ends first.
func calm(ctx context.Context, b bell, pause, latest time.Duration) bool {
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
