package web

import (
	"fmt"
	"html/template"
	"time"
	"unicode"
	"unicode/utf8"

	"conclave/cmd/internal/accent"
)

// Piece is a stretch of text: plain, or one character that must be shown by its number because it hides, moves or
// reorders text.
type Piece struct {
	Text   string
	Hidden bool // Text is then like "U+202E"
}

// Pieces splits a text that others wrote for showing on one line: control, format and other invisible characters are
// shown by their numbers. Line breaks are among them. dom.js has the same for the page (inert).
func Pieces(s string) (pieces []Piece) {
	start := 0
	for i, r := range s {
		if !invisible(r) && (r != utf8.RuneError) {
			continue
		}
		if i > start {
			pieces = append(pieces, Piece{Text: s[start:i]})
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		start = i + n
		pieces = append(pieces, Piece{Text: fmt.Sprintf("U+%04X", r), Hidden: true})
	}
	if start < len(s) {
		pieces = append(pieces, Piece{Text: s[start:]})
	}
	return pieces
}

// invisible says whether a character shows nothing of its own and may change how others are shown: control and format
// characters, among them all that reorder text or have no width, blanks that look like none, and variation selectors.
func invisible(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0:
		return true
	case r == 0x034f, r == 0x115f, r == 0x1160, r == 0x3164, r == 0xffa0, r == 0x2800, r == 0x17b4, r == 0x17b5:
		return true
	case r == 0x2028, r == 0x2029:
		return true
	case r >= 0xfe00 && r <= 0xfe0f, r >= 0xe0000 && r <= 0xe0fff:
		return true
	}
	return unicode.Is(unicode.Cf, r)
}

// Funcs are the functions of a page's template: asset "web.css" is the path of a file, accent a role's colour, pieces a
// text in Pieces, clock and stamp a time as people and as machines read it.
func (s *Server) Funcs() template.FuncMap {
	return template.FuncMap{
		"asset": s.Asset, "pieces": Pieces,
		"accent": func(role any) int { return accent.Of(fmt.Sprint(role)) },
		"clock":  func(t time.Time) string { return t.Local().Format("15:04:05") },
		"stamp":  func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	}
}
