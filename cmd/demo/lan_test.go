//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
)

// TestWithoutRelayNode has A, B and C find each other: three addresses, a key of all, and B reads what it missed though
// no relay node kept it.
func TestWithoutRelayNode(t *testing.T) {
	t.Parallel()
	s := playBuilt(t, "--open", "never", "--lan")
	for _, name := range roles {
		if line := s.await(""); !strings.HasPrefix(line, name+"  http://127.0.0.1:") {
			t.Errorf("%q is not the address of %s's window", line, name)
		}
	}
	s.await("Final session key Kabc = ")
	if n := len(s.running()); n != 3 {
		t.Errorf("%d processes run, want 3", n)
	}
	s.say("A: hello")
	both := s.await("") + "|" + s.await("")
	if both != "B <- A: hello|C <- A: hello" && both != "C <- A: hello|B <- A: hello" {
		t.Errorf("received %q", both)
	}
	s.say("stop B")
	s.awaitRunning(2)
	s.say("restart relay") // warned about, no more: there is none
	s.say("A: while B is away")
	s.await("C <- A: while B is away")
	s.say("stop A")
	s.awaitRunning(1)
	s.say("start B")
	s.await("B <- A: while B is away")
	s.say("B: thanks")
	s.await("C <- B: thanks")
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := s.end(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr.String())
	}
	s.left()
}
