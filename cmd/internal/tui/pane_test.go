package tui

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"conclave/node"
	"conclave/overlay/wire"

	"github.com/charmbracelet/x/ansi"
)

// block is an item of so many words of one cell, drawn one a line when the width is odd and two when it is even.
type block struct{ name, n int }

func (w block) size() int { return 8 }

func (w block) lines(l layout) (lines []string) {
	for i := 0; i < w.n; i += 2 - l.width%2 {
		lines = append(lines, fmt.Sprintf("%d/%d", w.name, i))
	}
	return lines
}

// TestPaneIsAWindow holds the pane against a list of all its lines.
func TestPaneIsAWindow(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a schedule of a test
		p, th := newPane(), newTheme(true)
		l := layout{width: 11, method: ansi.GraphemeWidth, theme: th}
		p.resize(l, 7)
		lower, total := 0, 0 // the line after the last one shown, and how many there are
		for step := range 300 {
			before := slices.Clone(p.view())
			n := random.IntN(12)
			act := random.IntN(12)
			switch act {
			case 0, 1, 2, 3, 4:
				p.add(block{p.last() + 1, 1 + random.IntN(4)})
			case 5, 6:
				p.up(n)
			case 7, 8:
				p.down(n)
			case 9:
				p.top()
			case 10:
				p.end()
			case 11:
				l.width, p.height = 10+random.IntN(2), 1+random.IntN(9)
				p.resize(l, p.height)
			}
			var all []string
			for i := p.first; i <= p.last(); i++ {
				all = append(all, p.items[i-p.first].lines(l)...)
			}
			view := p.view()
			shown := min(len(all), p.height)
			if len(view) != p.height || slices.ContainsFunc(view[shown:], func(s string) bool { return s != "" }) {
				t.Fatalf("seed %d, step %d: %d of %d lines are shown as %q", seed, step, shown, len(all), view)
			}
			start := 0
			if shown > 0 {
				start = slices.Index(all, view[0])
			}
			if start < 0 || !slices.Equal(all[start:start+shown], view[:shown]) {
				t.Fatalf("seed %d, step %d (%d): %q is no part of %q", seed, step, act, view, all)
			}
			end := start + shown
			if p.follow != (end == len(all)) {
				t.Fatalf("seed %d, step %d (%d): follow is %v, %d of %d lines end", seed, step, act, p.follow, end, len(all))
			}
			want := -1
			switch act {
			case 0, 1, 2, 3, 4:
				if want = lower; lower == total || len(all) < p.height {
					want = len(all)
				}
				if lower != total && !slices.Equal(before[:shown], view[:shown]) {
					t.Fatalf("seed %d, step %d: a new item moved what was read from %q to %q", seed, step, before, view)
				}
			case 5, 6:
				want = max(lower-n, shown)
			case 7, 8:
				want = min(lower+n, len(all))
			case 9:
				want = shown
			case 10:
				want = len(all)
			}
			if want >= 0 && end != want {
				t.Fatalf("seed %d, step %d (%d by %d): the edge is at %d, want %d of %d", seed, step, act, n, end, want, len(all))
			}
			lower, total = end, len(all)
		}
	}
}

func TestScrollbackOfManyMessages(t *testing.T) {
	t.Parallel()
	b := newBench(t, 80, 24)
	b.events(numbered(5000)...)
	b.shows("message 4999 of many")
	seen := map[string]bool{}
	for range 5000 {
		for _, row := range b.rows() {
			if _, text, ok := strings.Cut(row, "message "); ok {
				seen[strings.Fields(text)[0]] = true
			}
		}
		if seen["0"] {
			break
		}
		b.keys("pgup")
	}
	if len(seen) != 5000 {
		t.Errorf("scrolling up shows %d of 5,000 messages", len(seen))
	}
	b.keys("pgdown")
	before := b.rows()
	b.events(from("A", 6000, "fresh one"), from("C", 6001, "fresh two"))
	if after := b.rows(); !slices.Equal(before[:20], after[:20]) {
		t.Errorf("a new message moved what is read:\n%s\n\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	b.shows("↓ 2 new messages (End)")
	b.keys("end")
	b.shows("── new messages ──", "fresh one", "fresh two")
	b.hides("(End)")
	b.keys("ok", "enter")
	b.hides("new messages")
	b.keys("ctrl+home")
	b.shows("message 0 of many")
}

func TestScrollbackIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, 80, 24)
	b.events(node.Sent{At: at(0), ID: wire.MessageID{1}, State: node.Queued, Text: "the first"})
	b.keys("ctrl+home")
	for range 3 {
		b.events(numbered(maxItems / 2)...)
	}
	p := &b.m.panes[chatView]
	if len(p.items) > maxItems || len(b.m.mine) != 0 {
		t.Errorf("%d items and %d own messages are kept", len(p.items), len(b.m.mine))
	}
	b.events(node.Sent{At: at(0), ID: wire.MessageID{1}, State: node.Relayed}) // of a message that is gone
	b.keys("ctrl+home", "pgdown", "end")
	b.shows("message 4999 of many")
	for i := range 12 {
		b.events(from("A", i, strings.Repeat("long ", 1<<19)))
	}
	if p.bytes > maxBytes {
		t.Errorf("%d bytes are kept", p.bytes)
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("one two  three", 5)
	f.Add("한국어 "+family+"e\u0301\u0301", 3)
	f.Add("한국어 \U0001F00D\U0001F467\u200d\U0001F466", 3)
	f.Add("   leading and trailing   ", 4)
	f.Fuzz(func(t *testing.T, text string, width int) {
		width = 1 + (width&0x7f)%100
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Skip("not inert")
		}
		for _, m := range []ansi.Method{ansi.WcWidth, ansi.GraphemeWidth} {
			lines := wrap(m, text, width)
			for _, line := range lines {
				if w := m.StringWidth(line); w > width {
					t.Fatalf("%q by %d has a line of %d: %q", text, width, w, line)
				}
			}
			if got, want := strings.ReplaceAll(strings.Join(lines, ""), " ", ""), strings.ReplaceAll(narrow(m, text, width), " ", ""); got != want {
				t.Fatalf("%q by %d became %q", text, width, got)
			}
		}
	})
}

func BenchmarkView(b *testing.B) {
	for _, n := range []int{50, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newBench(b, 120, 50)
			s.events(numbered(n)...)
			b.ReportAllocs()
			for b.Loop() {
				s.m.View()
			}
		})
	}
}

func BenchmarkArrival(b *testing.B) {
	s := newBench(b, 120, 50)
	s.events(numbered(5000)...)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.events(from("A", i, "one more message"))
		s.m.View()
	}
}
