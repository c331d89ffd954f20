package web

import (
	"errors"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLogKeepsWhatIsSaid(t *testing.T) {
	feed := NewFeed(10)
	l := NewLog(3, feed)
	log := slog.New(l.Handler(slog.LevelInfo)).With("a", 1)
	log.Debug("too quiet")
	log.WithGroup("g").With("b", 2).Warn("loud", "c", time.Second, slog.Group("h", "d", errors.New("bad")), "nothing", nil)
	lines := l.Lines()
	if len(lines) != 1 {
		t.Fatalf("it has %d lines", len(lines))
	}
	got := lines[0]
	want := []Attr{{"a", "1"}, {"g.b", "2"}, {"g.c", "1s"}, {"g.h.d", "bad"}}
	if got.Level != "warn" || got.Text != "loud" || got.Number != 1 || got.Time.IsZero() || !reflect.DeepEqual(got.Attrs, want) {
		t.Errorf("the line is %+v", got)
	}
	for range 10 {
		log.Error("again")
	}
	lines = l.Lines()
	if len(lines) != 3 || lines[2].Number != 11 || lines[0].Number != 9 || lines[0].Level != "error" {
		t.Errorf("then it has %+v", lines)
	}
	if !strings.HasSuffix(feed.Last(), "-11") {
		t.Errorf("published were %s", feed.Last())
	}
}

func TestLogIsBounded(t *testing.T) {
	l := NewLog(3, nil)
	log := slog.New(l.Handler(slog.LevelInfo))
	var many []any
	for range 2 * maxAttrs {
		many = append(many, "key", "value")
	}
	log.Info(strings.Repeat("가", maxLineText), many...)
	got := l.Lines()[0]
	if len(got.Text) > maxLineText+10 || !strings.HasSuffix(got.Text, "가 (cut)") || len(got.Attrs) != maxAttrs {
		t.Errorf("the line has %d bytes and %d values, and ends in %q", len(got.Text), len(got.Attrs), got.Text[len(got.Text)-12:])
	}
	for range 100 {
		log.Info("x")
	}
	if len(l.lines) > 6 || len(l.Lines()) != 3 {
		t.Errorf("it keeps %d lines, shows %d", len(l.lines), len(l.Lines()))
	}
}

func TestSecretIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window.key")
	first, err := LoadSecret(path)
	if err != nil || len(first) != 32 {
		t.Fatalf("got %d bytes, %v", len(first), err)
	}
	second, err := LoadSecret(path)
	if err != nil || string(second) != string(first) {
		t.Errorf("the second time it is another, %v", err)
	}
}
