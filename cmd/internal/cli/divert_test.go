package cli_test

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"conclave/cmd/internal/cli"
)

func TestLogsAreDiverted(t *testing.T) { // not parallel: package log has one writer
	var screen bytes.Buffer
	got := run(context.Background(), func(_ *cobra.Command, env *cli.Env) error {
		older := env.Log.With("part", "link").WithGroup("g")
		back := env.DivertLog(slog.NewTextHandler(&screen, nil))
		older.Warn("one", "n", 1)
		env.Log.Debug("not asked for")
		log.Print("two")
		back()
		older.Warn("three")
		return nil
	})
	for _, want := range []string{"level=WARN msg=one part=link g.n=1", " two\""} {
		if !strings.Contains(screen.String(), want) {
			t.Errorf("the screen got %q, want %q in it", screen.String(), want)
		}
	}
	for _, not := range []string{"three", "not asked for"} {
		if strings.Contains(screen.String(), not) {
			t.Errorf("the screen got %q, want no %q in it", screen.String(), not)
		}
	}
	for _, want := range []string{"msg=one part=link g.n=1", "three"} { // standard error is no terminal: it misses nothing
		if !strings.Contains(got.err, want) {
			t.Errorf("standard error got %q, want %q in it", got.err, want)
		}
	}
}
