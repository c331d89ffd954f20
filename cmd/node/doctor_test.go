package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestDoctor has the doctor look at a member while it runs, at one whose port is closed, and at one that is alone.
func TestDoctor(t *testing.T) {
	p := newPlace(t)
	a := p.start("A", "--ui", "json", "--stay")
	a.until("a link", func(lines []string) bool {
		for _, e := range events(lines, "link") {
			if e["state"] == "ready" {
				return true
			}
		}
		return false
	})
	beside := p.start("A", "doctor")
	if code := beside.wait(); code != 0 {
		t.Errorf("beside a member that runs: exit code %d\n%s\n%s", code, strings.Join(beside.all(), "\n"), beside.err.String())
	}
	for _, want := range []string{"ok    clock", "ok    transport", "ok    reservation", "skip  topic"} {
		if !strings.Contains(strings.Join(beside.all(), "\n"), want) {
			t.Errorf("%q is missing in\n%s", want, strings.Join(beside.all(), "\n"))
		}
	}

	closed := p.start("B", "doctor", "--relay", "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5", "--json")
	if code := closed.wait(); code != 1 {
		t.Errorf("with a closed port: exit code %d", code)
	}
	failed := ""
	for _, line := range closed.all() {
		var f struct{ Event, Hop, State, What, Hint string }
		if err := json.Unmarshal([]byte(line), &f); err != nil || f.Event != "finding" {
			t.Fatalf("%q is no finding: %v", line, err)
		}
		if f.State == "FAIL" {
			failed += f.Hop + ": " + f.What + " "
		}
	}
	if failed != "port: nothing listens on TCP port 1 of 127.0.0.1 " {
		t.Errorf("failed: %q", failed)
	}
	if got := closed.err.String(); !strings.Contains(got, "node: error: broken: port\nhint: ") {
		t.Errorf("stderr is %q", got)
	}
}
