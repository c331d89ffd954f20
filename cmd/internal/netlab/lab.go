//go:build linux

package netlab

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"conclave/overlay/longtest"

	"golang.org/x/sys/unix"
)

// Lab is a small internet. Its methods, and those of what is in it, fail the test when the kernel refuses; they may be
// called from the test's goroutine only, but for those of [Process].
type Lab struct {
	t      testing.TB
	v4, v6 bool
	thread *thread
	public *Segment
	spaces []*space
	lans   int // private segments so far
	ports  int // bridge ports so far

	mu    sync.Mutex
	procs []*Process // guarded by mu; all that were started
}

// Option changes what a lab is made of.
type Option func(*Lab)

// IPv6Only leaves IPv4 out. There is no NAT then: the routers are firewalls.
func IPv6Only() Option { return func(l *Lab) { l.v4, l.v6 = false, true } }

// DualStack has both IPv4 and IPv6.
func DualStack() Option { return func(l *Lab) { l.v4, l.v6 = true, true } }

// New returns a lab with an empty public segment, IPv4 only unless an option says otherwise. Where labs cannot be built it
// skips the test.
func New(t testing.TB, options ...Option) *Lab {
	t.Helper()
	l := &Lab{t: t, v4: true}
	for _, option := range options {
		option(l)
	}
	Require(t)
	th, err := newThread()
	if err != nil {
		longtest.Cannot(t, "the network lab cannot be built: %v", err)
	}
	l.thread = th
	t.Cleanup(l.close)
	t.Logf("to look inside: nsenter --mount=/proc/%d/task/%d/ns/mnt ip netns exec NAME ...", os.Getpid(), th.id)
	l.public = newSegment(l.newSpace("public", true), publicPrefix4, publicPrefix6)
	return l
}

// Require skips the test where labs cannot be built. New does it by itself; a test calls it before costly preparations.
func Require(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		longtest.Cannot(t, "the network lab needs root")
	}
	for _, program := range []string{"ip", "nft", "tc"} {
		if _, err := exec.LookPath(program); err != nil {
			longtest.Cannot(t, "the network lab needs the program %s", program)
		}
	}
}

// Public returns the segment that everybody can reach.
func (l *Lab) Public() *Segment { return l.public }

// Close takes the lab down before its test ends.
func (l *Lab) close() {
	l.mu.Lock()
	procs := l.procs
	l.mu.Unlock()
	for _, p := range procs {
		p.Kill()
		if l.t.Failed() {
			l.t.Logf("%s", p)
		}
	}
	var gone []string
	for _, s := range l.spaces {
		_ = unix.Close(s.fd)
		gone = append(gone, "netns del "+s.name)
	}
	_ = l.thread.command(strings.Join(gone, "\n")+"\n", "ip", "-batch", "-") // the end of the thread does it too
	l.thread.close()
}

func (l *Lab) must(err error) {
	if err != nil {
		l.t.Helper()
		l.t.Fatalf("netlab: %v", err)
	}
}
