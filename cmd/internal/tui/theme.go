package tui

import (
	"image/color"

	"conclave/cmd/internal/accent"
	"conclave/overlay/wire"

	"charm.land/lipgloss/v2"
)

// The shapes. None is the only sign of anything: a word stands beside each.
const (
	dotFull    = "●" // here, delivered
	dotHalf    = "◐" // on the way
	dotEmpty   = "○" // away, queued
	keyHeld    = "◆" // has the key
	keyNone    = "◇"
	arrowDown  = "↓"
	promptSign = "›"
)

// tone is how loud a line is.
type tone int

const (
	plainTone tone = iota
	softTone
	warnTone
	badTone
)

// theme is the styles for one ground, light or dark. The colours are those of the web windows.
type theme struct {
	accents, chips          [accent.Count]lipgloss.Style // a role's name, and on a ground of its colour
	soft, warn, bad, strong lipgloss.Style
}

// accentColours are each role's colour on a light and on a dark ground; accent.Of chooses one.
var accentColours = [accent.Count][2]string{
	{"#0b6e6e", "#5cc8c0"},
	{"#97540a", "#e9b25f"},
	{"#8a3a8f", "#d99be0"},
	{"#2a5db0", "#86b1f5"},
	{"#2f6f33", "#8acb85"},
	{"#b03a2e", "#f19a8e"},
	{"#4f4bb8", "#aaa6f7"},
	{"#66660f", "#cfcf6b"},
	{"#ad2f62", "#f394b8"},
	{"#0b6a90", "#6fc3ea"},
	{"#7a4f33", "#d8ae90"},
	{"#6d3fc0", "#c3a4f7"},
}

func newTheme(dark bool) *theme {
	choose := lipgloss.LightDark(dark)
	colour := func(light, dark string) color.Color { return choose(lipgloss.Color(light), lipgloss.Color(dark)) }
	t := &theme{
		soft:   lipgloss.NewStyle().Foreground(colour("#5c5850", "#a9a59d")),
		warn:   lipgloss.NewStyle().Foreground(colour("#8a5200", "#ecb65c")),
		bad:    lipgloss.NewStyle().Bold(true).Foreground(colour("#a82a20", "#f5978c")),
		strong: lipgloss.NewStyle().Bold(true),
	}
	for i, c := range accentColours {
		t.accents[i] = lipgloss.NewStyle().Bold(true).Foreground(colour(c[0], c[1]))
		t.chips[i] = t.accents[i].Reverse(true)
	}
	return t
}

// accent returns the style of a role's name.
func (t *theme) accent(r wire.Role) lipgloss.Style { return t.accents[accent.Of(string(r))] }

// chip returns the style of this member's own name in the status.
func (t *theme) chip(r wire.Role) lipgloss.Style { return t.chips[accent.Of(string(r))] }

// tone returns the style of a loudness.
func (t *theme) tone(n tone) lipgloss.Style {
	switch n {
	case softTone:
		return t.soft
	case warnTone:
		return t.warn
	case badTone:
		return t.bad
	}
	return lipgloss.NewStyle()
}
