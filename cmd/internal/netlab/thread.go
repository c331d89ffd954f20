//go:build linux

package netlab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// names is where ip keeps the names of network namespaces.
const names = "/run/netns"

// thread is an operating system thread with a mount namespace of its own, in which the lab's network namespaces have
// their names. Everything that the lab starts, it starts: its end is the end of them all.
type thread struct {
	id   int
	jobs chan func()
	done chan struct{}
}

// newThread starts a thread. An error says what this machine lacks.
func newThread() (*thread, error) {
	if err := os.MkdirAll(names, 0o755); err != nil {
		return nil, err
	}
	th := &thread{jobs: make(chan func()), done: make(chan struct{})}
	ready := make(chan error, 1)
	go th.run(ready)
	if err := <-ready; err != nil {
		<-th.done
		return nil, err
	}
	return th, nil
}

// run is the thread. It is never unlocked, so the runtime ends it with this goroutine; the process's first thread cannot
// be ended, so the work is then given to another.
func (th *thread) run(ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		go th.run(ready)
		<-th.done
		runtime.UnlockOSThread()
		return
	}
	defer close(th.done)
	th.id = unix.Gettid()
	if err := privateNames(); err != nil {
		ready <- err
		return
	}
	ready <- nil
	for job := range th.jobs {
		job()
	}
}

// privateNames gives the calling thread a mount namespace in which no network namespace has a name yet.
func privateNames() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a mount namespace of its own: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts that nobody else sees: %w", err)
	}
	if err := unix.Mount("netlab", names, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("a place for names: %w", err)
	}
	return nil
}

// do runs f on the thread and returns when it has.
func (th *thread) do(f func() error) error {
	result := make(chan error)
	th.jobs <- func() { result <- f() }
	return <-result
}

// start starts cmd, which the kernel kills when the thread ends.
func (th *thread) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return th.do(cmd.Start)
}

// command runs a program that reads input to its end.
func (th *thread) command(input, name string, args ...string) error {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &out
	if err := th.start(cmd); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, out.String(), input)
	}
	return nil
}

// close ends the thread, and with it whatever it started and is still running.
func (th *thread) close() {
	close(th.jobs)
	<-th.done
}
