package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"conclave/pki/pkitest"
)

// startWindow runs the command with a window until the test ends and returns the window's address and what ends it.
func startWindow(t *testing.T, home, ui string) (address string, stop func()) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "--home", home, "--listen", onLoopback, "--ui", ui)
	cmd.Env = append(os.Environ(), asRelay+"=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, stderr)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the relay node ended with %v", err)
		}
	}
	t.Cleanup(stop)
	for scan := bufio.NewScanner(stderr); scan.Scan(); {
		if found, ok := strings.CutPrefix(scan.Text(), "window: http"); ok {
			return "http" + found, stop
		}
	}
	t.Fatal("it said nothing of a window")
	return "", stop
}

// --ui serves the window of the very process, on loopback, and a page that is open is let in again after a restart on
// the same address.
func TestWindowOfARealRelayNode(t *testing.T) {
	home := pkitest.NewGroup(t, "A", "B").Home()
	address, stop := startWindow(t, home, "127.0.0.1:0")
	u, err := url.Parse(address)
	if err != nil || u.Hostname() != "127.0.0.1" {
		t.Fatalf("the window is at %s", address)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(address string) string {
		t.Helper()
		answer, err := c.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s gives %s %s %v", address, answer.Status, text, err)
		}
		return string(text)
	}
	if page := get(address); !strings.Contains(page, "What this relay node can see") {
		t.Errorf("the page is %s", page)
	}
	var state struct {
		Lines  []struct{ Text string }
		Status struct {
			Members []struct{ Role, Word string }
			Addrs   []string
		}
	}
	if err := json.Unmarshal([]byte(get("http://"+u.Host+"/state")), &state); err != nil {
		t.Fatal(err)
	}
	if len(state.Status.Members) != 2 || state.Status.Members[1].Word != "away" || len(state.Status.Addrs) == 0 || len(state.Lines) == 0 || state.Lines[0].Text != "serving" {
		t.Errorf("the state is %+v", state)
	}
	stop()
	if _, stop = startWindow(t, home, u.Host); !strings.Contains(get("http://"+u.Host+"/"), "What this relay node can see") {
		t.Error("after a restart the page is another")
	}
	stop()
	keys, err := filepath.Glob(filepath.Join(home, "*", "relay", "window.key"))
	if err != nil || len(keys) != 1 {
		t.Fatalf("secrets are %v, %v", keys, err)
	}
	if info, err := os.Stat(keys[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret's file is %v, %v", info, err)
	}
}
