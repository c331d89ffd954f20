package mailbox_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"conclave/overlay/durable"
	"conclave/overlay/longtest"
	"conclave/relaynode/backlog"
	"conclave/relaynode/backlog/backlogtest"
	"conclave/relaynode/mailbox"
	"conclave/relaynode/mailbox/mailboxtest"
)

// TestCrashEverywhere runs a short life of a relay node's database in a process of its own, again and again, and kills
// it at the first, the second, the third … call of each kind that changes the disk, until a run survives. What is on
// the disk then must be what the last acknowledged step left, or that and the whole step that was under way.
func TestCrashEverywhere(t *testing.T) {
	strace := findStrace(t)
	for _, call := range diskCalls {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			sweep(t, func(n int) bool {
				run := inject(t, strace, fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, n))
				if !run.survived {
					run.verify(t, fmt.Sprintf("killed at %s %d", call, n))
				}
				return !run.survived
			})
		})
	}
}

// TestDiskFailsEverywhere has each flush and each write fail once with EIO, and each write once with ENOSPC. A step is
// acknowledged only when it took effect, and after the one failure the life goes on.
func TestDiskFailsEverywhere(t *testing.T) {
	strace := findStrace(t)
	for _, c := range []struct{ call, errno, want string }{
		{"fdatasync", "EIO", durable.ErrDisk.Error()},
		{"pwrite64", "EIO", durable.ErrDisk.Error()},
		{"pwrite64", "ENOSPC", durable.ErrFull.Error()},
	} {
		t.Run(c.call+" "+c.errno, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			failed := map[string]bool{}
			sweep(t, func(n int) bool {
				what := fmt.Sprintf("%s at %s %d", c.errno, c.call, n)
				run := inject(t, strace, fmt.Sprintf("inject=%s:error=%s:when=%d", c.call, c.errno, n))
				run.verify(t, what)
				mu.Lock()
				defer mu.Unlock()
				for _, f := range run.failures {
					n, _, _ := strings.Cut(f, " ")
					failed[n] = true
					if n != "-1" && !strings.Contains(f, c.want) { // a new file's first bytes fail as they please
						t.Errorf("%s: step failed with %q, want %q", what, f, c.want)
					}
				}
				if len(run.failures) == 0 && run.done != len(life) {
					t.Errorf("%s: %d steps done and no failure told", what, run.done)
				}
				return run.injected
			})
			if c.errno == "EIO" && stride() == 1 && len(failed) < len(life)+1 {
				t.Errorf("only %d of %d steps and opening ever failed: %v", len(failed), len(life), failed)
			}
		})
	}
}

// diskCalls are all calls by which the process changes the disk, or makes a change durable.
var diskCalls = []string{"pwrite64", "fdatasync", "fsync", "ftruncate", "fallocate", "rename,renameat,renameat2", "unlink,unlinkat", "link,linkat"}

// stride is how far the calls are apart at which a test goes wrong. In the short form, and under the race detector, with which
// a process takes four times as long to begin, it is every seventh only.
func stride() int {
	if raceEnabled || !longtest.Wanted() {
		return 7
	}
	return 1
}

// sweep calls at with every number from 1 on that the stride leaves, on as many goroutines as there are processors, until it
// returns false.
func sweep(t *testing.T, at func(n int) bool) {
	var mu sync.Mutex
	next, over, stride := 1, false, stride()
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for {
				mu.Lock()
				n := next
				next += stride
				stop := over
				mu.Unlock()
				if stop || t.Failed() {
					return
				}
				if !at(n) {
					mu.Lock()
					over = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	t.Logf("about %d calls", next-1-stride*runtime.NumCPU())
}

// outcome is what became of one run of the child.
type outcome struct {
	path     string
	done     int      // steps that were acknowledged
	failures []string // number and error of the steps that failed, before they were tried again; -1 is opening
	survived bool
	injected bool // the fault took place
}

// inject runs the child under strace with one fault.
func inject(t *testing.T, strace, fault string) outcome {
	dir, err := os.MkdirTemp(t.TempDir(), "run")
	if err != nil {
		t.Fatal(err)
	}
	o := outcome{path: filepath.Join(dir, "state.db")}
	trace := filepath.Join(dir, "trace")
	fault = strings.Replace(fault, "inject=", "", 1)
	calls, _, _ := strings.Cut(fault, ":")
	cmd := exec.Command(strace, "-f", "-o", trace, "-e", "trace="+calls, "-e", "signal=none", "-e", "inject="+fault, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+o.path, "GOMAXPROCS=2")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", fault, err)
	}
	killed := strings.Contains(cmd.ProcessState.String(), "killed") // strace dies as its child did
	for line := range strings.Lines(string(out)) {
		switch word, rest, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "done":
			o.done++
		case "failed":
			o.failures = append(o.failures, rest)
		case "closed":
			o.survived = true
		default:
			t.Fatalf("%s: the child says %q\n%s", fault, line, stderr.String())
		}
	}
	log, readErr := os.ReadFile(trace)
	if readErr != nil {
		t.Fatal(readErr)
	}
	o.injected = killed || bytes.Contains(log, []byte("(INJECTED)"))
	if !o.survived && !o.injected {
		t.Fatalf("%s: the child ended early: %v\n%s", fault, err, stderr.String())
	}
	return o
}

