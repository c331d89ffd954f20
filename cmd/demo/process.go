package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"conclave/cmd/internal/web"
)

const (
	stopGrace = 5 * time.Second // from SIGTERM to SIGKILL
	maxLine   = 1 << 20         // longest line that a process may print
	maxInput  = 256             // lines that wait until a process reads them
)

// spawner starts processes, all from one operating system thread that lives as long as it does. The kernel ties a
// process to the thread that started it (Pdeathsig): were that an arbitrary one, its end would kill the process.
type spawner struct {
	jobs chan func()
	done chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		defer close(s.done)
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

// environment removes the flags of Conclave's commands from an environment: what is meant for the demo is not meant for
// the others too.
func environment(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "CONCLAVE_") })
}

// start starts cmd in a process group of its own, so that a Ctrl-C in the terminal reaches only this process, and ties
// it to this process's life.
func (s *spawner) start(cmd *exec.Cmd) error {
	detach(cmd)
	cmd.Env = environment(cmd.Environ())
	result := make(chan error)
	s.jobs <- func() { result <- cmd.Start() }
	return <-result
}

// close ends the thread, and with it whatever it started and is still running.
func (s *spawner) close() {
	close(s.jobs)
	<-s.done
}

// process is one of the four.
type process struct {
	name  string
	log   string // path of its log file
	cmd   *exec.Cmd
	input chan string   // lines for its stdin
	mute  chan struct{} // closed when it has closed its stdout
	ended chan struct{} // closed when it has ended and everything it printed was handed on
	err   error         // how it ended; valid once ended is closed
}

// launch starts a process. Each line of its stdout goes to line and to the log file; its stderr goes to the log file,
// except for the lines about its window, which go to line alone: the addresses are nobody else's business.
func launch(s *spawner, name, log string, line func(string), binary string, args ...string) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	cmd := exec.Command(binary, args...)
	stderr := &announcements{hand: line, rest: file}
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	if err := s.start(cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, log: log, cmd: cmd, input: make(chan string, maxInput), mute: make(chan struct{}), ended: make(chan struct{})}
	var writer sync.WaitGroup
	writer.Go(func() { p.feed(stdin) })
	go func() { // ends with the process; stop waits for it
		defer close(p.ended)
		lines := bufio.NewScanner(io.TeeReader(stdout, file))
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			line(lines.Text())
		}
		_, _ = io.Copy(file, stdout) // after a line that is too long
		close(p.mute)
		p.err = cmd.Wait() // closes stdin, which ends a write that hangs
		writer.Wait()
		_, _ = file.Write(stderr.pending)
		_ = file.Close()
	}()
	return p, nil
}

// announcements hands on the lines about a window and writes all others to rest.
type announcements struct {
	hand    func(string)
	rest    io.Writer
	pending []byte // the beginning of a line
}

// Write implements io.Writer.
func (a *announcements) Write(data []byte) (int, error) {
	a.pending = append(a.pending, data...)
	for {
		line, after, whole := bytes.Cut(a.pending, []byte("\n"))
		if !whole && len(a.pending) < maxLine {
			return len(data), nil
		}
		if text := string(line); strings.HasPrefix(text, web.AnnouncePrefix) {
			a.hand(text)
		} else if _, err := fmt.Fprintf(a.rest, "%s\n", line); err != nil {
			return 0, err
		}
		a.pending = append([]byte(nil), after...)
	}
}

// feed writes what say queues until the process has closed its stdout.
func (p *process) feed(stdin io.WriteCloser) {
	for {
		select {
		case line := <-p.input:
			if _, err := io.WriteString(stdin, line+"\n"); err != nil {
				return
			}
		case <-p.mute:
			return
		}
	}
}

// say queues a line for the process's stdin and reports false when the process does not read.
func (p *process) say(line string) bool {
	select {
	case p.input <- line:
		return true
	default:
		return false
	}
}

// stop asks processes to end, waits, and kills what is left. It returns when all have ended.
func stop(processes ...*process) {
	for _, p := range processes {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that has ended already needs none
	}
	grace, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	for _, p := range processes {
		select {
		case <-p.ended:
		case <-grace.Done():
			kill(p.cmd)
			<-p.ended
		}
	}
}
