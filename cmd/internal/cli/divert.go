package cli

import (
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"sync/atomic"
)

// diversion is where log records go while something else has the terminal. Its zero value diverts nothing.
type diversion struct{ to atomic.Pointer[slog.Handler] }

// DivertLog sends what this process logs, the libraries' lines included, to h until back is called: a screen that has
// the terminal must not be written over. Where standard error is a file or a pipe it gets everything as before, too.
// h is called from many goroutines and must not block.
func (e *Env) DivertLog(h slog.Handler) (back func()) {
	e.diverted.to.Store(&h)
	standard := log.Writer()
	log.SetOutput(diverted{h}.writer(standard))
	return func() {
		log.SetOutput(standard)
		e.diverted.to.Store(nil)
	}
}

// divertible returns a handler that is h, and the diversion's beside or instead of it while there is one.
func (d *diversion) divertible(h slog.Handler, w io.Writer) slog.Handler {
	f, ok := w.(*os.File)
	return &divertible{Handler: h, d: d, instead: ok && IsTerminal(f), dress: func(h slog.Handler) slog.Handler { return h }}
}

type divertible struct {
	slog.Handler
	d       *diversion
	instead bool                            // a record that is diverted goes nowhere else
	dress   func(slog.Handler) slog.Handler // gives a handler the attributes and groups of this one
}

// Handle passes the record on.
func (h *divertible) Handle(ctx context.Context, r slog.Record) error {
	if to := h.d.to.Load(); to != nil {
		err := h.dress(*to).Handle(ctx, r.Clone())
		if h.instead {
			return err
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler with these attributes, which is diverted like this one.
func (h *divertible) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &divertible{h.Handler.WithAttrs(attrs), h.d, h.instead, func(to slog.Handler) slog.Handler { return h.dress(to).WithAttrs(attrs) }}
}

// WithGroup returns a handler with this group, which is diverted like this one.
func (h *divertible) WithGroup(name string) slog.Handler {
	return &divertible{h.Handler.WithGroup(name), h.d, h.instead, func(to slog.Handler) slog.Handler { return h.dress(to).WithGroup(name) }}
}

// diverted turns the lines of package log, which some libraries use, into records.
type diverted struct{ h slog.Handler }

func (d diverted) writer(w io.Writer) io.Writer {
	lines := slog.NewLogLogger(d.h, slog.LevelWarn).Writer()
	if f, ok := w.(*os.File); ok && IsTerminal(f) {
		return lines
	}
	return io.MultiWriter(w, lines)
}
