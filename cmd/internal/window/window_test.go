package window

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary play the browser: the first one with a profile keeps running, like a browser does, until
// it is told to end; the next ones hand over their address and end.
func TestMain(m *testing.M) {
	if record := os.Getenv("WINDOW_TEST_RECORD"); record != "" {
		os.Exit(play(record, os.Getenv("WINDOW_TEST_STUBBORN") != ""))
	}
	os.Exit(m.Run())
}

func play(record string, stubborn bool) int {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	role := "first"
	if _, err := os.Stat(record); err == nil {
		role = "helper"
	}
	f, err := os.OpenFile(record, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	fmt.Fprintln(f, role, os.Getenv("TMPDIR"), strings.Join(os.Args[1:], " "))
	_ = f.Close()
	if role == "helper" {
		return 0
	}
	for range told {
		if !stubborn {
			return 0
		}
	}
	return 1
}

// wait returns the lines of a record once there are so many.
func wait(t *testing.T, record string, n int) []string {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		f, err := os.Open(record)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var lines []string
		for scan := bufio.NewScanner(f); scan.Scan(); {
			lines = append(lines, scan.Text())
		}
		_ = f.Close()
		if len(lines) >= n {
			return lines
		}
	}
	t.Fatalf("the browser was not started %d times", n)
	return nil
}

func newTestBrowser(t *testing.T) (b *Browser, record, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	record, dir = filepath.Join(t.TempDir(), "record"), t.TempDir()
	t.Setenv("WINDOW_TEST_RECORD", record)
	return New(Config{Path: self, Dir: dir}), record, dir
}

func TestOneBrowserHasAllWindows(t *testing.T) {
	b, record, dir := newTestBrowser(t)
	for i, url := range []string{"http://127.0.0.1:1/?token=a", "http://127.0.0.1:2/?token=b", "http://127.0.0.1:3/?token=c"} {
		if err := b.Open(url); err != nil {
			t.Fatal(err)
		}
		line := wait(t, record, i+1)[i]
		if want := map[bool]string{true: "first ", false: "helper "}[i == 0]; !strings.HasPrefix(line, want+dir) {
			t.Errorf("%q does not begin with %s%s", line, want, dir)
		}
		for _, want := range []string{"--app=" + url, "--user-data-dir=" + filepath.Join(dir, "profile"), "--no-first-run"} {
			if !slices.Contains(strings.Fields(line), want) {
				t.Errorf("%q lacks %s", line, want)
			}
		}
	}
	select {
	case <-b.Ended():
		t.Fatal("the browser ended by itself")
	default:
	}
	b.Close()
	<-b.Ended()
	if err := b.Open("http://127.0.0.1:1/"); !errors.Is(err, errClosed) {
		t.Errorf("a closed browser opens: %v", err)
	}
	b.Close()
}

func TestABrowserThatDoesNotEndIsKilled(t *testing.T) {
	t.Setenv("WINDOW_TEST_STUBBORN", "1")
	b, record, _ := newTestBrowser(t)
	if err := b.Open("http://127.0.0.1:1/"); err != nil {
		t.Fatal(err)
	}
	wait(t, record, 1)
	b.Close()
	<-b.Ended()
}

func TestClosingWhatWasNeverOpened(t *testing.T) {
	b, _, _ := newTestBrowser(t)
	b.Close()
}

func TestABrowserThatIsNotThere(t *testing.T) {
	t.Parallel()
	b := New(Config{Path: filepath.Join(t.TempDir(), "none"), Dir: t.TempDir()})
	if err := b.Open("http://127.0.0.1:1/"); err == nil {
		t.Error("a browser that is not there was started")
	}
	b.Close()
}

func TestRootNeedsTwoSwitchesMore(t *testing.T) {
	t.Parallel()
	for root, want := range map[bool]bool{true: true, false: false} {
		list := switches("d", "u", root)
		if slices.Contains(list, "--no-sandbox") != want || slices.Contains(list, "--test-type") != want {
			t.Errorf("root %v: %v", root, list)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		goos  string
		env   map[string]string
		path  []string
		files []string
		want  string
	}{
		"the best of the path":   {goos: "linux", path: []string{"brave", "chromium", "microsoft-edge"}, want: "/bin/chromium"},
		"beside the path":        {goos: "linux", files: []string{"/opt/microsoft/msedge/msedge"}, want: "/opt/microsoft/msedge/msedge"},
		"an application":         {goos: "darwin", files: []string{"/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge"}, want: "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge"},
		"the person's own":       {goos: "darwin", env: map[string]string{"HOME": "/Users/ann"}, files: []string{"/Users/ann/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"}, want: "/Users/ann/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"},
		"a program on Windows":   {goos: "windows", env: map[string]string{"ProgramFiles(x86)": "/pf86"}, files: []string{"/pf86/Microsoft/Edge/Application/msedge.exe"}, want: "/pf86/Microsoft/Edge/Application/msedge.exe"},
		"no variable, no folder": {goos: "windows", files: []string{"Google/Chrome/Application/chrome.exe"}},
		"none":                   {goos: "linux", path: []string{"firefox"}},
		"an unknown system":      {goos: "plan9", path: []string{"chromium"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			look := func(name string) (string, error) {
				if slices.Contains(c.path, name) {
					return "/bin/" + name, nil
				}
				return "", exec.ErrNotFound
			}
			got, ok := find(c.goos, func(k string) string { return c.env[k] }, look, func(p string) bool { return slices.Contains(c.files, filepath.ToSlash(p)) })
			if filepath.ToSlash(got) != c.want || ok != (c.want != "") {
				t.Errorf("found %q, %v", got, ok)
			}
		})
	}
}

func TestScreen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		goos, key string
		want      bool
	}{{"linux", "", false}, {"linux", "DISPLAY", true}, {"linux", "WAYLAND_DISPLAY", true}, {"darwin", "", true}, {"windows", "", true}} {
		got := screen(c.goos, func(k string) string { return map[string]string{c.key: ":0"}[k] })
		if got != c.want {
			t.Errorf("%s with %q: %v", c.goos, c.key, got)
		}
	}
}
