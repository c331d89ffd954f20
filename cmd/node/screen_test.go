package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"conclave/cmd/internal/cli"
)

// TestScreenNeedsATerminal runs the command where there is none. What it shows on one is tested with the screen itself.
func TestScreenNeedsATerminal(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var out, errs bytes.Buffer
	code := cli.Run(context.Background(), "node", newCommand(), []string{"--ui", "tui", "--home", t.TempDir()}, cli.Stdio{In: null, Out: &out, Err: &errs})
	if code != 2 || out.Len() > 0 || !strings.HasPrefix(errs.String(), "node: error: --ui tui needs a terminal\nhint: ") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out.String(), errs.String())
	}
	for _, ui := range []string{"auto", "plain", "json"} {
		if screen, err := wantsScreen(&cli.Env{Stdio: cli.Stdio{In: null, Out: &out}}, flags{ui: ui}); screen || err != nil {
			t.Errorf("--ui %s without a terminal: %v, %v", ui, screen, err)
		}
	}
}
