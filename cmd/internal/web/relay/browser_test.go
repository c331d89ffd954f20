package relay

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"conclave/cmd/internal/accent"
	"conclave/cmd/internal/web"
	"conclave/cmd/internal/web/webtest"
	"conclave/overlay/wire"
	"conclave/relaynode"
)

func quoted(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// What others can make the relay node log is shown as text, before the page's script has run and after: nothing runs,
// nothing is fetched, nothing hides.
func TestHostileLogIsInert(t *testing.T) {
	tab := webtest.NewTab(t)
	n := newNode()
	n.status.GroupName = webtest.Hostile["script"] + webtest.Hostile["override"]
	n.status.Counts = map[string]uint64{webtest.Hostile["image"]: 1}
	w, log := serve(t, n, web.Config{})
	names := slices.Sorted(maps.Keys(webtest.Hostile))
	half := len(names) / 2
	say := func(names []string) {
		for _, name := range names {
			log.Info(webtest.Hostile[name], "err", webtest.Hostile[name], webtest.Hostile[name], "value")
		}
	}
	say(names[:half]) // served with the page
	tab.Open(w.server.URL())
	tab.Until(`document.querySelectorAll("#members .steps").length === 3`)
	say(names[half:]) // live
	tab.Until(fmt.Sprintf(`document.querySelectorAll("#log .line").length === %d`, len(names)))

	for i, name := range names {
		said := webtest.Eval[string](tab, fmt.Sprintf(`document.querySelectorAll("#log .line")[%d].querySelector(".said > .inert").textContent`, i))
		if want := asShown(webtest.Hostile[name]); said != want {
			t.Errorf("%s is shown as %q, want %q", name, said, want)
		}
	}
	for what, js := range map[string]string{
		"a script ran":                  `window.` + webtest.Trap + ` !== undefined`,
		"markup came from text":         `document.querySelector("#log img, #log script, #log svg, #log iframe, #log a, #log style, #log form, #log base, base, meta[http-equiv], #refusals img") !== null`,
		"a character hides":             `/[\u202a-\u202e\u2066-\u2069\u200b\u2060\ufeff\u001b\u0007]/.test(document.body.textContent)`,
		"the title has one":             `/[\u202a-\u202e]/.test(document.querySelector("h1").textContent)`,
		"a line leaves the window":      `document.documentElement.scrollWidth > innerWidth`,
		"a text is not isolated":        `[...document.querySelectorAll("#log .inert")].some((e) => getComputedStyle(e).unicodeBidi !== "isolate" || e.dir !== "auto")`,
		"the page was led somewhere":    `location.pathname !== "/"`,
		"the focus was taken":           `document.activeElement !== document.body`,
		"the page's own style was lost": `getComputedStyle(document.querySelector("header")).display === "none"`,
	} {
		if webtest.Eval[bool](tab, js) {
			t.Error(what)
		}
	}
	if p := tab.Problems(); len(p) > 0 {
		t.Errorf("in the page:\n%s", strings.Join(p, "\n"))
	}
}

// asShown is how a text is shown: what hides, by its number.
func asShown(s string) string {
	var b strings.Builder
	for _, p := range web.Pieces(s) {
		b.WriteString(p.Text)
	}
	return b.String()
}

// The two halves of the shared code, in Go and in JavaScript, agree.
func TestGoAndJavaScriptAgree(t *testing.T) {
	tab := webtest.NewTab(t)
	w, _ := serve(t, newNode(), web.Config{})
	tab.Open(w.server.URL())
	dom := quoted(w.server.Asset("dom.js"))
	for name, text := range webtest.Hostile {
		got := webtest.Eval[string](tab, fmt.Sprintf(`import(%s).then((m) => m.inert(%s).textContent)`, dom, quoted(text)))
		if want := asShown(text); got != want {
			t.Errorf("%s: %q in the page, %q by the server", name, got, want)
		}
	}
	for _, role := range []string{"A", "B", "C", "D", "alice", "bob", "Zo-e_9.x", "a", "AA"} {
		if got := webtest.Eval[int](tab, fmt.Sprintf(`import(%s).then((m) => m.accent(%s))`, dom, quoted(role))); got != accent.Of(role) {
			t.Errorf("%s has colour %d in the page, %d by the server", role, got, accent.Of(role))
		}
	}
	// In a message, joiners and selectors that belong there stay; those that do not are shown.
	for text, want := range map[string]string{
		webtest.Hostile["emoji"]:   webtest.Hostile["emoji"],
		"two\nlines\tand a tab":    "two\nlines\tand a tab",
		"windows\r\nlines":         "windows\nlines",
		"A\u200dB\ufe0f":           "AU+200DBU+FE0F",
		"\u0645\u06cc\u200c\u062e": "\u0645\u06cc\u200c\u062e",
		"\u202eabc":                "U+202Eabc",
		"\x1b[2J":                  "U+001B[2J",
		"\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f": "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
		"x\U000e0067": "xU+E0067",
	} {
		if got := webtest.Eval[string](tab, fmt.Sprintf(`import(%s).then((m) => m.inert(%s, { lines: true }).textContent)`, dom, quoted(text))); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

// Filter, pause and bytes, as a person uses them.
func TestWindowInUse(t *testing.T) {
	tab := webtest.NewTab(t)
	n := newNode()
	w, log := serve(t, n, web.Config{})
	for i := range 30 {
		log.Debug("detail", "n", i)
	}
	log.Warn("careful", "role", "B")
	tab.Open(w.server.URL())
	lines := func(n int) {
		t.Helper()
		tab.Until(fmt.Sprintf(`document.querySelectorAll("#log .line").length === %d`, n))
	}
	lines(31)
	choose := func(id, value, event string) {
		webtest.Eval[any](tab, fmt.Sprintf(`(() => { const e = document.getElementById(%q); e.value = %q; e.dispatchEvent(new Event(%q)); return 0 })()`, id, value, event))
	}
	choose("level", "warn", "change")
	lines(1)
	choose("level", "debug", "change")
	choose("filter", "N=7", "input")
	lines(1)
	choose("filter", "", "input")
	lines(31)
	if !webtest.Eval[bool](tab, `document.getElementById("log").scrollHeight - document.getElementById("log").scrollTop - document.getElementById("log").clientHeight < 2`) {
		t.Error("the log is not at its end")
	}
	webtest.Eval[any](tab, `(document.getElementById("pause").click(), 0)`)
	log.Info("while paused")
	tab.Until(`document.getElementById("pause").textContent === "Resume (1 new)"`)
	lines(31)
	webtest.Eval[any](tab, `(document.getElementById("pause").click(), 0)`)
	lines(32)

	n.hold(relaynode.Held{What: "frames", From: "A", Way: "topic", ID: "00ff", Data: frameBatch(), Frames: make([]wire.FrameHeader, 1)})
	tab.Until(`document.querySelectorAll("#held .piece").length === 1`)
	webtest.Eval[any](tab, `(document.querySelector(".views [data-view=sight]").click(), document.querySelector("#held summary").click(), 0)`)
	tab.Until(`document.querySelector("#held .hex") !== null`)
	sealed := webtest.Eval[int](tab, `[...document.querySelectorAll("#held .hex .sealed")].map((e) => e.textContent).filter((s) => /^[0-9a-f ]+$/.test(s)).join(" ").split(" ").filter((b) => b === "c5").length`)
	if want := wire.ContentHeaderSize + wire.MinBody; sealed != want {
		t.Errorf("%d bytes are marked as sealed, want %d", sealed, want)
	}
	// While one is read, what comes waits.
	n.hold(relaynode.Held{What: "share", From: "B", To: "C", Way: "session", ID: "11", Data: []byte("x")})
	tab.Until(`!document.getElementById("held-newer").hidden`)
	webtest.Eval[any](tab, `(document.getElementById("held-newer").click(), 0)`)
	tab.Until(`document.querySelectorAll("#held .piece").length === 2`)

	n.mu.Lock()
	n.status.Members[2].Online, n.status.Members[2].InTopic, n.status.Members[2].Connected = true, true, []string{"/ip4/192.0.2.3/tcp/1"}
	n.mu.Unlock()
	tab.Until(`document.querySelectorAll("#members .state[data-state=on]").length === 2`)
	for _, width := range []int64{360, 700, 960, 1600} {
		tab.Look(width, 640, "dark")
		if webtest.Eval[bool](tab, `document.documentElement.scrollWidth > innerWidth`) {
			t.Errorf("at %d pixels it is too wide", width)
		}
	}
	if p := tab.Problems(); len(p) > 0 {
		t.Errorf("in the page:\n%s", strings.Join(p, "\n"))
	}
}

// A page that is open goes on by itself when the process was started again, and shows the new one's log only.
func TestPageRecoversFromARestart(t *testing.T) {
	tab := webtest.NewTab(t)
	secret := make([]byte, 32)
	var addr string
	t.Run("before", func(t *testing.T) {
		w, log := serve(t, newNode(), web.Config{Secret: secret})
		addr = w.server.Addr()
		log.Info("first")
		tab.Open(w.server.URL())
		tab.Until(`document.querySelectorAll("#log .line").length === 1 && document.getElementById("lost").hidden`)
	})
	tab.Until(`!document.getElementById("lost").hidden`)
	n := newNode()
	n.status.Started = time.Now()
	_, log := serve(t, n, web.Config{Addr: addr, Secret: secret})
	log.Info("second")
	tab.Until(`document.getElementById("lost").hidden && document.getElementById("log").textContent.includes("second")`)
	if webtest.Eval[bool](tab, `document.getElementById("log").textContent.includes("first")`) {
		t.Error("the first process's log is still there")
	}
	tab.Problems() // the browser says on the console that the server was away
}
