package member

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"conclave/cmd/internal/web/webtest"
	"conclave/node"
	"conclave/overlay/wire"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// patience bounds every wait: generous, because other tests run beside these.
const patience = 60 * time.Second

// tab is the page in a real browser.
type tab struct {
	*open
	*webtest.Tab
}

// browse serves the window of a fake member and opens it in a headless browser of its own.
func browse(t *testing.T, o *open) *tab {
	t.Helper()
	p := &tab{o, webtest.NewTab(t)}
	serving, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- o.server.Serve(serving) }()
	running := make(chan struct{})
	go func() { defer close(running); o.Run(serving) }()
	t.Cleanup(func() {
		for _, problem := range p.Problems() {
			t.Error(problem)
		}
		end()
		<-running
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	p.Do(chromedp.EmulateViewport(1000, 700))
	p.Open(o.server.URL())
	p.Until(`document.querySelector(".people .words")?.textContent === "you"`)
	return p
}

// hostile are texts that would do something, were they anything but text: the first seven without, the rest mostly with
// characters that hide.
var hostile = append([]string{
	`<script>window.trapped = "script"</script>`,
	`<img src=x onerror="window.trapped = 'img'">`,
	`<svg/onload=window.trapped='svg'>`,
	`"><iframe srcdoc="<script>parent.trapped='frame'</script>"></iframe>`,
	`</li></ol></div><style>body{display:none}</style>`,
	`<a href="javascript:window.trapped=1">click</a> https://example.org/ javascript:alert(1)`,
	`{{.Status.Self}} ${window.trapped=1} <!-- --> <![CDATA[x]]> &lt;b&gt; &#x3c;script&#x3e;`,
	"\u202egnp.exe\u202c and \u2066isolated\u2069 \u200fmark\u200e",
	"zero\u200bwidth\u2060joiner\ufeffbom \u00adsoft\u034f \u3164filler \u2800blank",
	"null\x00byte and \u2028line\u2029paragraph\rreturn",
	strings.Repeat("Z\u0351\u0363\u0489\u0322\u0321\u0315", 200),
	strings.Repeat("W", 5000),
	strings.Repeat("\u0645\u0631\u062d\u0628\u0627 ", 40) + "mixed " + strings.Repeat("\u05e9\u05dc\u05d5\u05dd ", 20),
}, slices.Sorted(maps.Values(webtest.Hostile))...)

// harmful are the characters that must not be in the page as they are.
const harmful = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u200b\u2060\ufeff\u00ad\u034f\u3164\u2800" +
	"\x1b\x07\x08\x7f\u009b\u2028\u2029\U000e0041\U000e0001"

// inspection looks for anything in the timeline that is more than text.
const inspection = `(() => {
	const list = document.getElementById("entries");
	const found = [];
	if (window.trapped !== undefined) found.push("script ran: " + window.trapped);
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
	return webtest.Eval[[]string](p.Tab, strings.Replace(inspection, "HARMFUL", string(chars), 1))
}

// bodies returns the texts of the messages as the page has them.
func (p *tab) bodies() []string {
	p.t.Helper()
	return webtest.Eval[[]string](p.Tab, `Array.from(document.querySelectorAll(".message .body"), (b) => b.textContent)`)
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
	p.Until(fmt.Sprintf(`document.querySelectorAll(".message").length === %d && document.querySelector(".failure")`, len(hostile)+1))
	p.Until(`document.querySelectorAll(".note").length === 3`)
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
	p.Do(chromedp.Click(chromedp.ID("drawer-open")))
	for _, view := range []string{"live", "messages", "log", "connection", "certificates", "keys", "shares"} {
		p.Do(chromedp.Click(chromedp.ID("tab-" + view)))
		p.Until(fmt.Sprintf(`document.getElementById("tab-%s").ariaSelected === "true" && document.getElementById("panel").childElementCount > 0`, view))
		if bad := webtest.Eval[int](p.Tab, `document.querySelectorAll("#panel img, #panel script, #panel iframe, #panel style, #panel a").length`); bad != 0 {
			t.Errorf("%s: %d elements that nobody made", view, bad)
		}
	}
	if title := webtest.Eval[string](p.Tab, `document.title`); !strings.Contains(title, "A · lab") {
		t.Errorf("the title is %q", title)
	}

	// The inspection bites: what it looks for is put there by hand.
	webtest.Eval[bool](p.Tab, `(() => { const i = document.createElement("img"); i.src = "/state"; document.getElementById("entries").append(i, "\u202e"); return true })()`)
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
	p.Until(`document.getElementById("draft").value === ""`)
	deadline := time.Now().Add(patience)
	for {
		p.fake.mu.Lock()
		texts := slices.Clone(p.fake.texts)
		p.fake.mu.Unlock()
		if len(texts) >= n || time.Now().After(deadline) {
			return texts
		}
		webtest.Eval[bool](p.Tab, `new Promise((done) => setTimeout(() => done(true), 20))`)
	}
}

func TestWriting(t *testing.T) {
	p := browse(t, openFake(t, someone()))
	send, broken := enter("\r", false), enter("\r", true)
	draft := `document.getElementById("draft").value`
	p.Do(chromedp.Focus(chromedp.ID("draft")), insert("one"), broken, insert("two"))
	if got := webtest.Eval[string](p.Tab, draft); got != "one\ntwo" {
		t.Fatalf("Shift+Enter made %q", got)
	}
	p.Do(send)
	if got := p.sent(1); !slices.Equal(got, []string{"one\ntwo"}) {
		t.Fatalf("Enter sent %q", got)
	}

	// An input method is composing: its Enter chooses a word and sends nothing.
	p.Do(compose("ㅎ"), compose("하"), compose("한"), enter("", false))
	p.Do(insert("한"), insert("국"))
	if got := webtest.Eval[string](p.Tab, draft); got != "한국" {
		t.Fatalf("after composing there is %q", got)
	}
	p.fake.mu.Lock()
	n := len(p.fake.texts)
	p.fake.mu.Unlock()
	if n != 1 {
		t.Fatalf("composing sent %q", p.fake.texts[1:])
	}
	p.Do(send)
	if got := p.sent(2); len(got) != 2 || got[1] != "한국" {
		t.Fatalf("sent %q", got)
	}

	// Nothing but space is no message; one that is too long stays where it is.
	p.Do(insert("   "), send)
	webtest.Eval[bool](p.Tab, `document.getElementById("draft").value = "x".repeat(40000), true`)
	p.Do(send)
	p.Until(`!document.getElementById("composer-problem").hidden && document.getElementById("draft").value.length === 40000`)
	webtest.Eval[bool](p.Tab, `document.getElementById("draft").value = "", true`)

	// What the member does not take is shown, and sent when it is tried again.
	p.fake.mu.Lock()
	p.fake.refuse = node.ErrOutboxFull
	p.fake.mu.Unlock()
	p.Do(insert("later"), send)
	p.Until(`document.querySelector(".failure .again")`)
	p.fake.mu.Lock()
	p.fake.refuse = nil
	p.fake.mu.Unlock()
	p.Do(chromedp.Click(chromedp.CSS(".failure .again")))
	p.Until(`!document.querySelector(".failure")`)
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
	p.Until(atEnd)
	p.Until(`document.querySelectorAll(".message").length >= 100`)
	// The person scrolls up to the beginning.
	p.Until(fmt.Sprintf(`(() => { document.getElementById("timeline").scrollTop = 0; return document.querySelectorAll(".message").length === %d })()`, n))
	numbers := webtest.Eval[[]int](p.Tab, `Array.from(document.querySelectorAll(".message .body"), (b) => Number(/message (\d+)/.exec(b.textContent)[1]))`)
	for i, got := range numbers {
		if got != i {
			t.Fatalf("message %d stands in place %d", got, i)
		}
	}
	days := webtest.Eval[[]string](p.Tab, `Array.from(document.querySelectorAll(".day"), (d) => d.textContent)`)
	if same := slices.Compact(slices.Clone(days)); len(same) != len(days) || len(days) != 2 {
		t.Errorf("days: %q", days)
	}

	// What comes now does not move the page, and one click leads to it.
	p.Until(`(() => { document.getElementById("timeline").scrollTop = 0; return !document.getElementById("jump").hidden })()`)
	o.Show(node.Message{At: at(n * 20), From: "B", ID: messageID(n), Text: "the newest", Sent: noon.Add(n * 20 * time.Second)})
	p.Until(`document.getElementById("jump-text").textContent === "1 new message" && document.querySelector(".fresh")`)
	if !strings.HasPrefix(webtest.Eval[string](p.Tab, `document.title`), "(1) ") {
		t.Error("the title does not count what is new")
	}
	p.Do(chromedp.Click(chromedp.ID("jump")))
	p.Until(atEnd)
	p.Until(`document.getElementById("jump").hidden && document.querySelector(".chunk:last-child .message:last-child .body").textContent === "the newest"`)

	// Writing stays quick: the page lays out what can be seen.
	took := webtest.Eval[float64](p.Tab, `(() => { const began = performance.now(); const d = document.getElementById("draft");
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
	p.Until(`document.querySelectorAll(".message").length === 1`)
	for i := range keepEvents + 10 { // more than the feed keeps
		o.Show(node.Confirmed{At: at(2), Role: "B", Epoch: uint64(i)})
	}
	o.Show(node.Message{At: at(3), From: "C", ID: messageID(2), Text: "after", Sent: noon})
	p.Until(`document.querySelectorAll(".message").length === 2`)
	p.Do(chromedp.Reload())
	p.Until(`document.querySelectorAll(".message").length === 2`)
	p.fake.mu.Lock()
	p.fake.who.Members[2].Online = true
	p.fake.mu.Unlock()
	o.Show(node.Peer{At: at(4), Role: "C", Online: true, Path: node.ViaRelay})
	p.Until(`document.getElementById("here").textContent === "3 of 3 here"`)
}

func TestAccessible(t *testing.T) {
	axe := webtest.Axe(t)
	if axe == "" {
		t.Skip("axe-core is not here")
	}
	f := someone()
	f.codes[1] = node.Verification{Role: "B", Code: pairCode, Trust: node.Changed, Before: groupCode, WasVerified: true}
	o := openFake(t, f)
	id := messageID(1)
	o.Show(node.Message{At: at(1), From: "B", ID: messageID(2), Text: "hello", Sent: noon})
	o.Show(node.Sent{At: at(2), ID: id, State: node.Queued, Text: "x"})
	o.Show(node.Refused{At: at(3), IDs: []wire.MessageID{id}, Reason: "disk full"})
	o.Show(node.CodeChanged{At: at(4), Role: "B", WasVerified: true})
	p := browse(t, o)
	check := func(what string) {
		t.Helper()
		for _, v := range p.Accessible(axe) {
			t.Errorf("%s: %s", what, v)
		}
	}
	for _, size := range [][2]int64{{1200, 800}, {360, 740}} {
		p.Do(chromedp.EmulateViewport(size[0], size[1]))
		check(fmt.Sprint("chat ", size))
		p.Do(chromedp.Click(chromedp.ID("drawer-open")))
		for _, view := range []string{"live", "messages", "log", "connection", "certificates", "keys", "shares"} {
			p.Do(chromedp.Click(chromedp.ID("tab-" + view)))
			p.Until(`document.getElementById("panel").childElementCount > 0`)
			check(fmt.Sprint(view, " ", size))
		}
		p.Do(chromedp.Click(chromedp.ID("drawer-close")), chromedp.Click(chromedp.ID("verify-open")))
		p.Until(`document.querySelectorAll(".code").length === 3`)
		check(fmt.Sprint("codes ", size))
		p.Do(chromedp.Click(chromedp.ID("verify-close")))
	}
}
