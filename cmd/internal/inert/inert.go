package inert

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	zeroWidthNonJoiner = '\u200c' // needed to write Persian
	zeroWidthJoiner    = '\u200d' // needed to write many emoji

	// maxMarks is how many marks may stand on one letter. No script needs more, and a tower of them covers the lines above.
	maxMarks = 8
	// tabWidth is how wide a tab becomes.
	tabWidth = 4
)

// Line returns text as one line: everything is escaped that could move the cursor, change colours, reverse the
// direction of writing, hide, or begin a new line. What another member writes never looks like a line of ours.
func Line(text string) string {
	if plainASCII(text) {
		return text
	}
	var b strings.Builder
	each(text, func(r rune, raw string, ok bool) {
		switch {
		case ok:
			b.WriteString(raw)
		case r == utf8.RuneError:
			for _, c := range []byte(raw) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		default:
			b.WriteString(escaped(r))
		}
	})
	return b.String()
}

// Lines returns text as the lines it has, each as Line returns it, with tabs as spaces.
func Lines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	lines := strings.Split(strings.ReplaceAll(text, "\t", strings.Repeat(" ", tabWidth)), "\n")
	for i, line := range lines {
		lines[i] = Line(line)
	}
	return lines
}

// Typed returns what a person typed or pasted without the characters that Line would escape, line breaks and tabs
// excepted: nobody means to type them, but what is pasted from elsewhere may hold them.
func Typed(text string) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	if plainASCII(text) {
		return text
	}
	var b strings.Builder
	each(text, func(r rune, raw string, ok bool) {
		if ok || r == '\n' || r == '\t' {
			b.WriteString(raw)
		}
	})
	return b.String()
}

func plainASCII(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// each calls f with each character, the bytes it is made of, and whether it may be shown as it is where it stands.
func each(text string, f func(r rune, raw string, ok bool)) {
	before, marks := rune(0), 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		ok := harmless(r) && (r != utf8.RuneError || size > 1)
		switch {
		case r == zeroWidthJoiner || r == zeroWidthNonJoiner:
			ok = joins(before)
		case unicode.Is(unicode.M, r):
			marks++
			ok = ok && marks <= maxMarks
		default:
			marks = 0
		}
		f(r, text[i:i+size], ok)
		before = r
		i += size
	}
}

// joins reports whether a joiner after r does what joiners are for. Elsewhere it only hides.
func joins(r rune) bool {
	return r > 0x2ff && r != zeroWidthJoiner && r != zeroWidthNonJoiner && harmless(r)
}

// harmless reports whether a terminal shows r and does nothing else. Spaces of other scripts are shown; the format
// characters (Cf), among them those that reverse text, are not.
func harmless(r rune) bool {
	return (unicode.IsPrint(r) || unicode.Is(unicode.Zs, r)) && !blank(r)
}

// blank reports whether r is printable by its category and yet shows nothing.
func blank(r rune) bool {
	switch r {
	case 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x2800, 0x3164, 0xffa0:
		return true
	}
	return r >= 0xfe00 && r <= 0xfe0d || r >= 0xe0000 && r <= 0xe0fff
}

func escaped(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\t':
		return `\t`
	case r == '\r':
		return `\r`
	case r < 0x80:
		return fmt.Sprintf(`\x%02x`, r)
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}
