// Package webtest opens windows in a real browser, for tests.
//
// A Tab is one page in a browser of its own: headless Chromium with an empty profile. It collects everything that must
// never happen in a window: errors on the console, exceptions, refusals by the page's policy, dialogs, requests to
// anywhere else. Problems returns them, and a test that forgets to ask fails at its end if there are any.
//
// Where no Chromium is installed a test is skipped with one line, except where CI=true: there it fails.
//
// Hostile is a corpus of texts that others might write. A window must show each as text, and nothing else may happen.
//
// It may be imported by tests.
package webtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"conclave/overlay/longtest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a Tab waits for what must come. It is long because the machine may be busy.
const patience = 60 * time.Second

// Browser returns the path of a Chromium, or "" where there is none.
func Browser() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "microsoft-edge", "brave-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Tab is a page in a browser.
type Tab struct {
	// Context is a chromedp context on the page, for what Tab has no method for.
	Context context.Context

	t testing.TB

	mu       sync.Mutex
	home     string   // the origin that the page may ask; guarded by mu
	problems []string // guarded by mu
	asked    bool     // guarded by mu
	down     bool     // guarded by mu
}

// NewTab starts a browser that ends with the test, or skips the test.
func NewTab(t testing.TB) *Tab {
	t.Helper()
	path := Browser()
	if path == "" {
		longtest.Cannot(t, "no Chromium is installed: the windows are not tested in a browser")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	return open(t, ctx)
}

// Another opens another page in the browser of this one, as the windows of one profile are.
func (tab *Tab) Another() *Tab {
	tab.t.Helper()
	return open(tab.t, tab.Context)
}

// open opens a page in a browser, which is started if there is none yet.
func open(t testing.TB, browser context.Context) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	tab := &Tab{t: t, Context: ctx}
	if err := chromedp.Listen(ctx, tab.note); err != nil {
		t.Fatalf("opening a page: %v", err)
	}
	tab.Do(enable(cdplog.Enable), chromedp.EmulateViewport(1280, 800))
	t.Cleanup(func() {
		tab.mu.Lock()
		defer tab.mu.Unlock()
		if len(tab.problems) > 0 && !tab.asked {
			t.Errorf("in the page:\n%s", strings.Join(tab.problems, "\n"))
		}
	})
	return tab
}

func enable(c cdp.Command[cdp.Empty, cdp.Empty]) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, c, cdp.Empty{})
		return chromedp.Void{}, err
	}
}

// note collects what must not happen.
func (tab *Tab) note(ev any) {
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		tab.problem("exception: %v", text(ev.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if kind := string(ev.Type); kind == "error" || kind == "warning" || kind == "assert" {
			tab.problem("console.%s: %s", ev.Type, text(ev.Args))
		}
	case *cdplog.EventEntryAdded:
		if tab.isDown() && ev.Entry.Source == cdplog.EntrySourceNetwork {
			return
		}
		if ev.Entry.Level == cdplog.EntryLevelError || ev.Entry.Level == cdplog.EntryLevelWarning {
			tab.problem("%s %s: %s %s", ev.Entry.Source, ev.Entry.Level, ev.Entry.Text, ev.Entry.URL)
		}
	case *page.EventJavascriptDialogOpening:
		tab.problem("dialog: %q", ev.Message)
	case *network.EventRequestWillBeSent:
		tab.request(ev.Request.URL)
	}
}

// request notes a request that goes anywhere but to the window's own process.
func (tab *Tab) request(to string) {
	tab.mu.Lock()
	home := tab.home
	tab.mu.Unlock()
	if u, err := url.Parse(to); err == nil && u.Scheme+"://"+u.Host == home || to == "about:blank" {
		return
	}
	tab.problem("request to %s", to)
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func (tab *Tab) problem(format string, args ...any) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.problems = append(tab.problems, fmt.Sprintf(format, args...))
}

// Down says whether the window's process is down: requests that fail are then no problem.
func (tab *Tab) Down(is bool) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.down = is
}

func (tab *Tab) isDown() bool {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.down
}

// Problems returns what happened so far that must not, and forgets it.
func (tab *Tab) Problems() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	all := tab.problems
	tab.problems, tab.asked = nil, true
	return all
}

// Do runs actions.
func (tab *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.Context, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		tab.t.Fatal(err)
	}
}

// Open opens a window by its address. What serves it already may go before the page does when the test ends: the requests
// that fail then are no problem.
func (tab *Tab) Open(address string) {
	tab.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tab.t.Fatal(err)
	}
	tab.mu.Lock()
	tab.home = u.Scheme + "://" + u.Host
	tab.mu.Unlock()
	tab.Do(chromedp.Navigate(address))
	tab.t.Cleanup(func() { tab.Down(true) }) // runs before the cleanup of whatever serves the page
}

// Eval evaluates an expression in the page.
func Eval[T any](tab *Tab, js string) T {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.Context, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		tab.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// Until waits until an expression holds in the page. (Chromedp's own Poll makes code from text, which the pages' policy
// does not allow.)
func (tab *Tab) Until(js string) {
	tab.t.Helper()
	for deadline := time.Now().Add(patience); !Eval[bool](tab, "Boolean("+js+")"); {
		if time.Now().After(deadline) {
			tab.t.Fatalf("it never holds: %s; the page says:\n%s", js, Eval[string](tab, "document.body.innerText"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Look sets the size of the window and its colours: "light" or "dark". Nothing moves, so that pictures are of what stays.
func (tab *Tab) Look(width, height int64, scheme string) {
	tab.t.Helper()
	media := func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return chromedp.Void{}, err
	}
	tab.Do(chromedp.EmulateViewport(width, height), media)
}

// Screenshot writes what is to be seen to a file.
func (tab *Tab) Screenshot(file string) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.Context, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		tab.t.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o644); err != nil {
		tab.t.Fatal(err)
	}
}
