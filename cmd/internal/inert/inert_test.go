package inert

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"plain", "hello", "hello"},
		{"escape", "\x1b[31mred\x1b]0;title\a", `\x1b[31mred\x1b]0;title\x07`},
		{"a C1 control", "\u009b31m", `\u009b31m`},
		{"a raw C1 byte", "a\x9bb", `a\x9bb`},
		{"newlines and tabs", "a\nb\r\tc", `a\nb\r\tc`},
		{"other line ends", "a\u2028b\u2029c\u0085", `a\u2028b\u2029c\u0085`},
		{"bidi", "\u202egnp.exe\u2066\u2069\u200f", `\u202egnp.exe\u2066\u2069\u200f`},
		{"zero width", "a\u200bb\ufeff\u2060\u00ad", `a\u200bb\ufeff\u2060\u00ad`},
		{"joiners that hide", "pass\u200dword \u200c\u200d", `pass\u200dword \u200c\u200d`},
		{"a joiner in Persian", "\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"},
		{"a joiner in an emoji", "\U0001F468\u200d\U0001F469", "\U0001F468\u200d\U0001F469"},
		{"an emoji's variation", "\u2764\ufe0f", "\u2764\ufe0f"},
		{"smuggled tags", "x\U000e0041\U000e0101", `x\U000e0041\U000e0101`},
		{"blanks", "\u3164\u2800\u115f", `\u3164\u2800\u115f`},
		{"Korean and Arabic", "안녕 مرحبا", "안녕 مرحبا"},
		{"spaces", "a\u00a0b\u3000c", "a\u00a0b\u3000c"},
		{"a tower of marks", "e" + strings.Repeat("\u0301", 9), "e" + strings.Repeat("\u0301", 8) + `\u0301`},
		{"the replacement character", "\ufffd", "\ufffd"},
		{"private use", "\ue000", `\ue000`},
	} {
		if got := Line(c.text); got != c.want {
			t.Errorf("%s: %q is shown as %q, want %q", c.name, c.text, got, c.want)
		}
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	got := Lines("one\r\n\ttwo\n\x1b[2J\rthree\n")
	if want := []string{"one", "    two", `\x1b[2J\rthree`, ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTyped(t *testing.T) {
	t.Parallel()
	if got, want := Typed("a\x1b[31m\tb\r\nc\rd\u202e\u200be\U0001F468\u200d\U0001F469"), "a[31m\tb\nc\nde\U0001F468\u200d\U0001F469"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{"", "a\x1bb", "\u202e", "\xff\xfe", "\u200d\u200d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, line := range append(Lines(s), Line(s), strings.NewReplacer("\n", "", "\t", "").Replace(Typed(s))) {
			if !utf8.ValidString(line) {
				t.Fatalf("%q became %q, which is not UTF-8", s, line)
			}
			for _, r := range line {
				if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
					t.Fatalf("%q became %q, which holds %U", s, line, r)
				}
			}
		}
	})
}
