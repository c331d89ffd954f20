package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/rogpeppe/go-internal/testscript"
)

// asRelay makes this test's binary be the command itself, so that tests start, signal and kill real processes.
const asRelay = "CONCLAVE_TEST_AS_RELAY"

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(asRelay) != "" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"relay": main})
}

func TestScripts(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B", "C")
	newer := g.Roster
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("CONCLAVE_HOME", "")
			env.Setenv("NO_COLOR", "1")
			if err := os.WriteFile(filepath.Join(env.WorkDir, "roster"), newer.Envelope, 0o600); err != nil {
				return err
			}
			return g.WriteHome(filepath.Join(env.WorkDir, "home"))
		},
	})
}

// process is a relay node as a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	addrs  []string // what it printed
	stderr *strings.Builder
	rest   chan string // what it printed after its addresses
}

// relayCommand returns this test's program as the command on a home.
func relayCommand(t *testing.T, home string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, append(args, "--home", home)...)
	cmd.Env = append(os.Environ(), asRelay+"=1")
	return cmd
}

// start runs the command on a home and returns once it has printed an address. Extra arguments come first.
func start(t *testing.T, home string, args ...string) *process {
	t.Helper()
	p := &process{t: t, stderr: new(strings.Builder), rest: make(chan string, 1)}
	p.cmd = relayCommand(t, home, args...)
	p.cmd.Stderr = p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	first := make(chan struct{})
	go func() {
		var lines []string
		for scan := bufio.NewScanner(out); scan.Scan(); {
			line := scan.Text()
			if addr, ok := strings.CutPrefix(line, "relay address: "); ok && len(p.addrs) == 0 {
				p.addrs = append(p.addrs, addr)
				close(first)
			} else {
				lines = append(lines, line)
			}
		}
		p.rest <- strings.Join(lines, "\n")
	}()
	select {
	case <-first:
	case <-p.rest:
		_ = p.cmd.Wait()
		t.Fatalf("the relay node ended: %s", p.stderr)
	case <-time.After(patience):
		t.Fatal("the relay node printed no address")
	}
	return p
}

// info is where the process listens.
func (p *process) info() peer.AddrInfo {
	p.t.Helper()
	info, err := peer.AddrInfoFromString(p.addrs[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return *info
}

// end sends a signal, waits, and returns the exit code.
func (p *process) end(s os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	<-p.rest
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

const onLoopback = "/ip4/127.0.0.1/tcp/0"

func TestSignalsEndItCleanly(t *testing.T) {
	g := pkitest.NewGroup(t, "A")
	home := g.Home()
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		p := start(t, home, "--listen", onLoopback)
		if p.info().ID != g.Relay(0).Cert.Peer {
			t.Errorf("it is %s", p.info().ID)
		}
		if code := p.end(s); code != 0 {
			t.Errorf("after %v: exit code %d: %s", s, code, p.stderr)
		}
	}
}

// TestHangupAndGoneReaders: neither SIGHUP nor a log that nobody reads any more ends a relay node.
func TestHangupAndGoneReaders(t *testing.T) {
	g := pkitest.NewGroup(t, "A")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := relayCommand(t, g.Home(), "--listen", onLoopback, "--log-level", "debug")
	cmd.Stderr = write
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	_ = write.Close()
	log := bufio.NewScanner(read)
	said := func(what string) {
		t.Helper()
		for log.Scan() {
			if strings.Contains(log.Text(), what) {
				return
			}
		}
		t.Fatalf("the relay node did not say %q", what)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	said("serving")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	said("SIGHUP")
	_ = read.Close()
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil { // it says so to nobody
		t.Fatal(err)
	}
	info, err := peer.AddrInfoFromString(strings.TrimSpace(strings.TrimPrefix(addr, "relay address: ")))
	if err != nil {
		t.Fatal(err)
	}
	dial(t, g, "A", *info) // which it logs, too
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it did not end cleanly: %v", err)
	}
}

// fails runs the command, which must fail, and returns what it said.
func fails(t *testing.T, home string, args ...string) (stderr string, code int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, append(args, "--home", home)...)
	cmd.Env = append(os.Environ(), asRelay+"=1")
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Run(); err == nil {
		t.Fatal("it did not fail")
	}
	return said.String(), cmd.ProcessState.ExitCode()
}

func TestTwoRelaysDoNotUseOneHome(t *testing.T) {
	home := pkitest.NewGroup(t, "A").Home()
	start(t, home, "--listen", onLoopback)
	said, code := fails(t, home, "--listen", onLoopback)
	if code != 1 || !strings.Contains(said, "in use by another process") || !strings.Contains(said, "hint: another relay node runs on this home") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

func TestPortInUse(t *testing.T) {
	for what, listen := range map[string]string{"TCP": onLoopback, "UDP": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		at := start(t, pkitest.NewGroup(t, "A").Home(), "--listen", listen).info().Addrs[0]
		port, err := at.ValueForProtocol(map[string]int{"TCP": ma.P_TCP, "UDP": ma.P_UDP}[what])
		if err != nil {
			t.Fatal(err)
		}
		said, code := fails(t, pkitest.NewGroup(t, "A").Home(), "--listen", at.String())
		if code != 1 || !strings.Contains(said, "relay: error: "+what+" port "+port+" of 127.0.0.1 is taken by another program\n") ||
			!strings.Contains(said, "hint: stop that program, or choose another port with --listen 127.0.0.1:PORT; members") {
			t.Errorf("exit code %d: %s", code, said)
		}
	}
}

// hand runs `relay roster` on a home.
func hand(t *testing.T, home, file string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "roster", file, "--home", home)
	cmd.Env = append(os.Environ(), asRelay+"=1")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
}
