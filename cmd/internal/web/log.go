package web

import (
	"context"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"
)

// Line is one line of a log, as a page shows it.
type Line struct {
	Number uint64    `json:"number"` // grows by one with each
	Time   time.Time `json:"time"`
	Level  string    `json:"level"` // debug, info, warn or error
	Text   string    `json:"text"`
	Attrs  []Attr    `json:"attrs,omitempty"`
}

// Attr is one of the values that a line comes with.
type Attr struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Implementation constants of a Log: longer texts are cut, more values are left out.
const (
	maxLineText = 2 << 10
	maxAttrs    = 24
)

// Log keeps the latest lines of a process's log for its window and publishes each, under the name "line". Its Handler
// stands beside the one that writes to the console (slog.NewMultiHandler).
type Log struct {
	feed *Feed
	keep int

	mu    sync.Mutex
	last  uint64 // guarded by mu
	lines []Line // guarded by mu; oldest first, up to twice as many as are kept
}

// NewLog returns a Log that keeps so many lines and publishes each on feed. A nil feed is told nothing.
func NewLog(keep int, feed *Feed) *Log { return &Log{feed: feed, keep: max(1, keep)} }

// Lines returns the latest lines, oldest first.
func (l *Log) Lines() []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Line(nil), l.lines[max(0, len(l.lines)-l.keep):]...)
}

// Handler returns a handler that takes lines from a level on.
func (l *Log) Handler(level slog.Leveler) slog.Handler { return &logHandler{log: l, level: level} }

// add keeps and publishes a line. Both happen under one lock, so that a state that was read with Lines after Feed.Last
// lacks nothing.
func (l *Log) add(line Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	line.Number = l.last
	if len(l.lines) >= 2*l.keep {
		l.lines = append(make([]Line, 0, 2*l.keep), l.lines[l.keep:]...)
	}
	l.lines = append(l.lines, line)
	if l.feed != nil {
		_ = l.feed.Publish("line", line) // a Line is always JSON
	}
}

// logHandler is a slog.Handler; groups become prefixes.
type logHandler struct {
	log    *Log
	level  slog.Leveler
	attrs  []Attr
	prefix string
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	line := Line{Time: r.Time, Level: levelName(r.Level), Text: cut(r.Message), Attrs: append([]Attr(nil), h.attrs...)}
	r.Attrs(func(a slog.Attr) bool {
		line.Attrs = flatten(line.Attrs, h.prefix, a)
		return true
	})
	h.log.add(line)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = append([]Attr(nil), h.attrs...)
	for _, a := range attrs {
		next.attrs = flatten(next.attrs, h.prefix, a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	next := *h
	if name != "" {
		next.prefix += name + "."
	}
	return &next
}

// flatten appends a value, or those of a group.
func flatten(to []Attr, prefix string, a slog.Attr) []Attr {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			to = flatten(to, prefix, inner)
		}
		return to
	}
	if a.Equal(slog.Attr{}) || len(to) >= maxAttrs || v.Kind() == slog.KindAny && v.Any() == nil {
		return to
	}
	return append(to, Attr{Key: cut(prefix + a.Key), Value: cut(v.String())})
}

// cut shortens a text to what a line may hold, at a character's edge.
func cut(s string) string {
	if len(s) <= maxLineText {
		return s
	}
	n := maxLineText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + " (cut)"
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}
