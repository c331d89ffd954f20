//go:build linux

package netlab

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// victim makes this test's binary be a test that builds a lab, connects it with the namespace of the named thread, starts
// a process that nobody stops, and waits for its death.
const victim = "CONCLAVE_TEST_NETLAB_VICTIM"

func TestVictim(t *testing.T) {
	watcher := os.Getenv(victim)
	if watcher == "" {
		t.Skip("this is one half of TestNothingOutlivesAKilledTest")
	}
	lab := New(t)
	a := lab.Host("a", lab.Router("home", lab.Public(), EndpointIndependent).LAN)
	a.IPCommand("link add inside type veth peer name outside netns " + watcher)
	p := a.Start("sleep", "1000")
	stopped := a.Start("sleep", "1000")
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("pids %d %d\n", p.Pid(), stopped.Pid())
	select {}
}

// A test that is killed takes its lab with it: the processes, also a stopped one, and the namespaces. That a namespace is
// gone shows in the other end of a veth pair, which the kernel removes with it.
func TestNothingOutlivesAKilledTest(t *testing.T) {
	lab := New(t)
	watcher := lab.Host("watcher", lab.Public())
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	outside := func() bool {
		return watcher.Do(func() error { _, err := net.InterfaceByName("outside"); return err }) == nil
	}
	err = watcher.Do(func() error {
		path := fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		cmd := exec.Command(exe, "-test.run=^TestVictim$", "-test.v")
		cmd.Env = append(os.Environ(), victim+"="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		var pids []int
		for scan := bufio.NewScanner(stdout); len(pids) == 0 && scan.Scan(); {
			if list, found := strings.CutPrefix(scan.Text(), "pids "); found {
				for word := range strings.FieldsSeq(list) {
					pid, err := strconv.Atoi(word)
					if err != nil {
						return err
					}
					pids = append(pids, pid)
				}
			}
		}
		if len(pids) != 2 || !outside() {
			_ = cmd.Process.Kill()
			return fmt.Errorf("the victim did not come up: %v", cmd.Wait())
		}
		for _, pid := range pids {
			if syscall.Kill(pid, 0) != nil {
				t.Errorf("process %d was not there before", pid)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			return err
		}
		_ = cmd.Wait()
		for _, pid := range pids {
			if !eventually(func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH }) {
				t.Errorf("process %d has outlived its test", pid)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return !outside() }) {
		t.Error("a namespace has outlived its test")
	}
}

// eventually asks until the answer is yes, for as long as patience allows. The kernel tells nobody when a namespace ends.
func eventually(done func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if done() {
			return true
		}
	}
	return false
}

func TestBinariesOfTheDeadAreSwept(t *testing.T) {
	folder := t.TempDir()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(folder, binariesPrefix+strconv.Itoa(gone.Process.Pid))
	mine := filepath.Join(folder, binariesPrefix+strconv.Itoa(os.Getpid()))
	for _, dir := range []string{old, mine} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	sweep(folder)
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the folder of a dead process is still there: %v", err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Errorf("this process's folder is gone: %v", err)
	}
}
