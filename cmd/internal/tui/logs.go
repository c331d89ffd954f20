package tui

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// maxLogs is how many log lines wait for the screen; the oldest are dropped, and counted.
const maxLogs = 1000

// logLine is one record of the log.
type logLine struct {
	at    time.Time
	level slog.Level
	text  string
}

// Logs is a slog.Handler whose records the screen shows. It never blocks.
type Logs struct {
	*logCore
	attrs slog.Handler // writes a record's attributes to logCore.buf
}

// logCore is shared by the handlers that With makes.
type logCore struct {
	wake chan struct{} // holds one token while lines may be waiting

	mu      sync.Mutex
	buf     bytes.Buffer
	lines   []logLine
	dropped int
}

// NewLogs returns an empty Logs.
func NewLogs() *Logs {
	core := &logCore{wake: make(chan struct{}, 1)}
	return &Logs{core, slog.NewTextHandler(&core.buf, &slog.HandlerOptions{Level: slog.Level(-128), ReplaceAttr: onlyAttributes})}
}

// onlyAttributes leaves out what a logLine says by itself.
func onlyAttributes(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}

// Enabled reports true: what is worth logging was decided before.
func (l *Logs) Enabled(context.Context, slog.Level) bool { return true }

// Handle keeps the record for the screen.
func (l *Logs) Handle(ctx context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
	if err := l.attrs.Handle(ctx, r); err != nil {
		return err
	}
	if len(l.lines) >= maxLogs {
		l.lines = l.lines[1:]
		l.dropped++
	}
	l.lines = append(l.lines, logLine{r.Time, r.Level, strings.TrimSpace(r.Message + "  " + l.buf.String())})
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// WithAttrs returns a handler that adds these attributes.
func (l *Logs) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Logs{l.logCore, l.attrs.WithAttrs(attrs)}
}

// WithGroup returns a handler that puts attributes into this group.
func (l *Logs) WithGroup(name string) slog.Handler { return &Logs{l.logCore, l.attrs.WithGroup(name)} }

// take returns what waits.
func (l *logCore) take() (lines []logLine, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines, dropped = l.lines, l.dropped
	l.lines, l.dropped = nil, 0
	return lines, dropped
}

// pump hands over what is logged until ctx ends.
func (l *logCore) pump(ctx context.Context, send func([]logLine)) {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		lines, dropped := l.take()
		if dropped > 0 {
			lines = append(lines, logLine{lines[0].at, slog.LevelWarn, "log lines came too fast: some were dropped"})
		}
		if len(lines) > 0 {
			send(lines)
		}
	}
}
