package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"conclave/node"
	"conclave/overlay/wire"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/teatest/v2"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// started runs the model as a program, with the escape sequences of a terminal but no colours.
func started(t *testing.T) (*teatest.TestModel, *fakeNode) {
	t.Helper()
	n := newFakeNode()
	m := newModel(t.Context(), Config{Node: n, Self: "B", Group: "local", Now: func() time.Time { return noon }})
	return teatest.NewTestModel(t, m, teatest.WithInitialTermSize(100, 30), teatest.WithProgramOptions(tea.WithColorProfile(colorprofile.Ascii))), n
}

func shown(t *testing.T, tm *teatest.TestModel, texts ...string) {
	t.Helper()
	teatest.WaitFor(t, tm.Output(), func(out []byte) bool {
		for _, text := range texts {
			if !bytes.Contains(out, []byte(text)) {
				return false
			}
		}
		return true
	}, teatest.WithDuration(patience), teatest.WithCheckInterval(5*time.Millisecond))
}

func TestProgram(t *testing.T) {
	tm, n := started(t)
	shown(t, tm, "3f9a0c12ab34cd56", "Members")
	tm.Type("hel")
	tm.Send(eventsMsg{from("A", 1, "good-evening")})
	shown(t, tm, "good-evening")
	tm.Type("lo")
	tm.Send(tea.KeyPressMsg(named["enter"]))
	tm.Send(eventsMsg{node.Sent{At: at(2), ID: wire.MessageID{1}, State: node.Queued, Text: "hello"}})
	shown(t, tm, "queued")
	for i := range 100 { // each is sent only when the one before it is
		tm.Type(fmt.Sprint(i))
		tm.Send(tea.KeyPressMsg(named["enter"]))
	}
	tm.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
	tm.Type("/quit")
	tm.Send(tea.KeyPressMsg(named["enter"]))
	final, ok := tm.FinalModel(t, teatest.WithFinalTimeout(patience)).(*model)
	if !ok {
		t.Fatal("there is no final model")
	}
	texts := n.sent()
	if len(texts) != 101 || texts[0] != "hello" {
		t.Fatalf("sent %d texts: %q", len(texts), texts)
	}
	for i, text := range texts[1:] {
		if text != fmt.Sprint(i) {
			t.Fatalf("text %d is %q", i, text)
		}
	}
	screen := ansi.Strip(final.View().Content)
	for _, want := range []string{"A  good-evening", "B  hello  ○ queued", "● A relay"} {
		if !strings.Contains(screen, want) {
			t.Errorf("the last screen does not show %q:\n%s", want, screen)
		}
	}
}

// TestHostileTextReachesNoTerminal looks at the very bytes that go to the terminal.
func TestHostileTextReachesNoTerminal(t *testing.T) {
	tm, _ := started(t)
	for i, text := range hostile {
		tm.Send(eventsMsg{from("A", i, text+"marker")})
		tm.Send([]logLine{{noon, slog.LevelWarn, text}})
	}
	tm.Send(eventsMsg{from("A", 99, "the-end")})
	shown(t, tm, "the-end")
	tm.Send(tea.KeyPressMsg(named["f2"]))
	tm.Send(closedMsg{})
	out, err := io.ReadAll(tm.FinalOutput(t, teatest.WithFinalTimeout(patience)))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"\x1b]0", "\x1b]2", "\x1b]52", "\x1b]8", "\x1bP", "\x1b[6n", "\x1bc", "\u009b", "\u009d", "\u202e", "\u200b", "\x07", "\x0e"} {
		if bytes.Contains(out, []byte(bad)) {
			t.Errorf("%q reaches the terminal", bad)
		}
	}
}

// fakeEvents is a subscription.
type fakeEvents chan node.Event

func (f fakeEvents) Next(ctx context.Context) (node.Event, bool) {
	select {
	case e, ok := <-f:
		return e, ok
	case <-ctx.Done():
		return nil, false
	}
}

// terminal is what Run writes to.
type terminal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *terminal) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *terminal) has(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.buf.Bytes(), []byte(text))
}

func (w *terminal) await(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(patience); !w.has(text); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the terminal never shows %q", text)
		}
	}
}

const (
	enterScreen = "\x1b[?1049h"
	leaveScreen = "\x1b[?1049l"
)

// screen runs the screen on a terminal that is 80 by 24 and has no keyboard, and returns what ends it.
func screen(t *testing.T, cfg Config) (out *terminal, events fakeEvents, cancel func(), ended <-chan error) {
	t.Helper()
	in, hold := io.Pipe()
	t.Cleanup(func() { _ = hold.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	out, events = new(terminal), make(fakeEvents)
	cfg.Self, cfg.Group, cfg.Events, cfg.In, cfg.Out = "B", "local", events, in, out
	done := make(chan error, 1)
	go func() { done <- run(ctx, cfg, tea.WithWindowSize(80, 24)) }()
	return out, events, cancel, done
}

func end(t *testing.T, out *terminal, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		if !out.has(leaveScreen) {
			t.Error("the terminal is not given back")
		}
		return err
	case <-time.After(patience):
		t.Fatal("the screen does not end")
		return nil
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	logs := NewLogs()
	out, events, cancel, ended := screen(t, Config{Node: newFakeNode(), Logs: logs})
	out.await(t, enterScreen)
	slog.New(logs).Warn("careful") // before anything happens
	out.await(t, "1 in the log")
	events <- from("A", 1, "good-evening")
	out.await(t, "good-evening")
	cancel()
	if err := end(t, out, ended); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

func TestRunEndsWithTheEvents(t *testing.T) {
	out, events, cancel, ended := screen(t, Config{Node: newFakeNode()})
	defer cancel()
	out.await(t, enterScreen)
	for i := range 3 * maxBatch {
		events <- from("A", i, "flood")
	}
	close(events)
	if err := end(t, out, ended); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// panicky is a node that fails when it is asked.
type panicky struct{ *fakeNode }

func (panicky) Who(context.Context) (node.Who, error) { panic("on purpose: what follows is a test's") }

func TestTheTerminalIsGivenBackAfterAPanic(t *testing.T) {
	out, _, cancel, ended := screen(t, Config{Node: panicky{newFakeNode()}})
	defer cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, tea.ErrProgramPanic) {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the screen does not end")
	}
	if out.has(enterScreen) && !out.has(leaveScreen) {
		t.Error("the terminal is not given back")
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	logs := NewLogs()
	log := slog.New(logs)
	log.With("part", "link").WithGroup("g").Info("hello", "n", 1, "text", "two words")
	lines, dropped := logs.take()
	if len(lines) != 1 || dropped != 0 || lines[0].text != `hello  part=link g.n=1 g.text="two words"` || lines[0].level != slog.LevelInfo {
		t.Errorf("got %+v", lines)
	}
	for i := range maxLogs + 10 {
		log.Debug(fmt.Sprint(i))
	}
	if lines, dropped = logs.take(); len(lines) != maxLogs || dropped != 10 || lines[0].text != "10" {
		t.Errorf("%d lines are kept, %d dropped, the first is %+v", len(lines), dropped, lines[0])
	}
}
