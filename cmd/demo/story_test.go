//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"conclave/cmd/internal/web/webtest"
)

// theatre is a demonstration with its four windows in a browser.
type theatre struct {
	*show
	relay       *page
	a, b, c     *page
	fingerprint string
}

// members are the pages of A, B and C.
func (th *theatre) members() []*page { return []*page{th.a, th.b, th.c} }

func (th *theatre) pages() []*page { return append([]*page{th.relay}, th.members()...) }

// openTheatre starts the demonstration and opens the addresses that it prints.
func openTheatre(t *testing.T) *theatre {
	t.Helper()
	tab := webtest.NewTab(t)
	th := &theatre{show: playBuilt(t)}
	for _, to := range []struct {
		name string
		page **page
	}{{"relay", &th.relay}, {"A", &th.a}, {"B", &th.b}, {"C", &th.c}} {
		url := strings.TrimPrefix(th.await(to.name+"  "), to.name+"  ")
		*to.page = newPage(t, tab, to.name, url)
		tab = tab.Another()
	}
	th.fingerprint = strings.TrimPrefix(th.await("Final session key Kabc = "), "Final session key Kabc = ")
	return th
}

// Expressions about a page.
const (
	connected    = `document.querySelector("#connection").dataset.state === "on" && document.querySelector("#lost").hidden`
	notConnected = `document.querySelector("#connection").dataset.state !== "on" || !document.querySelector("#lost").hidden`
	relayLive    = `document.querySelector("#lost").hidden && document.querySelector("#n-online").textContent.startsWith("3 ")`
	processGone  = `!document.querySelector("#lost").hidden`
)

// hasMessage is true when a message with the text is in the timeline.
func hasMessage(text string) string {
	return `[...document.querySelectorAll("#entries .message .body")].some((e) => e.textContent === ` + quote(text) + `)`
}

// fate is true when the state of an own message is so, in shape and in words.
func fate(text, name, words string) string {
	return `[...document.querySelectorAll("#entries .message")].some((m) => m.querySelector(".body").textContent === ` + quote(text) +
		` && m.querySelector(".fate")?.dataset.fate === ` + quote(name) + ` && m.querySelector(".fate").title.includes(` + quote(words) + `))`
}

// memberHere is true when the page says whether a member is here.
func memberHere(role string, here bool) string {
	is := ""
	if !here {
		is = "!"
	}
	return is + `document.querySelector('#members [data-role="` + role + `"]').hasAttribute("data-here")`
}

func quote(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(data)
}

// TestFourWindows is the whole story, in a real browser with real processes behind it.
func TestFourWindows(t *testing.T) {
	th := openTheatre(t)
	axe := webtest.Axe(t)
	for _, p := range th.members() {
		p.await("the key's fingerprint", `document.querySelector("#fingerprint").textContent.replaceAll(" ", "") === `+quote(th.fingerprint))
		p.await("the line of the key", `document.body.innerText.includes("Final session key Kabc")`)
		p.await("a connection", connected)
		p.await("three members", memberHere("A", true)+" && "+memberHere("B", true)+" && "+memberHere("C", true))
	}
	th.relay.await("three members", relayLive)

	th.aMessageIsDelivered()
	th.theRelayNodeRestarts()
	th.aMemberLeavesAndReturns()
	th.pictures(axe)
	th.hostileTextsAreInert()

	for _, p := range th.pages() {
		p.same()
		p.silent()
	}
	if err := th.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := th.end(); code != 0 {
		t.Errorf("exit code %d: %s", code, th.stderr.String())
	}
	th.left()
}

func (th *theatre) aMessageIsDelivered() {
	const greeting = "안녕하세요 여러분 \U0001f44b"
	const text = "Hello B and C, can you read this?"
	th.a.say(text)
	th.b.await("A's message", hasMessage(text))
	th.c.await("A's message", hasMessage(text))
	th.a.await("the message's delivery", fate(text, "everybody", ""))
	th.relay.await("the sealed batch", `document.querySelectorAll("#held > *").length > 0`)
	if webtest.Eval[bool](th.relay.Tab, `document.documentElement.outerHTML.includes("can you read this")`) {
		th.t.Error("the relay node's window shows what was said")
	}
	th.b.say("Loud and clear.")
	th.c.say(greeting)
	th.a.await("the answers", hasMessage("Loud and clear.")+" && "+hasMessage(greeting))
}

func (th *theatre) hostileTextsAreInert() {
	for _, name := range slices.Sorted(maps.Keys(webtest.Hostile)) {
		th.show.say("A: " + strings.ReplaceAll(webtest.Hostile[name], "\n", " "))
	}
	const last = "That was the last of them."
	th.show.say("A: " + last)
	for _, p := range th.members() {
		p.await("the hostile texts", hasMessage(last))
		foreign := webtest.Eval[[]string](p.Tab, `[...document.querySelectorAll("#entries .body *")].filter((e) => !e.matches("bdi, span.hidden-char, wbr")).map((e) => e.outerHTML)`)
		if len(foreign) > 0 {
			th.t.Errorf("%s: texts became elements: %q", p.name, foreign)
		}
		for what, js := range map[string]string{
			"a script ran":                `window.` + webtest.Trap + ` !== undefined`,
			"a character hides":           `[...document.querySelectorAll("#entries .body")].some((e) => /[\u0000-\u0008\u000b-\u001f\u007f\u202a-\u202e\u2066-\u2069\u200b\u2060\ufeff]/.test(e.textContent))`,
			"a word makes the page wider": `document.scrollingElement.scrollWidth > innerWidth`,
			"the page was led somewhere":  `location.pathname !== "/"`,
		} {
			if webtest.Eval[bool](p.Tab, js) {
				th.t.Errorf("%s: %s", p.name, what)
			}
		}
	}
}

func (th *theatre) theRelayNodeRestarts() {
	th.relay.Down(true)
	before := th.pid("relay")
	th.say("restart relay")
	th.relay.await("that the process is gone", processGone)
	for _, p := range th.members() {
		p.await("that the relay node is gone", notConnected)
	}
	th.relay.await("everybody again", relayLive)
	th.relay.Down(false)
	if after := th.pid("relay"); after == before {
		th.t.Error("the relay node was not started again")
	}
	for _, p := range th.members() {
		p.await("a connection again", connected)
	}
	const text = "And after the relay node came back."
	th.b.say(text)
	th.a.await("B's message", hasMessage(text))
	th.c.await("B's message", hasMessage(text))
}

func (th *theatre) aMemberLeavesAndReturns() {
	th.c.Down(true)
	th.say("stop C")
	th.c.await("that its process is gone", processGone)
	th.a.await("that C is away", memberHere("C", false))
	th.b.await("that C is away", memberHere("C", false))
	const text = "C reads this later."
	th.a.say(text)
	th.a.await("that B has it", fate(text, "delivered", "1 of 2"))
	th.say("start C")
	th.c.await("what it missed", hasMessage(text))
	th.c.await("a connection", connected)
	th.c.Down(false)
	th.a.await("that C is here", memberHere("C", true))
	th.a.await("that both have it", fate(text, "everybody", ""))
	th.b.say("Welcome back.\nWe kept it for you.")
}

// pid returns the process of the command.
func (s *show) pid(command string) int {
	s.t.Helper()
	for _, pid := range s.running() {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && filepath.Base(exe) == command {
			return pid
		}
	}
	return 0
}
