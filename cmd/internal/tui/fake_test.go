package tui

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"conclave/node"
	"conclave/overlay/wire"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// noon is when everything in these tests happens.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(seconds int) node.At { return node.At{Time: noon.Add(time.Duration(seconds) * time.Second)} }

// fakeNode is a Node that remembers what it was asked.
type fakeNode struct {
	mu       sync.Mutex
	texts    []string
	rekeys   int
	verified map[wire.Role]string
	fail     error
	who      node.Who
}

func newFakeNode() *fakeNode {
	return &fakeNode{verified: map[wire.Role]string{}, who: node.Who{
		Self: "B", Group: "local", RosterVersion: 1, RosterExpires: noon.AddDate(1, 0, 0), Epoch: 1795380805123, Fingerprint: "3f9a0c12ab34cd56",
		Members: []node.MemberStatus{
			{Role: "A", Online: true, Path: node.ViaRelay, Confirmed: true}, {Role: "B", Confirmed: true}, {Role: "C"},
		},
		Links: []node.Link{{State: node.Ready}},
	}}
}

func (f *fakeNode) SendWait(_ context.Context, text string) (wire.MessageID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return wire.MessageID{}, f.fail
	}
	f.texts = append(f.texts, text)
	return wire.MessageID{byte(len(f.texts))}, nil
}

func (f *fakeNode) sent() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.texts...)
}

func (f *fakeNode) Rekey(context.Context) error { f.rekeys++; return nil }

func (f *fakeNode) Who(context.Context) (node.Who, error) { return f.who, nil }

func (f *fakeNode) Inspect(context.Context) (node.Inspection, error) {
	return node.Inspection{
		Who:          f.who,
		Certificates: []node.CertificateView{{Kind: "member", Role: "B", Subject: "CN=B", Checks: []node.Check{{Rule: "is signed", OK: true}, {Rule: "is dated", Why: "expired"}}}},
		Epochs:       []node.Epoch{{Number: 7, Opener: "A", Complete: true}},
	}, nil
}

func (f *fakeNode) Verifications(context.Context) ([]node.Verification, error) {
	return []node.Verification{
		{Code: "11111 22222 33333 44444 55555 66666 77777 88888", Trust: node.Unverified},
		{Role: "A", Code: "99999 22222 33333 44444 55555 66666 77777 88888", Trust: node.Changed},
	}, nil
}

func (f *fakeNode) Verify(_ context.Context, role wire.Role, code string, _ bool) error {
	f.verified[role] = code
	return nil
}

// bench is a model without a terminal: messages go in, and the commands they cause are run at once.
type bench struct {
	t    testing.TB
	m    *model
	node *fakeNode
	quit bool
}

func newBench(t testing.TB, width, height int) *bench {
	n := newFakeNode()
	b := &bench{t: t, node: n}
	b.m = newModel(context.Background(), Config{Node: n, Self: "B", Group: "local", Now: func() time.Time { return noon }})
	b.run(b.m.ask())
	b.send(tea.WindowSizeMsg{Width: width, Height: height})
	return b
}

// send gives the model a message and runs what follows from it.
func (b *bench) send(msg tea.Msg) {
	b.t.Helper()
	_, cmd := b.m.Update(msg)
	b.run(cmd)
}

func (b *bench) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.QuitMsg:
		b.quit = true
	case tea.BatchMsg:
		for _, cmd := range msg {
			b.run(cmd)
		}
	default:
		b.send(msg)
	}
}

func (b *bench) events(events ...node.Event) { b.send(eventsMsg(events)) }

// keys presses keys by their names; a name that is none is typed as text.
func (b *bench) keys(names ...string) {
	for _, name := range names {
		if k, ok := named[name]; ok {
			b.send(tea.KeyPressMsg(k))
			continue
		}
		for _, r := range name {
			b.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

var named = map[string]tea.Key{
	"enter": {Code: tea.KeyEnter}, "alt+enter": {Code: tea.KeyEnter, Mod: tea.ModAlt}, "ctrl+j": {Code: 'j', Mod: tea.ModCtrl},
	"pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown}, "end": {Code: tea.KeyEnd}, "ctrl+home": {Code: tea.KeyHome, Mod: tea.ModCtrl},
	"f2": {Code: tea.KeyF2}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl},
	"ctrl+d": {Code: 'd', Mod: tea.ModCtrl}, "left": {Code: tea.KeyLeft}, "ctrl+u": {Code: 'u', Mod: tea.ModCtrl},
}

// rows returns the screen without styles, and fails the test where it does not fit the terminal.
func (b *bench) rows() []string {
	b.t.Helper()
	rows := strings.Split(ansi.Strip(b.m.View().Content), "\n")
	if len(rows) != b.m.height {
		b.t.Errorf("%d rows are drawn on %d", len(rows), b.m.height)
	}
	for i, row := range rows {
		if w := b.m.method.StringWidth(row); w > b.m.width {
			b.t.Errorf("row %d of %d columns is drawn on %d: %q", i, w, b.m.width, row)
		}
	}
	return rows
}

// shows fails the test unless the screen holds every text; hides, if it holds any.
func (b *bench) shows(texts ...string) {
	b.t.Helper()
	screen := strings.Join(b.rows(), "\n")
	for _, text := range texts {
		if !strings.Contains(screen, text) {
			b.t.Errorf("the screen does not show %q:\n%s", text, screen)
		}
	}
}

func (b *bench) hides(texts ...string) {
	b.t.Helper()
	screen := strings.Join(b.rows(), "\n")
	for _, text := range texts {
		if strings.Contains(screen, text) {
			b.t.Errorf("the screen shows %q:\n%s", text, screen)
		}
	}
}

// from makes a message of another member.
func from(role wire.Role, n int, text string) node.Message {
	return node.Message{At: at(n), From: role, ID: wire.MessageID{byte(n), byte(n >> 8), 'm'}, Text: text, Sent: at(n).Time, Epoch: 7}
}

func numbered(n int) []node.Event {
	events := make([]node.Event, n)
	for i := range events {
		events[i] = from("A", i, fmt.Sprintf("message %d of many", i))
	}
	return events
}
