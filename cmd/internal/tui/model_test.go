package tui

import (
	"context"
	"errors"
	"fmt"
	"image/color"
	"slices"
	"strings"
	"testing"

	"conclave/node"
	"conclave/overlay/wire"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

func TestStatusSaysWhoAndHow(t *testing.T) {
	t.Parallel()
	b := newBench(t, 110, 24)
	b.shows(" B   local  ● connected by relay node  epoch 1795380805123  Kabc 3f9a0c12ab34cd56  end-to-end encrypted")
	b.shows("● A  relay   ◆ has the key", "● B  you     ◆ has the key", "○ C  away    ◇ unconfirmed")
	b.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	b.shows("epoch 1795380805123  Kabc 3f9a0c12ab34cd56", "end-to-end encrypted")
	b.send(tea.WindowSizeMsg{Width: 60, Height: 24})
	b.shows("● A relay◆  ● B you◆  ○ C away◇", "Kabc 3f9a0c12ab34cd56", "end-to-end encrypted")

	b.node.who.Fingerprint, b.node.who.Links = "", []node.Link{{State: node.Connecting}}
	b.events(node.Held{At: at(1)})
	b.shows("waiting for a", "◐ connecting", "a member was removed")
	b.node.who.Members[0].Path, b.node.who.Links = node.ViaLAN, nil
	b.events(node.Using{At: at(2)})
	b.shows("● direct", "no key yet")
}

func TestOwnMessageTellsHowFarItHasCome(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, 24)
	id := wire.MessageID{1}
	b.events(node.Sent{At: at(1), ID: id, State: node.Queued, Text: "hello"})
	b.shows("B  hello  ○ queued")
	b.events(node.Refused{At: at(2), IDs: []wire.MessageID{id}, Reason: "its store is full"})
	b.shows("○ queued: its store is full; it is tried again")
	b.events(node.Sent{At: at(3), ID: id, State: node.Relayed})
	b.shows("B  hello  ◐ at the relay node")
	b.events(node.Sent{At: at(4), ID: id, State: node.Delivered, By: []wire.Role{"A"}})
	b.shows("B  hello  ◐ delivered 1 of 2")
	b.events(node.Sent{At: at(5), ID: id, State: node.Delivered, By: []wire.Role{"A", "C"}})
	b.shows("B  hello  ● delivered 2 of 2")
}

func TestDaysAndQuietLines(t *testing.T) {
	t.Parallel()
	b := newBench(t, 110, 30)
	b.events(
		node.SessionKey{At: at(0), Epoch: 7, Fingerprint: "0123456789abcdef", Contributors: []wire.Role{"A", "B", "C"}},
		node.Peer{At: at(1), Role: "C", Online: true, Path: node.ViaLAN},
		node.Peer{At: at(2), Role: "C", Online: true, Path: node.ViaLAN},
		from("A", 3, "today"),
		from("A", 3+86400, "tomorrow"),
		node.Gap{At: at(90000), From: "A", Frames: 2},
		node.Evidence{At: at(90000), Role: "C"},
		node.CodeChanged{At: at(90000), Role: "C", WasVerified: true},
		node.Problem{At: at(90000), Text: "the disk is full", Hint: "make room"},
		node.RosterChanged{At: at(90000), Version: 2, Added: []wire.Role{"D"}},
		node.Lagged{At: at(90000), Events: 3},
	)
	b.shows("Final session key Kabc = 0123456789abcdef (epoch 7, of A, B and C)", "C is here (LAN)", "! something of A is missing",
		"! C has cheated", "! the code of C has changed, and the old one had been compared", "the disk is full (make room)", "roster version 2: new D",
		at(0).Time.Local().Format("── Monday, 2 January 2006"), at(86400).Time.Local().Format("── Monday, 2 January 2006"))
	if n := strings.Count(strings.Join(b.rows(), "\n"), "C is here"); n != 1 {
		t.Errorf("that C is here is told %d times", n)
	}
}

func TestLinkChangesAreToldOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, 110, 24)
	link := func(s node.LinkState) node.Link { return node.Link{At: at(1), State: s, Reason: "connection refused"} }
	for range 5 {
		b.events(link(node.Connecting), link(node.Down))
	}
	b.hides("not reached")
	b.events(link(node.Ready), link(node.Down), link(node.Connecting), link(node.Down))
	if n := strings.Count(strings.Join(b.rows(), "\n"), "not reached any more"); n != 1 {
		t.Errorf("the loss of the relay node is told %d times", n)
	}
	b.hides("connection refused")
	b.keys("f2")
	b.shows("down: connection refused")
}

func TestTypingIsNotDisturbed(t *testing.T) {
	t.Parallel()
	b := newBench(t, 80, 24)
	b.keys("hel")
	before := *b.m.View().Cursor
	b.events(numbered(100)...)
	if after := *b.m.View().Cursor; after.Position != before.Position {
		t.Errorf("the cursor moved from %v to %v", before.Position, after.Position)
	}
	b.keys("lo", "left", "left", "X", "enter")
	if got := b.node.sent(); !slices.Equal(got, []string{"helXlo"}) {
		t.Errorf("sent %q", got)
	}
}

func TestLinesAndCommands(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, 40)
	b.keys("one", "alt+enter", "two", "ctrl+j", "three", "enter", "enter", "   ", "enter", "ctrl+u", "//slash", "enter")
	b.send(tea.PasteMsg{Content: "pasted\r\nlines\x1b[2J\u202e"})
	b.shows("› pasted", "lines[2J")
	b.keys("enter")
	if got, want := b.node.sent(), []string{"one\ntwo\nthree", "/slash", "pasted\nlines[2J"}; !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
	b.keys("/rekey", "enter")
	if b.node.rekeys != 1 {
		t.Errorf("/rekey asked %d times", b.node.rekeys)
	}
	b.keys("/who", "enter")
	b.shows("B in group local, roster version 1, epoch 1795380805123", "C: away, unconfirmed")
	b.keys("/ver")
	b.shows("/verify · Tab completes")
	b.keys("tab", "enter")
	b.shows("99999 22222 33333 44444", "55555 66666 77777 88888", "code with A (CHANGED since")
	b.keys("/verify A", "enter")
	if b.node.verified["A"] == "" {
		t.Error("/verify A remembers nothing")
	}
	b.keys("/help", "enter")
	b.shows("/rekey    agree on a new key", "Alt+Enter")
	b.keys("/nonsense", "enter")
	b.shows("/nonsense is not known", "› /nonsense")
	b.keys("ctrl+u", "/quit", "enter")
	if !b.quit {
		t.Error("/quit does not leave")
	}
	if len(b.node.sent()) != 3 {
		t.Errorf("commands were sent: %q", b.node.sent())
	}
}

func TestWhatIsNotSentComesBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, 80, 24)
	b.node.fail = node.ErrClosed
	b.keys("precious", "enter")
	b.shows("not sent: the node is closed", "› precious")
	b.keys("ctrl+u")
	b.send(tea.PasteMsg{Content: strings.Repeat("안", node.MaxText/3+1)})
	b.keys("enter")
	b.shows("a message is 1 to 32,768 bytes")
	if b.m.input.Length() == 0 {
		t.Error("a text that is too long is gone")
	}
}

func TestLeaving(t *testing.T) {
	t.Parallel()
	unsent := errors.New("unsent")
	b := newBench(t, 80, 24)
	b.m.cfg.Leave = func(context.Context) error { return unsent }
	b.keys("last words", "enter", "ctrl+c")
	if !b.quit || !errors.Is(b.m.left, unsent) || len(b.node.sent()) != 1 {
		t.Errorf("left %v with %v after sending %q", b.quit, b.m.left, b.node.sent())
	}

	b = newBench(t, 80, 24)
	b.m.cfg.Leave = func(context.Context) error { t.Error("the second ^C waits"); return nil }
	if _, cmd := b.m.Update(tea.KeyPressMsg(named["ctrl+c"])); cmd == nil { // its command is under way
		t.Error("the first ^C does nothing")
	}
	b.shows("leaving: what waits is being sent")
	b.keys("ctrl+c")
	if !b.quit {
		t.Error("the second ^C does not leave")
	}
}

