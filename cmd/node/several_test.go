package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// relayProcess is a relay node as a process of its own, which is started again at the same address.
type relayProcess struct {
	t    *testing.T
	bin  string
	home string
	args []string
	addr string // as it prints it
	cmd  *exec.Cmd
}

func (r *relayProcess) start() {
	r.t.Helper()
	listen := "/ip4/127.0.0.1/tcp/0"
	if r.addr != "" {
		listen, _, _ = strings.Cut(r.addr, "/p2p/")
	}
	r.cmd = exec.Command(filepath.Join(r.bin, "relay"), append([]string{"--home", r.home, "--listen", listen, "--lan", "off"}, r.args...)...)
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	var stderr bytes.Buffer
	r.cmd.Stderr = &stderr
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "relay address: ")
	if err != nil || !ok {
		r.kill()
		r.t.Fatalf("the relay node printed %q, %v: %s", line, err, stderr.String())
	}
	r.addr = addr
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
}

// kill is kill -9, also of one that was stopped.
func (r *relayProcess) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

func (r *relayProcess) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// run runs a command to its end and returns its stdout.
func run(t *testing.T, path string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v: %s", filepath.Base(path), args, err, errs.String())
	}
	return out.String()
}

// twoRelayNodes makes a group in the way that README.md describes, with two relay nodes on homes of their own, and starts
// both.
func twoRelayNodes(t *testing.T) (home string, relays []*relayProcess) {
	t.Helper()
	dir := t.TempDir()
	bin, home, second := filepath.Join(dir, "bin"), filepath.Join(dir, "home"), filepath.Join(dir, "second")
	if out, err := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "conclave/cmd/ca", "conclave/cmd/relay").CombinedOutput(); err != nil {
		t.Fatalf("building: %v: %s", err, out)
	}
	ca := filepath.Join(bin, "ca")
	run(t, ca, "init", "--home", home, "--relay-addr", "/ip4/127.0.0.1/tcp/9")
	request, answer := filepath.Join(dir, "second.request"), filepath.Join(dir, "second.answer")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(request, run(t, ca, "request", "--relay", "--role", "second", "--home", second))
	write(answer, run(t, ca, "sign", request, "--relay-addr", "/ip4/127.0.0.1/tcp/9", "--home", home))
	run(t, ca, "import", answer, "--home", second)
	one := &relayProcess{t: t, bin: bin, home: home}
	one.start()
	t.Cleanup(one.kill)
	two := &relayProcess{t: t, bin: bin, home: second, args: []string{"--peer", one.addr}}
	two.start()
	t.Cleanup(two.kill)
	return home, []*relayProcess{one, two}
}

// linksReady reports whether a member's latest word on each of that many relay nodes is that it is ready.
func linksReady(lines []string, relays int) bool {
	last := make(map[any]any)
	for _, e := range events(lines, "link") {
		last[e["relay"]] = e["state"]
	}
	ready := 0
	for _, state := range last {
		if state == "ready" {
			ready++
		}
	}
	return ready == relays
}

// TestRelayNodeKilledInMidConversation has A talk while a relay node dies or falls silent, each of the two by turns: B and C
// read everything once and in order, and hear nothing for less than 5 s. CONCLAVE_KILL_RUNS=20 is the full number of runs.
func TestRelayNodeKilledInMidConversation(t *testing.T) {
	t.Parallel()
	runs := 4
	if n, err := strconv.Atoi(os.Getenv("CONCLAVE_KILL_RUNS")); err == nil {
		runs = n
	}
	home, relays := twoRelayNodes(t)
	p := &place{t: t, home: home}
	var members []*process
	for _, role := range []string{"A", "B", "C"} {
		members = append(members, p.start(role, "--ui", "json", "--stay", "--relay", relays[0].addr, "--relay", relays[1].addr))
	}
	for _, m := range members {
		m.until("a key of all", func(lines []string) bool {
			return slices.ContainsFunc(events(lines, "session_key"), func(e jsonEvent) bool { return len(e["contributors"].([]any)) == 3 })
		})
	}
	said := 0
	var silences []time.Duration
	for i := range runs {
		for _, m := range members {
			m.until("both relay nodes", func(lines []string) bool { return linksReady(lines, len(relays)) })
		}
		victim, first := relays[i%2], said
		const each = 80
		pace := time.NewTicker(25 * time.Millisecond) // how fast A talks
		for k := range each {
			<-pace.C
			members[0].types(fmt.Sprintf(`{"send":"message %d"}`, said))
			said++
			if k != each/4 {
				continue
			}
			if i%4 < 2 {
				victim.kill()
			} else {
				victim.signal(syscall.SIGSTOP)
			}
		}
		pace.Stop()
		for _, m := range members[1:] {
			silences = append(silences, silence(t, m, first, said))
		}
		if i%4 < 2 {
			victim.start()
		} else {
			victim.signal(syscall.SIGCONT)
		}
	}
	slices.Sort(silences)
	p95 := silences[len(silences)*95/100]
	t.Logf("a relay node killed or stopped %d times: longest silence p50 %v, p95 %v, most %v", runs, silences[len(silences)/2], p95, silences[len(silences)-1])
	if p95 > 5*time.Second {
		t.Errorf("the longest silence was %v in one run of twenty", p95)
	}
}

// silence waits until a member has shown all messages of A, each once and in order, and returns the longest time between
// two of those from first on.
func silence(t *testing.T, m *process, first, count int) (longest time.Duration) {
	t.Helper()
	m.until(fmt.Sprintf("%d messages", count), func(lines []string) bool { return len(events(lines, "message")) >= count })
	shown := events(m.all(), "message")
	if len(shown) != count {
		t.Fatalf("%d messages were shown, want %d", len(shown), count)
	}
	var before time.Time
	for i, e := range shown {
		if e["text"] != fmt.Sprintf("message %d", i) {
			t.Fatalf("message %d is %q", i, e["text"])
		}
		at, err := time.Parse(time.RFC3339Nano, e["time"].(string))
		if err != nil {
			t.Fatal(err)
		}
		if i > first {
			longest = max(longest, at.Sub(before))
		}
		before = at
	}
	return longest
}
