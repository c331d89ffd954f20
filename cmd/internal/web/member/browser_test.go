package member

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"conclave/node"
	"conclave/overlay/wire"
	"conclave/pki/pkitest"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds every wait: generous, because other tests run beside these.
const patience = 60 * time.Second

// tab is the page in a real browser, and what it complained about.
type tab struct {
	*open
	ctx context.Context

	mu         sync.Mutex
	complaints []string // errors on the console and exceptions
	requests   []string // addresses that it asked for
}

// browse serves the window of a fake member and opens it in a headless browser of its own.
func browse(t *testing.T, o *open) *tab {
	t.Helper()
	path := pkitest.Tool(t, "chromium")
	serving, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- o.server.Serve(serving) }()
	running := make(chan struct{})
	go func() { defer close(running); o.Run(serving) }()
	t.Cleanup(func() {
		end()
		<-running
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	p := &tab{open: o, ctx: ctx}
	p.listen()
	p.do(chromedp.EmulateViewport(1000, 700), chromedp.Navigate(o.server.URL()))
	p.until(`document.getElementById("members").children.length >= 3`)
	t.Cleanup(p.quiet)
	return p
}

func (p *tab) listen() {
	complain := func(text string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.complaints = append(p.complaints, text)
	}
	console := chromedp.Events(p.ctx, runtime.ConsoleAPICalled)
	exceptions := chromedp.Events(p.ctx, runtime.ExceptionThrown)
	requests := chromedp.Events(p.ctx, network.RequestWillBeSent)
	p.do(func(ctx context.Context, _ *chromedp.Target) (v chromedp.Void, err error) {
		_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
		return v, err
	})
	go func() { // ends with the tab, as those below
		for e, err := range console {
			if err != nil {
				return
			}
			if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
				complain(fmt.Sprint(e.Type, e.Args))
			}
		}
	}()
	go func() {
		for e, err := range exceptions {
			if err != nil {
				return
			}
			complain(e.ExceptionDetails.Text)
		}
	}()
	go func() {
		for e, err := range requests {
			if err != nil {
				return
			}
			p.mu.Lock()
			p.requests = append(p.requests, e.Request.URL)
			p.mu.Unlock()
		}
	}()
}

// quiet fails when the page complained, or asked anybody else for anything.
func (p *tab) quiet() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.complaints {
		p.t.Errorf("the page complains: %s", c)
	}
	if len(p.requests) == 0 {
		p.t.Error("no request was seen: the test looks at nothing")
	}
	for _, r := range p.requests {
		if !strings.HasPrefix(r, "http://"+p.server.Addr()+"/") {
			p.t.Errorf("the page asked for %s", r)
		}
	}
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// value is what an expression yields in the page.
func value[T any](p *tab, js string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](js))
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// until waits for a condition in the page.
func (p *tab) until(js string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool]("!!("+js+")", chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(patience))); err != nil {
		state, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.getElementById("entries").innerText.slice(-2000)`))
		p.t.Fatalf("waited in vain for %s: %v\n%s", js, err, state)
	}
}

// hostile are texts that would do something, were they anything but text.
var hostile = []string{
	`<script>window.pwned = "script"</script>`,
	`<img src=x onerror="window.pwned = 'img'">`,
	`<svg/onload=window.pwned='svg'>`,
	`"><iframe srcdoc="<script>parent.pwned='frame'</script>"></iframe>`,
	`</li></ol></div><style>body{display:none}</style>`,
	`<a href="javascript:window.pwned=1">click</a> https://example.org/ javascript:alert(1)`,
	`{{.Status.Self}} ${window.pwned=1} <!-- --> <![CDATA[x]]> &lt;b&gt; &#x3c;script&#x3e;`,
	"\u202egnp.exe\u202c and \u2066isolated\u2069 \u200fmark\u200e",
	"zero\u200bwidth\u2060joiner\ufeffbom \u00adsoft\u034f \u3164filler \u2800blank",
	"\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J\x1b[H \x9b31m \x08\x7f",
	"null\x00byte and \u2028line\u2029paragraph\rreturn",
	"tags \U000e0041\U000e0042 and \U000e0001",
	strings.Repeat("Z\u0351\u0363\u0489\u0322\u0321\u0315", 200),
	strings.Repeat("W", 5000),
	strings.Repeat("\u0645\u0631\u062d\u0628\u0627 ", 40) + "mixed " + strings.Repeat("\u05e9\u05dc\u05d5\u05dd ", 20),
}

