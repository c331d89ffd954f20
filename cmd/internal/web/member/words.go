package member

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"conclave/cmd/internal/web"
	"conclave/node"
	"conclave/overlay/wire"
)

// names lists roles as people do: A, B and C.
func names(roles []wire.Role) string {
	text := make([]string, len(roles))
	for i, r := range roles {
		text[i] = string(r)
	}
	switch n := len(text); n {
	case 0:
		return "nobody"
	case 1:
		return text[0]
	default:
		return strings.Join(text[:n-1], ", ") + " and " + text[n-1]
	}
}

// ofAll says how many of how many.
func ofAll(n, of int) string { return fmt.Sprintf("%d of %d", n, max(n, of)) }

// initial is what stands in a member's mark.
func initial(role wire.Role) string { return string(role[:min(1, len(role))]) }

// grouped puts a space after every four characters, so that people can compare long numbers.
func grouped(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// short is the beginning of a long hexadecimal name.
func short(s string) string { return s[:min(len(s), 12)] }

// pathWords says how a member is reached.
func pathWords(p node.Path) string {
	switch p {
	case node.ViaRelay:
		return "via relay node"
	case node.Direct:
		return "directly"
	case node.ViaLAN:
		return "on this network"
	}
	return ""
}

// lines splits a message for the first paint, as dom.js does for the page: line breaks stay, and so do joiners and
// selectors that stand behind a character of another script or an emoji.
func lines(text string) (pieces []web.Piece) {
	plain, before := "", rune(0)
	flush := func() {
		if plain != "" {
			pieces = append(pieces, web.Piece{Text: plain})
			plain = ""
		}
	}
	for _, p := range web.Pieces(text) {
		r := numbered(p)
		switch {
		case !p.Hidden:
			plain += p.Text
			before = []rune(p.Text)[len([]rune(p.Text))-1]
			continue
		case r == '\n', r == '\t', joiner(r) && before > 0x2ff && unicode.IsPrint(before):
			plain += string(r)
		case r == '\r':
		default:
			flush()
			pieces = append(pieces, p)
		}
		before = r
	}
	flush()
	return pieces
}

// numbered returns the character that a hidden piece stands for.
func numbered(p web.Piece) (r rune) {
	if p.Hidden {
		_, _ = fmt.Sscanf(p.Text, "U+%X", &r) // Pieces wrote it
	}
	return r
}

func joiner(r rune) bool { return r == 0x200c || r == 0x200d || r == 0xfe0e || r == 0xfe0f }

// dated says when something was or will be, to the minute.
func dated(t time.Time) string { return t.Local().Format("2 January 2006, 15:04") }
