// Package words says numbers and codes as people do: "1 message" and "2 messages", and the words that say the same as the
// digits of a verification code.
//
// It holds the one rule for each, so that the terminal, the windows and the commands say the same of the same. It knows
// nothing of members or messages, and every package below cmd may import it.
package words

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/sethvargo/go-diceware/diceware"
)

// Count says how many of a thing there are.
func Count[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// The words of a code: each is one of 6^5, so eleven of them say the same as its forty digits.
const (
	codeWords = 11
	listSize  = 6 * 6 * 6 * 6 * 6
)

// Spoken returns the words that say the same as the digits of a code: the digits as one number, written in base 7776
// with the words of the EFF's large list as its digits. Whoever has the same digits has the same words.
func Spoken(code string) []string {
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
