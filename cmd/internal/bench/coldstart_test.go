package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"conclave/internal/baseline"
	"conclave/pki/pkitest"
)

var roles = []string{"A", "B", "C"}

// program is a child process whose stdout is read line by line.
type program struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan string // closed at its end
}

// start starts a program; its end is the end of ctx, or stop.
func start(ctx context.Context, name string, args ...string) (*program, error) {
	p := &program{cmd: exec.CommandContext(ctx, name, args...), lines: make(chan string, 1000)}
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the program's stdout
		defer close(p.lines)
		for scan := bufio.NewScanner(stdout); scan.Scan(); {
			p.lines <- scan.Text()
		}
	}()
	return p, nil
}

// await returns the first line that want accepts.
func (p *program) await(ctx context.Context, want func(string) bool) (string, error) {
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("%s ended early", p.cmd.Path)
			}
			if want(line) {
				return line, nil
			}
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for %s: %w", p.cmd.Path, ctx.Err())
		}
	}
}

// stop kills the program and waits for it.
func (p *program) stop() {
	_ = p.cmd.Process.Kill()
	for range p.lines {
	}
	_ = p.cmd.Wait() // it was killed
}

func stopAll(programs []*program) {
	for _, p := range programs {
		p.stop()
	}
}

// startThree starts three programs at once and returns how long it took until each printed the line it should.
func startThree(ctx context.Context, want func(string) bool, name string, args func(role string) []string) (took time.Duration, err error) {
	var started []*program
	defer func() { stopAll(started) }()
	begin := time.Now()
	for _, role := range roles {
		p, err := start(ctx, name, args(role)...)
		if err != nil {
			return 0, err
		}
		started = append(started, p)
	}
	for _, p := range started {
		if _, err := p.await(ctx, want); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

// hasKey says whether a line of a member tells of a key to which all three contributed.
func hasKey(line string) bool {
	var e struct {
		Event        string
		Contributors []string
	}
	return json.Unmarshal([]byte(line), &e) == nil && e.Event == "session_key" && len(e.Contributors) == len(roles)
}

// coldStart measures members that have no session yet, and then the same members that find one on their disk.
func coldStart(ctx context.Context, bin, pristine, home string) (fresh, resumed time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	if err := os.CopyFS(home, os.DirFS(pristine)); err != nil {
		return 0, 0, err
	}
	if err := closeModes(home); err != nil {
		return 0, 0, err
	}
	relay, err := start(ctx, filepath.Join(bin, "relay"), "--home", home, "--listen", "/ip4/127.0.0.1/tcp/0", "--log-level", "error")
	if err != nil {
		return 0, 0, err
	}
	defer relay.stop()
	const prefix = "relay address: "
	address, err := relay.await(ctx, func(line string) bool { return strings.HasPrefix(line, prefix) })
	if err != nil {
		return 0, 0, err
	}
	address = strings.TrimPrefix(address, prefix)
	args := func(role string) []string {
		return []string{"--home", home, "--role", role, "--relay", address, "--ui", "json", "--log-level", "error"}
	}
	node := filepath.Join(bin, "node")
	if fresh, err = startThree(ctx, hasKey, node, args); err != nil {
		return 0, 0, err
	}
	resumed, err = startThree(ctx, hasKey, node, args)
	return fresh, resumed, err
}

// closeModes gives a copied home the modes that a home must have.
func closeModes(home string) error {
	return filepath.WalkDir(home, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
}

// writeMinimal writes what the minimal program reads.
func writeMinimal(b *testing.B) string {
	dir, key := b.TempDir(), pkitest.RSAKey(b, 0)
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	write("key.der", x509.MarshalPKCS1PrivateKey(key))
	for _, name := range []string{"one.bin", "two.bin"} {
		wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, make([]byte, 64), nil)
		if err != nil {
			b.Fatal(err)
		}
		write(name, wrapped)
	}
	return dir
}

// minimalStart measures three minimal programs around one hub: "member", or "waits" for the floor.
func minimalStart(ctx context.Context, bin, what, dir string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	minimal := filepath.Join(bin, "minimal")
	hub, err := start(ctx, minimal, "hub")
	if err != nil {
		return 0, err
	}
	defer hub.stop()
	address, err := hub.await(ctx, func(string) bool { return true })
	if err != nil {
		return 0, err
	}
	return startThree(ctx, func(line string) bool { return line == "done" }, minimal, func(string) []string {
		return []string{what, dir, address}
	})
}

// BenchmarkColdStart measures three members from the start of their processes to the key, beside the minimal program, and
// beside the minimal program that also waits as often, which is a floor. The disk counts: with TMPDIR in memory the flushes
// cost nothing.
func BenchmarkColdStart(b *testing.B) {
	bin := b.TempDir()
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "conclave/cmd/relay", "conclave/cmd/node", "conclave/internal/minimal")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building: %v: %s", err, out)
	}
	pristine, dir := pkitest.NewGroup(b, roles...).Home(), writeMinimal(b)
	const rounds = 10
	for b.Loop() {
		var fresh, resumed, minimal, floor baseline.Latencies
		ours := func(round int) error {
			home := filepath.Join(b.TempDir(), "home")
			f, r, err := coldStart(b.Context(), bin, pristine, home)
			if round > 0 && err == nil { // the first round fills the page cache
				fresh.Add(f)
				resumed.Add(r)
			}
			return errors.Join(err, os.RemoveAll(home))
		}
		theirs := func(what string, l *baseline.Latencies) func(round int) error {
			return func(round int) error {
				took, err := minimalStart(b.Context(), bin, what, dir)
				if round > 0 && err == nil {
					l.Add(took)
				}
				return err
			}
		}
		if err := baseline.Interleave(rounds+1, ours, theirs("member", &minimal), theirs("waits", &floor)); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(0, "ns/op")
		for name, l := range map[string]*baseline.Latencies{"conclave": &fresh, "conclave-resumed": &resumed, "minimal": &minimal, "floor": &floor} {
			b.ReportMetric(millis(l.Quantile(0.5)), name+"-ms")
		}
		b.ReportMetric(float64(fresh.Quantile(0.5))/float64(minimal.Quantile(0.5)), "times-minimal")
		b.ReportMetric(float64(fresh.Quantile(0.5))/float64(floor.Quantile(0.5)), "times-floor")
		b.ReportMetric(float64(resumed.Quantile(0.5))/float64(minimal.Quantile(0.5)), "resumed-times-minimal")
	}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
