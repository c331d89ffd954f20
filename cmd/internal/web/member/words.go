package member

import (
	"fmt"
	"math/big"
	"strings"
	"time"
	"unicode"

	"conclave/cmd/internal/web"
	"conclave/node"
	"conclave/overlay/wire"

	"github.com/sethvargo/go-diceware/diceware"
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

// plural says how many of a thing there are.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

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

// The words of a code: each is one of 6^5, so eleven of them say the same as its forty digits.
const (
	codeWords = 11
	listSize  = 6 * 6 * 6 * 6 * 6
)

// spoken returns the words that say the same as the digits of a code: the digits as one number, written in base 7776
// with the words of the EFF's large list as its digits. Whoever has the same digits has the same words.
func spoken(code string) []string {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, code)
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return nil
	}
	words := make([]string, codeWords)
	list, base, rest := diceware.WordListEffLarge(), big.NewInt(listSize), new(big.Int)
	for i := codeWords - 1; i >= 0; i-- {
		n.DivMod(n, base, rest)
		words[i] = list.WordAt(dice(int(rest.Int64())))
	}
	if n.Sign() != 0 {
		return nil // more digits than a code has
	}
	return words
}

// dice writes a number below 7776 as five dice, which is how the list is numbered.
func dice(n int) int {
	number, place := 0, 1
	for range 5 {
		number += (n%6 + 1) * place
		n, place = n/6, place*10
	}
	return number
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
