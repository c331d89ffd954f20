package relaynode

import (
	"context"
	"sync"
)

// lifetime begins with New and ends with Close.
type lifetime struct {
	ctx  context.Context // ends when Close begins
	stop context.CancelCauseFunc

	mu      sync.Mutex     // guards closed, and loops.Add against loops.Wait
	closed  bool           // guarded by mu
	loops   sync.WaitGroup // Run
	closing sync.Once
	err     error // of closing; set before closing is done
}

// begin is called once, by New.
func (l *lifetime) begin() { l.ctx, l.stop = context.WithCancelCause(context.Background()) }

// enter begins a loop, for whose leave end waits. It reports false when end was called before.
func (l *lifetime) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.loops.Add(1)
	}
	return !l.closed
}

func (l *lifetime) leave() { l.loops.Done() }

// end ends the loops and then closes, once. It returns what closing returned.
func (l *lifetime) end(closing func() error) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.stop(ErrClosed)
	l.loops.Wait()
	l.closing.Do(func() { l.err = closing() })
	return l.err
}