func TestOtherViews(t *testing.T) {
	t.Parallel()
	b := newBench(t, 110, 30)
	b.events(
		node.Note{At: at(1), Text: "opening answered"},
		node.LinkStep{At: at(2), Step: node.StepHandshake, Detail: "certificates shown"},
		node.ShareEvent{At: at(3), Of: "A", Peer: "B", Way: node.ByCircuit, Received: true, Bytes: 999},
		node.Sealed{At: at(4), IDs: []wire.MessageID{{1}}, Bytes: 333},
		node.Confirmed{At: at(5), Epoch: 7, Role: "C"},
	)
	b.send([]logLine{{noon, 4, "disk is slow"}})
	b.shows("! 1 in the log (F2)")
	b.hides("opening answered")
	b.keys("f2")
	b.shows("note      opening answered", "handshake: certificates shown", "share of A came from B by circuit", "published", "C has the key of epoch 7", "disk is slow", "what is happening")
	b.hides("in the log")
	b.keys("f2")
	b.shows("how things stand", "Certificates", "● is signed", "○ NOT: is dated (expired)", "7 complete, in use, opened by A")
	b.keys("f2")
	b.shows("Members")
	b.hides("opening answered")
}

func TestFewRowsAndColumns(t *testing.T) {
	t.Parallel()
	b := newBench(t, 80, 24)
	b.events(numbered(30)...)
	b.events(from("A", 40, "안녕하세요 "+family+" end"))
	b.keys("typed")
	for width := 1; width < 120; width += 7 {
		for height := 1; height < 30; height += 3 {
			b.send(tea.WindowSizeMsg{Width: width, Height: height})
			b.rows()
			if c := b.m.View().Cursor; c != nil && (c.Y >= height || c.X >= width) {
				t.Errorf("on %dx%d the cursor is at %v", width, height, c.Position)
			}
			b.keys("f2")
			b.rows()
			b.keys("f2", "f2")
		}
	}
	b.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	b.shows("› typed", "안녕하세요", "message 29 of many")
}

// family is one character made of seven.
const family = "\U0001F468\u200d\U0001F469\u200d\U0001F467\u200d\U0001F466"

func TestWideCharacters(t *testing.T) {
	t.Parallel()
	b := newBench(t, 80, 24)
	b.keys("안녕")
	if c := b.m.View().Cursor; c == nil || c.X != 2+4 {
		t.Errorf("after two wide characters the cursor is at %v", c)
	}
	b.events(from("A", 1, strings.Repeat("한국어 ", 30)+family))
	b.rows()
	b.send(tea.ModeReportMsg{Mode: ansi.ModeUnicodeCore, Value: ansi.ModeSet})
	b.rows()
	column := -1
	for _, row := range b.rows() { // the line beside the members is straight
		before, _, found := strings.Cut(row, "│")
		if w := b.m.method.StringWidth(before); found && column >= 0 && w != column {
			t.Errorf("the line is at %d and at %d: %q", column, w, row)
		} else if found {
			column = w
		}
	}
	if column < 0 {
		t.Error("there is no line beside the members")
	}
}

func TestLongNamesStandAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, 80, 24)
	long := wire.Role("a-name-of-32-bytes-is-the-longest")[:32]
	b.events(from(long, 1, "hi"))
	b.shows(fmt.Sprintf("%s  %s", at(1).Time.Local().Format("15:04"), long), "  hi")
}

func TestColoursFollowTheGround(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, 24)
	b.events(from("A", 1, "hello"))
	dark := b.m.View().Content
	b.send(tea.BackgroundColorMsg{Color: color.White})
	light := b.m.View().Content
	if dark == light || ansi.Strip(dark) != ansi.Strip(light) {
		t.Errorf("on a light ground the screen is %q", light)
	}
	if b.m.theme.accent("A").Render("x") == b.m.theme.accent("B").Render("x") {
		t.Error("A and B have one colour")
	}
}
