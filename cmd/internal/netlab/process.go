//go:build linux

package netlab

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	maxLine = 1 << 20  // longest line that a process may print
	maxTail = 16 << 10 // how much of its stderr is kept
)

// ErrEnded is returned when a process ends, or has ended, without printing what was waited for.
var ErrEnded = errors.New("the process has ended")

// Process is a program that runs on a host. Its methods may be called from any goroutine.
type Process struct {
	host  *Host
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed when it has ended and all it printed is here

	mu    sync.Mutex
	lines []Line        // guarded by mu
	news  chan struct{} // guarded by mu; closed and replaced with everything it prints
	tail  []byte        // guarded by mu; the end of its stderr
}

// Line is one line of a process's stdout.
type Line struct {
	// At is when it was read here.
	At time.Time
	// Text is the line.
	Text string
	// JSON is the object that it holds, if it holds one.
	JSON map[string]any
}

// Is reports whether the line is an event of that name, as --ui json prints it.
func (l Line) Is(event string) bool { return l.JSON["event"] == event }

// String returns a member of the line's object, or "".
func (l Line) String(member string) string { s, _ := l.JSON[member].(string); return s }

// Number returns a member of the line's object, or 0.
func (l Line) Number(member string) float64 { n, _ := l.JSON[member].(float64); return n }

// Strings returns a member of the line's object that is a list of strings.
func (l Line) Strings(member string) (list []string) {
	all, _ := l.JSON[member].([]any)
	for _, one := range all {
		if s, ok := one.(string); ok {
			list = append(list, s)
		}
	}
	return list
}

// Start starts a program in the host, without the CONCLAVE_ variables of this process's environment.
func (h *Host) Start(binary string, args ...string) *Process {
	h.space.lab.t.Helper()
	p, err := h.start(binary, args...)
	h.space.lab.must(err)
	return p
}

func (h *Host) start(binary string, args ...string) (*Process, error) {
	cmd := exec.Command("ip", append([]string{"netns", "exec", h.Name, binary}, args...)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CONCLAVE_") })
	p := &Process{host: h, cmd: cmd, ended: make(chan struct{}), news: make(chan struct{})}
	cmd.Stderr = tailWriter{p}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := h.space.lab.thread.start(cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	go p.read(stdout) // ends with the process; Kill waits for it
	l := h.space.lab
	l.mu.Lock()
	defer l.mu.Unlock()
	l.procs = append(l.procs, p)
	return p, nil
}

// tailWriter keeps the end of a process's stderr.
type tailWriter struct{ p *Process }

// Write implements io.Writer.
func (w tailWriter) Write(data []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.p.tail = append(w.p.tail, data...)
	w.p.tail = w.p.tail[max(0, len(w.p.tail)-maxTail):]
	w.p.tell()
	return len(data), nil
}

func (p *Process) read(stdout io.Reader) {
	defer close(p.ended)
	scan := bufio.NewScanner(stdout)
	scan.Buffer(nil, maxLine)
	for scan.Scan() {
		l := Line{At: time.Now(), Text: scan.Text()}
		_ = json.Unmarshal(scan.Bytes(), &l.JSON) // other lines hold no object
		p.mu.Lock()
		p.lines = append(p.lines, l)
		p.tell()
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // how it ended is in ProcessState
}

// tell wakes who waits. The caller holds mu.
func (p *Process) tell() {
	close(p.news)
	p.news = make(chan struct{})
}

// Lines returns what the process printed, from a mark on.
func (p *Process) Lines(from int) []Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines[min(from, len(p.lines)):])
}

// Mark returns how many lines the process has printed, for Await and Lines to begin there.
func (p *Process) Mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// Await returns the first line, from a mark on, that match accepts. It waits for it for at most patience.
func (p *Process) Await(from int, patience time.Duration, match func(Line) bool) (Line, error) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		p.mu.Lock()
		fresh, news := p.lines[min(from, len(p.lines)):], p.news
		p.mu.Unlock()
		if i := slices.IndexFunc(fresh, match); i >= 0 {
			return fresh[i], nil
		}
		from += len(fresh)
		select {
		case <-news:
		case <-p.ended:
			if p.Mark() == from {
				return Line{}, ErrEnded
			}
		case <-limit.C:
			return Line{}, fmt.Errorf("%s did not print it within %s", p.host.Name, patience)
		}
	}
}

// AwaitLog waits until the end of the process's stderr, as far as it is kept, holds a text.
func (p *Process) AwaitLog(text string, patience time.Duration) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		p.mu.Lock()
		found, news := bytes.Contains(p.tail, []byte(text)), p.news
		p.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-news:
		case <-p.ended:
			return ErrEnded
		case <-limit.C:
			return fmt.Errorf("%s did not log it within %s", p.host.Name, patience)
		}
	}
}

// Must is Await that fails the test, naming what it waited for. Only the test's goroutine may call it.
func (p *Process) Must(what string, from int, patience time.Duration, match func(Line) bool) Line {
	p.host.space.lab.t.Helper()
	l, err := p.Await(from, patience, match)
	if err != nil {
		p.host.space.lab.t.Fatalf("netlab: waiting for %s of %s: %v", what, p.host.Name, err)
	}
	return l
}

// Say writes a line to the process's stdin.
func (p *Process) Say(line string) error {
	_, err := io.WriteString(p.stdin, line+"\n")
	return err
}

// CloseInput ends the process's stdin.
func (p *Process) CloseInput() error { return p.stdin.Close() }

// Signal sends the process a signal.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Pid returns the process's ID.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended and everything it printed is here.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends the process with SIGKILL and returns when it has ended.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL) // one that has ended already needs none
	<-p.ended
}

// Stop asks the process to end, waits, and kills it when it does not. It returns its exit code, -1 when it was killed.
func (p *Process) Stop(patience time.Duration) int {
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.Kill()
	}
	return p.cmd.ProcessState.ExitCode()
}

// String returns what a person wants to see when a test failed: the last lines of stdout and stderr.
func (p *Process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", p.host.Name, strings.Join(p.cmd.Args[4:], " "))
	for _, l := range p.lines[max(0, len(p.lines)-20):] {
		fmt.Fprintf(&b, "  %s %s\n", l.At.Format("15:04:05.000"), l.Text)
	}
	fmt.Fprintf(&b, "stderr: %s", p.tail)
	return b.String()
}
