package cli

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/lmittmann/tint"
)

// TestAttackEscapesInTheLog has a peer's words, with what a terminal obeys, reach a log that a person reads on a terminal.
func TestAttackEscapesInTheLog(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;owned\x07\x1b[2J\rall is well\u202e"
	for name, log := range map[string]func(*slog.Logger){
		"message":   func(l *slog.Logger) { l.Warn(evil) },
		"string":    func(l *slog.Logger) { l.Warn("refused", "text", evil) },
		"error":     func(l *slog.Logger) { l.Warn("refused", "err", errors.New(evil)) },
		"value":     func(l *slog.Logger) { l.Warn("refused", "list", []string{evil}) },
		"key":       func(l *slog.Logger) { l.Warn("refused", evil, 1) },
		"attribute": func(l *slog.Logger) { l.With("peer", evil).Warn("refused") },
		"group":     func(l *slog.Logger) { l.WithGroup(evil).Warn("refused", slog.Group("of", "text", evil)) },
	} {
		var out bytes.Buffer
		onTerminal := tint.NewTextHandler(&out, &tint.Options{NoColor: true})
		log(slog.New(inertHandler{onTerminal}))
		if strings.ContainsAny(out.String(), "\x1b\x07\r\u202e") {
			t.Errorf("%s: the terminal is sent %q", name, out.String())
		}
		if !strings.Contains(out.String(), "owned") {
			t.Errorf("%s: the words are gone: %q", name, out.String())
		}
	}
	var out bytes.Buffer
	slog.New(inertHandler{slog.NewTextHandler(&out, nil)}).Info("plain", "n", 1, "d", time.Second, "err", errors.New("no"), "bytes", []byte("ab"))
	if !strings.Contains(out.String(), "msg=plain n=1 d=1s err=no bytes=\"ab\"") {
		t.Errorf("what is harmless is changed: %q", out.String())
	}
}