// verify opens what the child left behind, compares it with what it may be, and lives the rest of the life on it.
func (o outcome) verify(t *testing.T, what string) {
	r, err := openRelay(o.path)
	if err != nil {
		t.Errorf("%s, after %d steps: %v", what, o.done, err)
		return
	}
	defer r.db.Close()
	ctx := context.Background()
	if err := r.check(ctx); err != nil {
		t.Errorf("%s, after %d steps: %v", what, o.done, err)
	}
	got, err := r.describe(ctx)
	if err != nil {
		t.Errorf("%s, after %d steps: %v", what, o.done, err)
		return
	}
	most := min(o.done+1, len(life))
	if got != lived(t, o.done) && got != lived(t, most) {
		t.Errorf("%s: after %d acknowledged steps the database holds\n%s\nwant\n%s\nor\n%s", what, o.done, got, lived(t, o.done), lived(t, most))
	}
	for i := o.done; i < len(life); i++ {
		if err := life[i](ctx, r); err != nil {
			t.Errorf("%s: step %d afterwards: %v", what, i, err)
		}
	}
	if got, err := r.describe(ctx); err != nil || got != lived(t, len(life)) {
		t.Errorf("%s: after the whole life: %v\n%s\nwant\n%s", what, err, got, lived(t, len(life)))
	}
}

// lived describes a relay node that took the first n steps, as the memory implementations have it.
func lived(t *testing.T, n int) string {
	m := relay{mail: mailboxtest.NewMemory(mailbox.Fixed(mailbox.DefaultLimits(3))), log: backlogtest.NewMemory(backlog.DefaultLimits())}
	for _, step := range life[:n] {
		if err := step(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	s, err := m.describe(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestKilledUnderLoad kills a child whose 16 goroutines deposit and append as fast as they can, at some moment, and
// finds everything that it acknowledged.
func TestKilledUnderLoad(t *testing.T) {
	for _, after := range []int{1, 7, 40, 150, 400, 900} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "state.db")
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+path, stormEnv+"=1")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			acknowledged := readStorm(out, after, func() { _ = cmd.Process.Kill() })
			_ = cmd.Wait() // it was killed
			if len(acknowledged) < after {
				t.Fatalf("the child acknowledged %d writes, want %d at least", len(acknowledged), after)
			}
			verifyStorm(t, path, acknowledged)
		})
	}
}

// readStorm reads whole lines until the child is gone, and has it killed after so many.
func readStorm(out io.Reader, after int, kill func()) []string {
	var all []byte
	buf := make([]byte, 4096)
	for killed := false; ; {
		n, err := out.Read(buf)
		all = append(all, buf[:n]...)
		if !killed && bytes.Count(all, []byte("\n")) >= after {
			kill()
			killed = true
		}
		if err != nil {
			lines := regexp.MustCompile(`(?m)^(mail|batch) \d+ \d+\n`).FindAllString(string(all), -1)
			return lines
		}
	}
}

func verifyStorm(t *testing.T, path string, acknowledged []string) {
	r, err := openRelay(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.db.Close()
	if err := r.check(t.Context()); err != nil {
		t.Error(err)
	}
	held, err := r.describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	for l := range strings.Lines(held) {
		lines[l]++
	}
	for _, l := range acknowledged {
		if lines[l] != 1 {
			t.Errorf("%q was acknowledged and is here %d times", l, lines[l])
		}
	}
	t.Logf("%d acknowledged, %d here", len(acknowledged), len(lines))
}

func findStrace(t *testing.T) string {
	path, err := exec.LookPath("strace")
	if err == nil {
		err = exec.Command(path, "-f", "-o", "/dev/null", "true").Run()
	}
	if err == nil && runtime.GOOS == "linux" {
		return path
	}
	longtest.Cannot(t, "strace does not work here: %v", err)
	return ""
}

const crashTimeout = time.Minute // after which a child that hangs ends itself
