//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait: generous, because other tests run beside this one.
const patience = 90 * time.Second

// bin is the folder for the binaries; it lives as long as the tests.
var bin string

// built fills bin with the real binaries and the demo beside them, once.
var built = sync.OnceValues(func() (string, error) {
	build := exec.Command("go", "build", "-o", bin+"/", "conclave/cmd/ca", "conclave/cmd/relay", "conclave/cmd/node", "conclave/cmd/demo")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w: %s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	var err error
	if bin, err = os.MkdirTemp("", "demo-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(bin)
	os.Exit(code)
}

// show is a running demo under test.
type show struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.Closer
	lines  chan string // stdout; closed at its end
	stderr bytes.Buffer
	tmp    string // its TMPDIR
	mark   string // in the environment of everything that it starts
}

// play starts the demo at path.
func play(t *testing.T, path, dir string, args ...string) *show {
	t.Helper()
	s := &show{t: t, tmp: t.TempDir(), lines: make(chan string, 1000)}
	s.mark = "DEMO_TEST=" + s.tmp
	s.cmd = exec.Command(path, args...)
	s.cmd.Dir = dir
	s.cmd.Env = append(os.Environ(), "TMPDIR="+s.tmp, s.mark, "DISPLAY=", "WAYLAND_DISPLAY=") // no screen: nothing is opened
	s.cmd.Stderr = &s.stderr
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = stdout
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		for _, pid := range s.running() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	go func() { // ends with the demo's stdout
		defer close(s.lines)
		for scan := bufio.NewScanner(stdout); scan.Scan(); {
			s.lines <- scan.Text()
		}
	}()
	return s
}

// playBuilt starts the demo that stands beside the real binaries, outside the source.
func playBuilt(t *testing.T, args ...string) *show {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return play(t, filepath.Join(dir, "demo"), t.TempDir(), args...)
}

// await returns the next line of stdout that begins with prefix.
func (s *show) await(prefix string) string {
	s.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-s.lines:
			if !ok {
				s.t.Fatalf("stdout ended before %q; stderr: %s", prefix, s.stderr.String())
			}
			if strings.HasPrefix(line, prefix) {
				return line
			}
		case <-timeout:
			_ = s.cmd.Process.Kill()
			s.t.Fatalf("no line %q within %v; stderr: %s; the logs end in:\n%s", prefix, patience, s.stderr.String(), s.logs())
		}
	}
}

// logs returns the ends of the logs of the four.
func (s *show) logs() string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(s.tmp, "*", "*.log")) // the pattern is right
	for _, name := range files {
		text, _ := os.ReadFile(name)
		fmt.Fprintf(&all, "%s:\n%s\n", filepath.Base(name), text[max(0, len(text)-4000):])
	}
	return all.String()
}

func (s *show) say(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

// end waits until the demo has ended and returns its exit code.
func (s *show) end() int {
	s.t.Helper()
	ended := make(chan struct{})
	go func() {
		for range s.lines {
		}
		_ = s.cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return s.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		s.t.Fatalf("the demo did not end within %v", patience)
		return -1
	}
}

// running returns the processes, other than the demo, that carry the demo's mark.
func (s *show) running() (pids []int) {
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range environments {
		data, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(data, []byte(s.mark+"\x00")) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(name, "/proc/%d/environ", &pid); err == nil && pid != s.cmd.Process.Pid {
			pids = append(pids, pid)
		}
	}
	return pids
}

// awaitRunning waits until so many processes run.
func (s *show) awaitRunning(n int) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); len(s.running()) != n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%d processes run, want %d", len(s.running()), n)
		}
	}
}

// left fails the test if a process or a file of the demo stays.
func (s *show) left() {
	s.t.Helper()
	if pids := s.running(); len(pids) > 0 {
		s.t.Errorf("processes stay: %v", pids)
	}
	files, err := os.ReadDir(s.tmp)
	if err != nil || len(files) > 0 {
		s.t.Errorf("files stay: %v, %v", files, err)
	}
}

func TestTypedLinesReachTheOthers(t *testing.T) {
	t.Parallel()
	s := playBuilt(t, "--open", "never")
	for _, name := range []string{"relay", "A", "B", "C"} {
		if line := s.await(""); !strings.HasPrefix(line, name+"  http://127.0.0.1:") {
			t.Errorf("%q is not the address of %s's window", line, name)
		}
	}
	if line := s.await("Final session key Kabc = "); len(line) != len("Final session key Kabc = ")+16 {
		t.Errorf("no fingerprint: %q", line)
	}
	s.say("A: hello")
	both := s.await("") + "|" + s.await("")
	if both != "B <- A: hello|C <- A: hello" && both != "C <- A: hello|B <- A: hello" {
		t.Errorf("received %q", both)
	}
	s.say("C: and back")
	s.await("A <- C: and back")
	if n := len(s.running()); n != 4 {
		t.Errorf("%d processes run, want 4", n)
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := s.end(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr.String())
	}
	s.left()
}

