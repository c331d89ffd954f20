package words

import (
	"slices"
	"strings"
	"testing"
)

const groupCode = "01017 04094 48471 45264 57556 55309 97617 79625"

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range []string{"0 peers", "1 peer", "2 peers"} {
		if got := Count(n, "peer", "peers"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

func TestSpokenCodes(t *testing.T) {
	t.Parallel()
	got := strings.Join(Spoken(groupCode), " ")
	if want := "abacus charter implode unbeaten stoneware dander rounding mauve brutishly onscreen glazing"; got != want {
		t.Errorf("%q", got)
	}
	other := groupCode[:len(groupCode)-1] + "6"
	if a, b := Spoken(groupCode), Spoken(other); slices.Equal(a, b) || a[codeWords-1] == b[codeWords-1] {
		t.Error("another digit has the same words")
	}
	if Spoken("") != nil || Spoken(strings.Repeat("9", 60)) != nil {
		t.Error("words for what is no code")
	}
	for _, w := range Spoken(strings.Repeat("99999 ", 8)) {
		if w == "" {
			t.Error("a word is missing")
		}
	}
}