// harmful are the characters that must not be in the page as they are.
const harmful = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u200b\u2060\ufeff\u00ad\u034f\u3164\u2800" +
	"\x1b\x07\x08\x7f\u009b\u2028\u2029\U000e0041\U000e0001"

// inspection looks for anything in the timeline that is more than text.
const inspection = `(() => {
	const list = document.getElementById("entries");
	const found = [];
	if (window.pwned !== undefined) found.push("script ran: " + window.pwned);
	for (const e of list.querySelectorAll("*")) {
		const kind = e.tagName.toLowerCase();
		if (!["ol", "li", "p", "div", "span", "bdi", "time", "svg", "use", "button"].includes(kind)) found.push("an element " + kind);
		if (kind === "svg" && !e.classList.contains("icon")) found.push("a foreign drawing");
		for (const a of e.attributes) if (a.name.startsWith("on") || a.name === "src" || a.name === "style") found.push(kind + " has " + a.name);
	}
	for (const c of HARMFUL) if (list.textContent.includes(c)) found.push("U+" + c.codePointAt(0).toString(16));
	const column = document.getElementById("timeline").getBoundingClientRect();
	let above = null;
	for (const b of list.querySelectorAll(".bubble")) {
		const box = b.getBoundingClientRect();
		if (box.right > column.right + 1 || box.left < column.left - 1) found.push("a message is wider than its column");
		if (above && box.top < above - 1) found.push("a message covers another");
		above = box.bottom;
	}
	if (getComputedStyle(document.body).display === "none") found.push("the page is gone");
	return found;
})()`

// findings returns what the inspection finds now.
func (p *tab) findings() []string {
	p.t.Helper()
	chars, err := json.Marshal(strings.Split(harmful, ""))
	if err != nil {
		p.t.Fatal(err)
	}
	return value[[]string](p, strings.Replace(inspection, "HARMFUL", string(chars), 1))
}

// bodies returns the texts of the messages as the page has them.
func (p *tab) bodies() []string {
	p.t.Helper()
	return value[[]string](p, `Array.from(document.querySelectorAll(".message .body"), (b) => b.textContent)`)
}

func TestHostileTextsAreInert(t *testing.T) {
	o := openFake(t, someone())
	half := len(hostile) / 2
	show := func(i int) {
		o.Show(node.Message{At: at(i), From: "B", ID: messageID(i), Text: hostile[i], Sent: noon})
	}
	for i := range half {
		show(i) // these are in the first paint
	}
	p := browse(t, o)
	for i := half; i < len(hostile); i++ {
		show(i) // and these come live
	}
	id := messageID(1000)
	o.Show(node.Sent{At: at(50), ID: id, State: node.Queued, Text: hostile[0]})
	o.Show(node.Refused{At: at(51), IDs: []wire.MessageID{id}, Reason: hostile[1]})
	o.Show(node.Problem{At: at(52), Text: hostile[1], Hint: hostile[7]})
	o.Show(node.Link{At: at(53), Relay: "r", State: node.Ready})
	o.Show(node.Link{At: at(54), Relay: "r", State: node.Down, Reason: hostile[9]})
	p.until(fmt.Sprintf(`document.querySelectorAll(".message").length === %d && document.querySelector(".failure")`, len(hostile)+1))
	p.until(`document.querySelectorAll(".note").length === 3`)
	if found := p.findings(); len(found) > 0 {
		t.Errorf("found: %q", found)
	}
	bodies := p.bodies()
	for i, text := range hostile[:7] { // without hidden characters they are there as they were written
		if bodies[i] != text {
			t.Errorf("message %d is %q, want %q", i, bodies[i], text)
		}
	}
	if want := "U+202Egnp.exeU+202C and U+2066isolatedU+2069 U+200FmarkU+200E"; bodies[7] != want {
		t.Errorf("%q, want %q", bodies[7], want)
	}

	// The drawer shows some of them too.
	p.do(chromedp.Click(chromedp.ID("drawer-open")))
	for _, view := range []string{"live", "messages", "log", "connection", "certificates", "keys", "shares"} {
		p.do(chromedp.Click(chromedp.ID("tab-" + view)))
		p.until(fmt.Sprintf(`document.getElementById("tab-%s").ariaSelected === "true" && document.getElementById("panel").childElementCount > 0`, view))
		if bad := value[int](p, `document.querySelectorAll("#panel img, #panel script, #panel iframe, #panel style, #panel a").length`); bad != 0 {
			t.Errorf("%s: %d elements that nobody made", view, bad)
		}
	}
	if title := value[string](p, `document.title`); !strings.Contains(title, "A · lab") {
		t.Errorf("the title is %q", title)
	}

	// The inspection bites: what it looks for is put there by hand.
	value[bool](p, `(() => { const i = document.createElement("img"); i.src = "/state"; document.getElementById("entries").append(i, "\u202e"); return true })()`)
	if found := p.findings(); len(found) < 3 {
		t.Errorf("an image with a source and U+202E were put there, and it found %q", found)
	}
}

