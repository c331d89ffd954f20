package cli

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// hangup is what SIGHUP does: it ends a command, as when its terminal is closed, unless the command asks to be told instead.
type hangup struct {
	mu   sync.Mutex
	wake chan struct{} // nil: it ends the command; guarded by mu
}

// newHangup has SIGHUP call end from now on, until the command asks to be told. It also has a write to a pipe that nobody
// reads any more fail, instead of killing the process: who reads a log must not decide how long a relay node lives.
func newHangup(end context.CancelFunc) *hangup {
	h := new(hangup)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // nobody receives: the write's own error tells
	go func() {
		for range signals {
			if !h.tell() {
				end()
			}
		}
	}()
	return h
}

// tell tells the command, if it asked to be told.
func (h *hangup) tell() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wake == nil {
		return false
	}
	select {
	case h.wake <- struct{}{}:
	default: // it will look
	}
	return true
}

// Hangups returns a channel on which the command is told of each SIGHUP, which does not end it from now on.
func (e *Env) Hangups() <-chan struct{} {
	h := e.hangup
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wake == nil {
		h.wake = make(chan struct{}, 1)
	}
	return h.wake
}
