package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"conclave/pki/pkitest"
	"conclave/relaynode"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/rogpeppe/go-internal/testscript"
)

// asNode makes this test's binary be the command itself, so that tests start and kill real processes.
const asNode = "CONCLAVE_TEST_AS_NODE"

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(asNode) != "" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"node": main})
}

func TestScripts(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B", "C")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("CONCLAVE_HOME", "")
			env.Setenv("NO_COLOR", "1")
			return g.WriteHome(filepath.Join(env.WorkDir, "home"))
		},
	})
}

// place is a home with a group, and a relay node for it in this process.
type place struct {
	t     *testing.T
	home  string
	relay string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	g := pkitest.NewGroup(t, "A", "B", "C")
	id := g.Relay(0)
	n, err := relaynode.New(relaynode.Config{
		Group: g.Group, Certificate: id.Cert.DER, Identity: id.Identity, Roster: g.Roster,
		StatePath: filepath.Join(t.TempDir(), "relay.db"), Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
	})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- n.Run(t.Context()) }()
	t.Cleanup(func() { _ = n.Close(); <-ran })
	return &place{t: t, home: g.Home(), relay: n.Addrs()[0].String()}
}

// process is a member as a process of its own.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}

	mu    sync.Mutex
	lines []string
	err   strings.Builder
	news  chan struct{}
}

// start runs a member, without a relay node if the arguments have --lan. Its relay node is the place's unless the arguments name one.
func (p *place) start(role string, args ...string) *process {
	p.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	if !slices.Contains(args, "--relay") && !slices.Contains(args, "--lan") {
		args = append(args, "--relay", p.relay)
	}
	cmd := exec.Command(exe, append(args, "--home", p.home, "--role", role)...)
	cmd.Env = append(os.Environ(), asNode+"=1")
	n := &process{t: p.t, cmd: cmd, ended: make(chan struct{}), news: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if n.stdin, err = cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	cmd.Stderr = lockedWriter{n}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go n.read(out)
	p.t.Cleanup(func() { n.kill() })
	return n
}

// lockedWriter keeps a process's stderr.
type lockedWriter struct{ n *process }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.n.mu.Lock()
	defer w.n.mu.Unlock()
	return w.n.err.Write(b)
}

func (n *process) read(out io.Reader) {
	defer close(n.ended)
	for scan := bufio.NewScanner(out); scan.Scan(); {
		n.mu.Lock()
		n.lines = append(n.lines, scan.Text())
		close(n.news)
		n.news = make(chan struct{})
		n.mu.Unlock()
	}
	_ = n.cmd.Wait()
}

// until waits until ok holds of what the process printed.
func (n *process) until(what string, ok func(lines []string) bool) {
	n.t.Helper()
	deadline := time.After(patience)
	for {
		n.mu.Lock()
		good, news := ok(n.lines), n.news
		n.mu.Unlock()
		if good {
			return
		}
		select {
		case <-news:
		case <-n.ended:
			n.mu.Lock()
			defer n.mu.Unlock()
			if ok(n.lines) {
				return
			}
			n.t.Fatalf("the process ended before %s\n%s\n%s", what, strings.Join(n.lines, "\n"), n.err.String())
		case <-deadline:
			n.mu.Lock()
			defer n.mu.Unlock()
			n.t.Fatalf("waited in vain for %s\n%s\n%s", what, strings.Join(n.lines, "\n"), n.err.String())
		}
	}
}

// prints waits for a line.
func (n *process) prints(line string) {
	n.t.Helper()
	n.until(fmt.Sprintf("%q", line), func(lines []string) bool { return slices.Contains(lines, line) })
}

func (n *process) types(line string) {
	n.t.Helper()
	if _, err := io.WriteString(n.stdin, line+"\n"); err != nil {
		n.t.Fatalf("typing: %v", err)
	}
}

// wait waits for the end and returns the exit code.
func (n *process) wait() int {
	n.t.Helper()
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.t.Fatal("the process did not end")
	}
	return n.cmd.ProcessState.ExitCode()
}

// kill is kill -9.
func (n *process) kill() {
	_ = n.cmd.Process.Kill() // it may have ended
	<-n.ended
}

// object is one line of json.
type jsonEvent map[string]any

// events returns the json events of one kind.
func events(lines []string, kind string) []jsonEvent {
	var out []jsonEvent
	for _, line := range lines {
		var e jsonEvent
		if json.Unmarshal([]byte(line), &e) == nil && e["event"] == kind {
			out = append(out, e)
		}
	}
	return out
}

// all returns what was printed.
func (n *process) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.lines)
}
