package main

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"conclave/node"

	ma "github.com/multiformats/go-multiaddr"
)

var keyLine = regexp.MustCompile(`^Final session key Kabc = [0-9a-f]{16}$`)

func hasKey(lines []string) bool { return slices.ContainsFunc(lines, keyLine.MatchString) }

// TestPlain has A say something and end, and B show it.
func TestPlain(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	a, b := p.start("A", "--ui", "plain"), p.start("B", "--ui", "plain")
	b.until("a key", hasKey)
	a.types("hello")
	a.types("")
	a.types("//quit is not a command here")
	a.types("hostile \x1b[2J\x07\rtext\u202eesrever")
	if err := a.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if code := a.wait(); code != 0 {
		t.Fatalf("exit code %d at the end of input: %s", code, a.err.String())
	}
	b.prints("[A] hello")
	b.prints("[A] /quit is not a command here")
	b.until("the harmless form of a hostile text", func(lines []string) bool {
		return slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "[A] hostile ") })
	})
	for _, line := range b.all() {
		if strings.ContainsAny(line, "\x1b\x07\r\u202e") {
			t.Errorf("a line holds a control character: %q", line)
		}
		if !keyLine.MatchString(line) && !strings.HasPrefix(line, "[A] ") {
			t.Errorf("stdout carries a line that the contract does not list: %q", line)
		}
	}
	b.types("/quit")
	if code := b.wait(); code != 0 {
		t.Errorf("exit code %d after /quit: %s", code, b.err.String())
	}
}

// TestHostAndPort: a relay node is reached at an address as people write it, here with its only peer ID left out.
func TestHostAndPort(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	port, err := ma.StringCast(p.relay).ValueForProtocol(ma.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	for role, host := range map[string]string{"A": "127.0.0.1", "B": "localhost"} {
		p.start(role, "--ui", "json", "--relay", host+":"+port, "--stay").until("the link to "+host, func(lines []string) bool {
			return slices.ContainsFunc(events(lines, "link"), func(e jsonEvent) bool { return e["state"] == "ready" })
		})
	}
}

// TestPortTaken: a member whose port another program has says which, and what to do, and nothing of itself being closed.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, port, _ := net.SplitHostPort(other.Addr().String())
	a := newPlace(t).start("A", "--ui", "plain", "--listen", other.Addr().String())
	_ = a.stdin.Close()
	if code := a.wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	want := "node: error: TCP port " + port + " of 127.0.0.1 is taken by another program\nhint: stop that program, or choose another port with --listen 127.0.0.1:PORT\n"
	if said := a.err.String(); !strings.HasSuffix(said, want) {
		t.Errorf("it said %s", said)
	}
}

// TestRefusedInput: a script whose lines were refused learns it from the exit code, and what is not exactly a request is
// not done in part.
func TestRefusedInput(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.start("B", "--ui", "plain", "--stay") // somebody to agree on a key with
	for _, c := range []struct {
		ui    string
		lines []string
		code  int
	}{
		{"plain", []string{"fine"}, 0},
		{"plain", []string{"fine", strings.Repeat("x", node.MaxText+1)}, 1},
		{"plain", []string{strings.Repeat("x", maxLine+1), "fine"}, 1},
		{"plain", []string{"/nonsense", "fine"}, 1},
		{"json", []string{`{"send":"fine"}`}, 0},
		{"json", []string{`{"send":"fine"}`, `{"send":"half"}{"send":"other half"}`}, 1},
		{"json", []string{`{"send":"fine"}`, `{"text":"x"}`}, 1},
		{"json", []string{`{"send":"fine"}`, `{"send":"` + strings.Repeat("x", node.MaxText+1) + `"}`}, 1},
	} {
		a := p.start("A", "--ui", c.ui)
		for _, line := range c.lines {
			a.types(line)
		}
		if err := a.stdin.Close(); err != nil {
			t.Fatal(err)
		}
		if code := a.wait(); code != c.code || c.code == 1 && !strings.Contains(a.err.String(), "node: error: lines of input that were refused, and not sent: 1") {
			t.Errorf("%s, %.60q: exit code %d: %s", c.ui, c.lines, code, a.err.String())
		}
		sent := 0
		for _, e := range events(a.all(), "sent") {
			if e["state"] == "queued" {
				sent++
			}
		}
		if c.ui == "json" && sent != 1 {
			t.Errorf("%.60q: %d messages were queued, want 1", c.lines, sent)
		}
		if c.ui == "json" && c.code == 1 && !strings.Contains(strings.Join(a.all(), ""), `\"send\":\"text\"`) && !strings.Contains(c.lines[1], "xxx") {
			t.Errorf("%q: the error names no form of a request: %q", c.lines, a.all())
		}
	}
}

// TestShowKey prints Kabc itself when it is asked for, the same at both, and never otherwise.
func TestShowKey(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	a, b := p.start("A", "--ui", "plain", "--show-key"), p.start("B", "--ui", "json", "--show-key")
	c := p.start("C", "--ui", "json")
	full := func(lines []string) bool {
		return slices.ContainsFunc(events(lines, "session_key"), func(e jsonEvent) bool { return len(e["contributors"].([]any)) == 3 })
	}
	b.until("a key of all", full)
	c.until("a key of all", full)
	for _, e := range events(b.all(), "session_key") {
		if len(e["contributors"].([]any)) == 3 {
			a.prints("Kabc = " + e["key"].(string))
			a.prints("Final session key Kabc = " + e["fingerprint"].(string))
		}
	}
	for _, e := range events(c.all(), "session_key") {
		if _, there := e["key"]; there {
			t.Error("a key was printed though nobody asked")
		}
	}
}

