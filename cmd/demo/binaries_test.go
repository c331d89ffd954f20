package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestBinariesBesideTheDemo: the commands are found beside the demo whatever all of them are prefixed with, and the demo is
// never taken for one of them.
func TestBinariesBesideTheDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"conclave-demo", "conclave-ca", "conclave-relay", "conclave-node", "chat"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"conclave-demo": true, "demo": false, "chat": false, "conclave-demo-2": false} {
		if got := allBeside(filepath.Join(dir, name)); got != want {
			t.Errorf("beside %s: %v", name, got)
		}
	}
}