// enter presses Enter, as a keyboard does. text is what it would write: "\r", or nothing where an input method takes it.
func enter(text string, shift bool) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, _ *chromedp.Target) (v chromedp.Void, err error) {
		down := input.DispatchKeyEventParams{
			Type: input.DispatchKeyEventTypeKeyDown, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13, NativeVirtualKeyCode: 13, Text: text,
		}
		if text == "" {
			down.Type = input.DispatchKeyEventTypeRawKeyDown
		}
		if shift {
			down.Modifiers = 8 // Shift
		}
		up := down
		up.Type, up.Text = input.DispatchKeyEventTypeKeyUp, ""
		for _, e := range []input.DispatchKeyEventParams{down, up} {
			if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, e); err != nil {
				return v, err
			}
		}
		return v, nil
	}
}

func compose(text string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, _ *chromedp.Target) (v chromedp.Void, err error) {
		end := int64(len([]rune(text)))
		_, err = chromedp.Call(ctx, input.ImeSetComposition, input.ImeSetCompositionParams{Text: text, SelectionStart: end, SelectionEnd: end})
		return v, err
	}
}

func insert(text string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, _ *chromedp.Target) (v chromedp.Void, err error) {
		_, err = chromedp.Call(ctx, input.InsertText, input.InsertTextParams{Text: text})
		return v, err
	}
}

// sent waits until the member was given so many texts.
func (p *tab) sent(n int) []string {
	p.t.Helper()
	p.until(`document.getElementById("draft").value === ""`)
	deadline := time.Now().Add(patience)
	for {
		p.fake.mu.Lock()
		texts := slices.Clone(p.fake.texts)
		p.fake.mu.Unlock()
		if len(texts) >= n || time.Now().After(deadline) {
			return texts
		}
		value[bool](p, `new Promise((done) => requestAnimationFrame(() => done(true))) && true`)
	}
}

func TestWriting(t *testing.T) {
	p := browse(t, openFake(t, someone()))
	send, broken := enter("\r", false), enter("\r", true)
	draft := `document.getElementById("draft").value`
	p.do(chromedp.Focus(chromedp.ID("draft")), insert("one"), broken, insert("two"))
	if got := value[string](p, draft); got != "one\ntwo" {
		t.Fatalf("Shift+Enter made %q", got)
	}
	p.do(send)
	if got := p.sent(1); !slices.Equal(got, []string{"one\ntwo"}) {
		t.Fatalf("Enter sent %q", got)
	}

	// An input method is composing: its Enter chooses a word and sends nothing.
	p.do(compose("ㅎ"), compose("하"), compose("한"), enter("", false))
	p.do(insert("한"), insert("국"))
	if got := value[string](p, draft); got != "한국" {
		t.Fatalf("after composing there is %q", got)
	}
	p.fake.mu.Lock()
	n := len(p.fake.texts)
	p.fake.mu.Unlock()
	if n != 1 {
		t.Fatalf("composing sent %q", p.fake.texts[1:])
	}
	p.do(send)
	if got := p.sent(2); len(got) != 2 || got[1] != "한국" {
		t.Fatalf("sent %q", got)
	}

	// Nothing but space is no message; one that is too long stays where it is.
	p.do(insert("   "), send)
	value[bool](p, `document.getElementById("draft").value = "x".repeat(40000), true`)
	p.do(send)
	p.until(`!document.getElementById("composer-problem").hidden && document.getElementById("draft").value.length === 40000`)
	value[bool](p, `document.getElementById("draft").value = "", true`)

	// What the member does not take is shown, and sent when it is tried again.
	p.fake.mu.Lock()
	p.fake.refuse = node.ErrOutboxFull
	p.fake.mu.Unlock()
	p.do(insert("later"), send)
	p.until(`document.querySelector(".failure .again")`)
	p.fake.mu.Lock()
	p.fake.refuse = nil
	p.fake.mu.Unlock()
	p.do(chromedp.Click(chromedp.CSS(".failure .again")))
	p.until(`!document.querySelector(".failure")`)
	if got := p.sent(3); len(got) != 3 || got[2] != "later" {
		t.Fatalf("sent %q", got)
	}
}

