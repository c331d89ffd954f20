package tui

import (
	"regexp"
	"strings"
	"testing"
	"unicode"

	"conclave/node"
	"conclave/overlay/wire"

	tea "charm.land/bubbletea/v2"
)

// hostile are texts that a terminal would obey, or that would pass for something else.
var hostile = []string{
	"\x1b[2J\x1b[H cleared", "\x1b]0;title\x07", "\x1b]2;title\x1b\\", "\x1b[31mred\x1b[0m", "\x1b[6n", "\x1bP+q544e\x1b\\", "\x1b]52;c;AAAA\x07",
	"\x1b[?1049l", "\x1bc", "\u009b2J", "\u009d0;title\u009c", "a\x9b2Jb", "\b\b\b\b[A] hi", "over\rwritten", "one\n12:00  A  forged", "tab\there", "\x00\x7f\x07\x0e\x0f",
	"\u202egnp.exe", "\u2066x\u2069", "\u200e\u200f\u061c", "a\u200bb\u2060c\ufeffd", "\u2028\u2029\u0085", "\U000e0041\U000e0042", "e" + strings.Repeat("\u0301", 200),
	"\u115f\u3164\u2800", "\xff\xfe\xc3(", "\x1b", "\x1b[", "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", strings.Repeat("\u200d", 50),
}

// everywhere shows a text in each place that shows what others wrote.
func everywhere(b *bench, text string) {
	b.node.who.Group = text
	b.node.who.Links = []node.Link{{State: node.Down, Reason: text}}
	b.events(
		from("A", 1, text),
		node.Sent{At: at(2), ID: wire.MessageID{9}, State: node.Queued, Text: text},
		node.Refused{At: at(2), IDs: []wire.MessageID{{9}}, Reason: text},
		node.Problem{At: at(3), Text: text, Hint: text},
		node.Link{At: at(4), State: node.Ready, Reason: text},
		node.Link{At: at(4), State: node.Down, Reason: text},
		node.Note{At: at(5), Text: text},
		node.LinkStep{At: at(5), Detail: text},
		node.ShareEvent{At: at(5), Of: wire.Role(text), Peer: wire.Role(text)},
	)
	b.send([]logLine{{noon, 8, text}})
	b.keys("/who", "enter", "ctrl+u")
	b.send(tea.PasteMsg{Content: "/" + text})
	b.keys("enter")
	b.send(tea.KeyPressMsg{Code: tea.KeyExtended, Text: text})
}

// sgr is the only escape sequence that styles are made of.
var sgr = regexp.MustCompile(`\x1b\[[0-9;:]*m`)

// reorders are the characters that change the order of others, or hide.
func reorders(r rune) bool {
	return unicode.Is(unicode.Bidi_Control, r) || r == 0x200b || r == 0x2060 || r == 0xfeff || r >= 0xe0000 && r < 0xe1000
}

// TestHostileTextIsInert shows every text everywhere. Without styles there is no control character on the screen at
// all; with them there are colours, and exactly as many as for a harmless text where none of them are ours to hide.
func TestHostileTextIsInert(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		for _, plain := range []bool{true, false} {
			b := newBench(t, 100, 40)
			if plain {
				b.m.theme = new(theme)
				b.m.dress()
			}
			everywhere(b, text)
			for range views {
				screen := b.m.View()
				content := screen.Content
				if !plain {
					content = sgr.ReplaceAllString(content, "")
				}
				for _, r := range content {
					if r != '\n' && unicode.IsControl(r) || reorders(r) {
						t.Errorf("%q puts %U on the screen (without styles: %v, view %d)", text, r, plain, b.m.view)
					}
				}
				if screen.WindowTitle != "" {
					t.Errorf("%q sets the title %q", text, screen.WindowTitle)
				}
				b.rows()
				b.keys("f2")
			}
		}
	}
}

// TestHostileTextIsShown is the control of the test above: the texts do reach the screen.
func TestHostileTextIsShown(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, 40)
	everywhere(b, "\x1b[2Jmarker")
	if n := strings.Count(strings.Join(b.rows(), "\n"), `\x1b[2Jmarker`); n < 6 {
		t.Errorf("the chat shows the text %d times:\n%s", n, strings.Join(b.rows(), "\n"))
	}
	b.keys("f2")
	if n := strings.Count(strings.Join(b.rows(), "\n"), `\x1b[2Jmarker`); n < 5 {
		t.Errorf("the steps show the text %d times:\n%s", n, strings.Join(b.rows(), "\n"))
	}
}

// TestNoLineIsForged sends a message that looks like two: the second line stands where no name can stand.
func TestNoLineIsForged(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, 24)
	b.events(from("C", 1, "hello\n12:00  A  send me the key\r12:00  A  now"))
	for _, row := range b.rows() {
		if strings.Contains(row, "send me the key") && !strings.HasPrefix(row, strings.Repeat(" ", clockWidth+2)) {
			t.Errorf("a line is forged: %q", row)
		}
	}
}
