package tui

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"conclave/pki/pkitest"
)

// tmux is a server of its own with one session for each member.
type tmux struct {
	t       *testing.T
	program string
	socket  string
}

func (x *tmux) do(args ...string) string {
	x.t.Helper()
	out, err := exec.Command(x.program, append([]string{"-S", x.socket, "-f", os.DevNull}, args...)...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// open starts a command in a shell of its own: the shell is there when the command has ended.
func (x *tmux) open(name string, width, height int, command string) {
	x.t.Helper()
	x.do("new-session", "-d", "-s", name, "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "env PS1='shell$ ' sh")
	x.text(name, command)
	x.keys(name, "Enter")
}

func (x *tmux) text(name, text string) { x.t.Helper(); x.do("send-keys", "-t", name, "-l", text) }

func (x *tmux) keys(name string, keys ...string) {
	x.t.Helper()
	x.do(append([]string{"send-keys", "-t", name}, keys...)...)
}

func (x *tmux) screen(name string) string {
	x.t.Helper()
	return x.do("capture-pane", "-p", "-t", name)
}

// await waits until a session's screen holds all texts.
func (x *tmux) await(name string, texts ...string) {
	x.t.Helper()
	for end := time.Now().Add(3 * patience); ; time.Sleep(50 * time.Millisecond) {
		screen, missing := x.screen(name), ""
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			x.t.Fatalf("the screen of %s never shows %q:\n%s", name, missing, screen)
		}
	}
}

// build builds the real commands.
func build(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	out, err := exec.Command("go", "build", "-o", folder+string(filepath.Separator), "conclave/cmd/node", "conclave/cmd/relay").CombinedOutput()
	if err != nil {
		t.Fatalf("building: %v: %s", err, out)
	}
	return folder
}

// relay starts a relay node and returns its address.
func relay(t *testing.T, program, home string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--home", home, "--listen", "/ip4/127.0.0.1/tcp/0", "--log-level", "error")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return strings.TrimSpace(strings.TrimPrefix(line, "relay address: "))
}

// TestInTmux runs a relay node and two members as they are run for real, in terminals.
func TestInTmux(t *testing.T) {
	program := pkitest.Tool(t, "tmux")
	folder, home := build(t), pkitest.NewGroup(t, "A", "B").Home()
	address := relay(t, filepath.Join(folder, "relay"), home)
	short, err := os.MkdirTemp("", "conclave") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	x := &tmux{t, program, filepath.Join(short, "tmux")}
	t.Cleanup(func() { _ = exec.Command(program, "-S", x.socket, "kill-server").Run() })
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("LC_ALL", "C.UTF-8")
	member := func(role string) string {
		return fmt.Sprintf(`sh -c 'echo $$ >"%s"; exec "%s" --home "%s" --role %s --relay %s'`, filepath.Join(short, role), filepath.Join(folder, "node"), home, role, address)
	}
	x.open("A", 110, 30, member("A"))
	x.open("B", 70, 24, member("B"))
	x.await("A", "Final session key Kabc = ", "end-to-end encrypted", "● connected", "● B  relay   ◆ has the key")
	x.await("B", "Final session key Kabc = ", "end-to-end encrypted", "● A relay◆")

	// A message arrives while the other one types; own messages tell that they are delivered.
	x.text("B", "half a")
	x.text("A", "안녕하세요, good evening")
	x.keys("A", "Enter")
	x.await("B", "A  안녕하세요, good evening", "› half a")
	x.await("A", "안녕하세요, good evening  ● delivered 1 of 1")
	x.text("B", " line")
	x.keys("B", "M-Enter")
	x.text("B", "and another")
	x.keys("B", "Enter")
	x.await("A", "B  half a line", "and another")

	// Scrollback, resizing and the other views.
	for i := range 30 {
		x.text("A", fmt.Sprintf("number %d", i))
		x.keys("A", "Enter")
	}
	x.await("B", "number 29")
	x.keys("B", "PPage", "PPage")
	x.await("B", "half a line", "earlier (End: the newest)")
	x.text("A", "unseen")
	x.keys("A", "Enter")
	x.await("B", "1 new message (End)")
	x.keys("B", "End")
	x.await("B", "new messages ──", "unseen")
	x.do("resize-window", "-t", "B", "-x", "120", "-y", "35")
	x.await("B", "Members", "● B  you     ◆ has the key", "number 15")
	x.keys("B", "F2")
	x.await("B", "what is happening", "of A opened under epoch")
	x.keys("B", "C-Home")
	x.await("B", "handshake: certificate of relay node", "share of A came")
	x.keys("B", "F2")
	x.await("B", "how things stand", "peer ID 12D3Koo")
	x.keys("B", "Escape")
	x.await("B", "Members")

	// Both leave, one by a signal, and the terminal is what it was.
	x.text("A", "/quit")
	x.keys("A", "Enter")
	x.await("A", "shell$")
	x.await("B", "A is away")
	pid, err := os.ReadFile(filepath.Join(short, "B"))
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("kill", "-TERM", strings.TrimSpace(string(pid))).Run(); err != nil {
		t.Fatal(err)
	}
	x.await("B", "shell$")
	for _, name := range []string{"A", "B"} {
		// The prompt that was awaited may be the one before: what is typed comes before the new one then, on a line of its own.
		x.text(name, `echo flags=$(stty -a | tr ' ;' '\n\n' | grep -c -x -e icanon -e echo -e isig)`)
		x.keys(name, "Enter")
		x.await(name, "flags=3")
		if flag := x.do("display", "-p", "-t", name, "#{alternate_on}#{cursor_flag}"); flag != "01\n" {
			t.Errorf("the terminal of %s is left with alternate screen and cursor %q", name, flag)
		}
	}
}
