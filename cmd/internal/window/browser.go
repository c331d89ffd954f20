package window

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/cli/browser"
)

// closeGrace is how long the browser has to end by itself before it is killed.
const closeGrace = 5 * time.Second

// Config is what a Browser is made of.
type Config struct {
	// Path is the browser, as Find returned it.
	Path string
	// Dir is a folder for the profile and everything else the browser writes. It is made, and is the caller's to remove.
	Dir string
	// Start starts a process. It decides what becomes of the browser when this process dies; it may set the command's
	// SysProcAttr. Nil means the command's own Start.
	Start func(*exec.Cmd) error
	// Kill kills a process and all that it started. Nil kills it alone.
	Kill func(*exec.Cmd)
	// Output gets what the browser writes. Nil discards it.
	Output io.Writer
}

// Browser is one browser with one throw-away profile. Its methods may be called from any goroutine.
type Browser struct {
	cfg   Config
	ended chan struct{} // closed when the browser that the first window started has ended

	mu      sync.Mutex
	first   *exec.Cmd      // guarded by mu
	helpers sync.WaitGroup // hand later addresses to the first
	closed  bool           // guarded by mu
}

// New returns a Browser that has not been started.
func New(cfg Config) *Browser {
	if cfg.Start == nil {
		cfg.Start = (*exec.Cmd).Start
	}
	if cfg.Kill == nil {
		cfg.Kill = func(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
	}
	return &Browser{cfg: cfg, ended: make(chan struct{})}
}

// errClosed is returned by Open after Close.
var errClosed = errors.New("the browser has been closed")

// Open opens an address in a window of its own. The first call starts the browser; the next should wait until that
// window's page has been asked for, or the browser may not find its own profile yet.
func (b *Browser) Open(url string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	cmd, err := b.command(url)
	if err != nil {
		return fmt.Errorf("opening a window: %w", err)
	}
	if err := b.cfg.Start(cmd); err != nil {
		return fmt.Errorf("opening a window: %w", err)
	}
	if b.first == nil {
		b.first = cmd
		go func() { // ends with the browser, which Close ends
			defer close(b.ended)
			_ = cmd.Wait()
		}()
		return nil
	}
	b.helpers.Go(func() { b.hand(cmd) })
	return nil
}

// hand waits until a process has handed its address to the browser; it does not outlive it.
func (b *Browser) hand(cmd *exec.Cmd) {
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		_ = cmd.Wait()
	}()
	select {
	case <-handed:
	case <-b.ended:
		b.cfg.Kill(cmd)
		<-handed
	}
}

// command is the process that opens a window.
func (b *Browser) command(url string) (*exec.Cmd, error) {
	tmp := filepath.Join(b.cfg.Dir, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.Command(b.cfg.Path, switches(b.cfg.Dir, url, os.Geteuid() == 0 && runtime.GOOS != "windows")...)
	cmd.Stdout, cmd.Stderr = b.cfg.Output, b.cfg.Output
	// What it writes beside the profile goes into the folder as well.
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "TMP="+tmp, "TEMP="+tmp, "XDG_CACHE_HOME="+tmp, "BREAKPAD_DUMP_LOCATION="+tmp)
	return cmd, nil
}

// switches are the browser's: a new profile that asks nothing, fetches nothing and remembers nothing.
func switches(dir, url string, root bool) []string {
	list := []string{
		"--user-data-dir=" + filepath.Join(dir, "profile"), "--app=" + url,
		"--no-first-run", "--no-default-browser-check", "--disable-sync", "--disable-background-networking",
		"--disable-component-update", "--disable-default-apps", "--disable-extensions", "--disable-background-mode",
		"--disable-breakpad", "--disable-features=Translate,MediaRouter,OptimizationHints", "--password-store=basic", "--use-mock-keychain",
		"--window-position=0,0", "--window-size=960,600",
	}
	if root { // it refuses to run as root without; the second keeps it from warning of the first
		list = append(list, "--no-sandbox", "--test-type")
	}
	return list
}

// Ended is closed when the browser has ended: the person has closed all windows, or it failed.
func (b *Browser) Ended() <-chan struct{} { return b.ended }

// Close ends the browser and returns when it has ended. It may be called more than once.
func (b *Browser) Close() {
	b.mu.Lock()
	first := b.first
	b.closed = true
	b.mu.Unlock()
	if first == nil {
		return
	}
	if first.Process.Signal(syscall.SIGTERM) != nil { // it has ended, or the platform knows no signals
		b.cfg.Kill(first)
	}
	select {
	case <-b.ended:
	case <-time.After(closeGrace):
		b.cfg.Kill(first)
		<-b.ended
	}
	b.helpers.Wait()
	b.cfg.Kill(first) // whatever it left behind, where Kill reaches it
}

// Tab opens an address in the person's own browser. It returns when the platform's opener has.
func Tab(url string) error {
	if err := browser.OpenURL(url); err != nil {
		return fmt.Errorf("opening a tab: %w", err)
	}
	return nil
}