func TestFiveThousandMessages(t *testing.T) {
	o := openFake(t, someone())
	const n = 5000
	for i := range n {
		text := fmt.Sprintf("message %d %s", i, hostile[i%7])
		if i%5 == 0 {
			o.Show(node.Sent{At: at(i * 20), ID: messageID(i), State: node.Queued, Text: text})
			continue
		}
		o.Show(node.Message{At: at(i * 20), From: []wire.Role{"B", "C"}[i/7%2], ID: messageID(i), Text: text, Sent: noon.Add(time.Duration(i) * 20 * time.Second)})
	}
	p := browse(t, o)
	atEnd := `(() => { const s = document.getElementById("timeline"); return s.scrollHeight - s.scrollTop - s.clientHeight < 40 })()`
	p.until(atEnd)
	p.until(`document.querySelectorAll(".message").length >= 100`)
	// The person scrolls up to the beginning.
	p.until(fmt.Sprintf(`(() => { document.getElementById("timeline").scrollTop = 0; return document.querySelectorAll(".message").length === %d })()`, n))
	numbers := value[[]int](p, `Array.from(document.querySelectorAll(".message .body"), (b) => Number(/message (\d+)/.exec(b.textContent)[1]))`)
	for i, got := range numbers {
		if got != i {
			t.Fatalf("message %d stands in place %d", got, i)
		}
	}
	days := value[[]string](p, `Array.from(document.querySelectorAll(".day"), (d) => d.textContent)`)
	if same := slices.Compact(slices.Clone(days)); len(same) != len(days) || len(days) != 2 {
		t.Errorf("days: %q", days)
	}

	// What comes now does not move the page, and one click leads to it.
	p.until(`(() => { document.getElementById("timeline").scrollTop = 0; return !document.getElementById("jump").hidden })()`)
	o.Show(node.Message{At: at(n * 20), From: "B", ID: messageID(n), Text: "the newest", Sent: noon.Add(n * 20 * time.Second)})
	p.until(`document.getElementById("jump-text").textContent === "1 new message" && document.querySelector(".fresh")`)
	if !strings.HasPrefix(value[string](p, `document.title`), "(1) ") {
		t.Error("the title does not count what is new")
	}
	p.do(chromedp.Click(chromedp.ID("jump")))
	p.until(atEnd)
	p.until(`document.getElementById("jump").hidden && document.querySelector(".chunk:last-child .message:last-child .body").textContent === "the newest"`)

	// Writing stays quick: the page lays out what can be seen.
	took := value[float64](p, `(() => { const began = performance.now(); const d = document.getElementById("draft");
		for (let i = 0; i < 20; i++) { d.value += "x"; d.dispatchEvent(new Event("input")); d.getBoundingClientRect(); }
		return performance.now() - began })()`)
	if took > 2000 {
		t.Errorf("twenty keys take %.0f ms", took)
	}
	t.Logf("twenty keys take %.1f ms with %d messages", took, n)
}

func TestPageComesBack(t *testing.T) {
	o := openFake(t, someone())
	o.Show(node.Message{At: at(1), From: "B", ID: messageID(1), Text: "before", Sent: noon})
	p := browse(t, o)
	p.until(`document.querySelectorAll(".message").length === 1`)
	for i := range keepEvents + 10 { // more than the feed keeps
		o.Show(node.Confirmed{At: at(2), Role: "B", Epoch: uint64(i)})
	}
	o.Show(node.Message{At: at(3), From: "C", ID: messageID(2), Text: "after", Sent: noon})
	p.until(`document.querySelectorAll(".message").length === 2`)
	p.do(chromedp.Reload())
	p.until(`document.querySelectorAll(".message").length === 2`)
	p.fake.mu.Lock()
	p.fake.who.Members[2].Online = true
	p.fake.mu.Unlock()
	o.Show(node.Peer{At: at(4), Role: "C", Online: true, Path: node.ViaRelay})
	p.until(`document.getElementById("here").textContent === "3 of 3 here"`)
}