func TestNothingStaysAfterASignal(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM, "SIGHUP": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := playBuilt(t)
			s.await("C ") // all four are there, and no key yet
			if err := s.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if code := s.end(); code != 0 {
				t.Errorf("exit code %d: %s", code, s.stderr.String())
			}
			s.left()
		})
	}
}

func TestNothingStaysAfterAnEarlySignal(t *testing.T) {
	t.Parallel()
	s := playBuilt(t)
	for len(s.running()) == 0 { // the first program it starts makes the group
		time.Sleep(time.Millisecond)
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := s.end(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr.String())
	}
	s.left()
}

func TestNothingRunsAfterKill(t *testing.T) {
	t.Parallel()
	s := playBuilt(t)
	s.await("Final session key")
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.end()
	for deadline := time.Now().Add(patience); len(s.running()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("processes stay: %v", s.running())
		}
	}
}

func TestNothingStaysAfterAClosedOutput(t *testing.T) {
	t.Parallel()
	s := playBuilt(t)
	s.await("Final session key")
	if err := s.out.Close(); err != nil {
		t.Fatal(err)
	}
	s.say("A: nobody prints this")
	if code := s.end(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr.String())
	}
	s.left()
}

func TestTheEndOfOneEndsAll(t *testing.T) {
	t.Parallel()
	s := playBuilt(t)
	s.await("Final session key")
	relay := 0
	for _, pid := range s.running() {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && filepath.Base(exe) == "relay" {
			relay = pid
		}
	}
	if relay == 0 {
		t.Fatal("there is no relay process")
	}
	if err := syscall.Kill(relay, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := s.end(); code != 1 || !strings.HasPrefix(s.stderr.String(), "demo: error: relay ended: signal: killed") {
		t.Errorf("exit code %d: %s", code, s.stderr.String())
	}
	s.left()
}

// TestOneLeavesAndReturns: a member that was stopped reads later what it missed; a relay node that is started again is
// found under its address.
func TestOneLeavesAndReturns(t *testing.T) {
	t.Parallel()
	s := playBuilt(t)
	s.await("Final session key")
	s.say("stop B")
	s.awaitRunning(3)
	s.say("stop B")    // warned about, no more
	s.say("B: hello?") // likewise
	s.say("A: while B is away")
	s.await("C <- A: while B is away")
	s.say("start B")
	s.await("B <- A: while B is away")
	s.say("restart relay")
	s.say("C: one two")
	s.await("A <- C: one two")
	s.say("restart C")
	s.say("restart C")
	s.say("B: after all")
	s.await("C <- B: after all")
	s.awaitRunning(4)
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := s.end(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr.String())
	}
	s.left()
}

func TestHomeIsKept(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "home")
	var rosters [2][]byte
	for i := range rosters {
		s := playBuilt(t, "--home", home)
		s.await("Final session key")
		if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if code := s.end(); code != 0 {
			t.Fatalf("exit code %d: %s", code, s.stderr.String())
		}
		s.left()
		found, err := filepath.Glob(filepath.Join(home, "*", "roster.bin"))
		if err != nil || len(found) != 1 {
			t.Fatalf("rosters: %v, %v", found, err)
		}
		if rosters[i], err = os.ReadFile(found[0]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(rosters[0], rosters[1]) {
		t.Error("the second run made another group")
	}
}

func TestKeepKeepsTheLogs(t *testing.T) {
	t.Parallel()
	s := playBuilt(t, "--keep")
	s.await("Final session key Kabc = ") // A has noted something by now
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	s.end()
	logs, err := filepath.Glob(filepath.Join(s.tmp, "*", "A.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs: %v, %v", logs, err)
	}
	text, err := os.ReadFile(logs[0])
	if err != nil || len(text) == 0 {
		t.Errorf("the log is empty: %v", err)
	}
	if bytes.Contains(text, []byte("token=")) {
		t.Error("the log has the address that opens the window")
	}
}

func TestBuildsFromTheSource(t *testing.T) {
	t.Parallel()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(t.TempDir(), "demo")
	data, err := os.ReadFile(filepath.Join(dir, "demo"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(alone, data, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Run("in the source", func(t *testing.T) {
		s := play(t, alone, filepath.Join("..", ".."))
		s.await("C ")
		if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if code := s.end(); code != 0 {
			t.Errorf("exit code %d: %s", code, s.stderr.String())
		}
		s.left()
	})
	t.Run("elsewhere", func(t *testing.T) {
		s := play(t, alone, t.TempDir())
		if code := s.end(); code != 1 || !strings.Contains(s.stderr.String(), "\nhint: ") {
			t.Errorf("exit code %d: %s", code, s.stderr.String())
		}
		s.left()
	})
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--open", "always"}, {"more"}, {"--no-such-flag"}} {
		s := playBuilt(t, args...)
		if code := s.end(); code != 2 || !strings.HasPrefix(s.stderr.String(), "demo: error: ") {
			t.Errorf("%q: exit code %d: %s", args, code, s.stderr.String())
		}
		s.left()
	}
}