// TestJSON checks the members of each object that the contract names.
func TestJSON(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	a, b := p.start("A", "--ui", "json"), p.start("B", "--ui", "json", "--stay")
	a.until("a session", func(l []string) bool { return len(events(l, "session_key")) > 0 })
	b.until("a session", func(l []string) bool { return len(events(l, "session_key")) > 0 })
	a.types(`{"send":"two\nlines"}`)
	a.types(`{"sned":"x"}`)
	a.types(`{"command":"who"}`)
	b.until("the message", func(l []string) bool { return len(events(l, "message")) > 0 })
	a.until("its delivery", func(l []string) bool {
		return slices.ContainsFunc(events(l, "sent"), func(e jsonEvent) bool { return e["state"] == "delivered" })
	})
	a.until("who is there", func(l []string) bool { return len(events(l, "who")) > 0 })
	a.until("the complaint", func(l []string) bool { return len(events(l, "error")) > 0 })
	m := events(b.all(), "message")[0]
	if m["from"] != "A" || m["text"] != "two\nlines" || m["id"] == "" {
		t.Errorf("the message is %v", m)
	}
	if _, err := time.Parse(time.RFC3339Nano, m["sent"].(string)); err != nil {
		t.Errorf("sent: %v", err)
	}
	var states []any
	for _, e := range events(a.all(), "sent") {
		if e["id"] == m["id"] && !slices.Contains(states, e["state"]) {
			states = append(states, e["state"])
		}
	}
	if !slices.Contains(states, "queued") || !slices.Contains(states, "relay") || states[0] != "queued" {
		t.Errorf("the message went through %v", states)
	}
	for _, line := range a.all() {
		for _, e := range events([]string{line}, "session_key") {
			for _, key := range []string{"epoch", "id", "fingerprint", "contributors", "time"} {
				if _, there := e[key]; !there {
					t.Errorf("session_key has no %q: %s", key, line)
				}
			}
		}
	}
	before := len(events(b.all(), "session_key"))
	a.types(`{"command":"rekey"}`)
	b.until("another key", func(l []string) bool { return len(events(l, "session_key")) > before })
	if err := b.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	a.types(`{"send":"B stays after the end of its input"}`)
	b.until("what comes later", func(l []string) bool { return len(events(l, "message")) > 1 })
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := b.wait(); code != 0 {
		t.Errorf("exit code %d after SIGTERM: %s", code, b.err.String())
	}
}

// TestKillAndRestart kills members without warning: nothing that was queued is lost and nothing is shown twice in a run.
func TestKillAndRestart(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	a, b := p.start("A", "--ui", "json"), p.start("B", "--ui", "plain", "--stay")
	b.until("a key", hasKey)
	a.types(`{"send":"before the kill"}`)
	b.prints("[A] before the kill")
	b.kill()
	a.types(`{"send":"while B was away"}`)
	a.until("both messages to be stored", func(l []string) bool {
		n := 0
		for _, e := range events(l, "sent") {
			if e["state"] == "relay" {
				n++
			}
		}
		return n >= 2
	})
	a.kill()
	b = p.start("B", "--ui", "plain", "--stay")
	b.prints("[A] while B was away")
	a = p.start("A", "--ui", "json")
	a.types(`{"send":"after the restart"}`)
	b.prints("[A] after the restart")
	for i, line := range b.all() {
		if strings.HasPrefix(line, "[A]") && slices.Contains(b.all()[i+1:], line) {
			t.Errorf("%q was shown twice", line)
		}
	}
}

// TestUnsentAtTheEnd ends the input while no relay node is there: the exit code says that something stayed, and the next
// run sends it.
func TestUnsentAtTheEnd(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	nowhere := "/ip4/127.0.0.1/tcp/1" + p.relay[strings.Index(p.relay, "/p2p/"):]
	a := p.start("A", "--ui", "plain", "--relay", nowhere)
	a.types("kept")
	if err := a.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if code := a.wait(); code != 1 || !strings.Contains(a.err.String(), "node: error: some messages were not sent") {
		t.Fatalf("exit code %d, %s", code, a.err.String())
	}
	b := p.start("B", "--ui", "plain", "--stay")
	a = p.start("A", "--ui", "plain")
	if err := a.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if code := a.wait(); code != 0 {
		t.Fatalf("exit code %d in the next run: %s", code, a.err.String())
	}
	b.prints("[A] kept")
}

// TestRunsOnce refuses a second process for one member.
func TestRunsOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	a := p.start("A", "--ui", "json")
	a.until("a link", func(l []string) bool { return len(events(l, "link")) > 0 })
	again := p.start("A", "--ui", "plain")
	if code := again.wait(); code != 1 || !strings.Contains(again.err.String(), "hint: this member runs already") {
		t.Fatalf("exit code %d: %s", code, again.err.String())
	}
}
