package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// wrap breaks one line of inert, unstyled text into lines of at most width cells: between words where it can, inside a
// word where it must, never inside what a reader takes for one character. A character wider than the line is replaced.
func wrap(m ansi.Method, text string, width int) []string {
	width = max(width, 1)
	if isASCII(text) {
		if len(text) <= width {
			return []string{text}
		}
	} else {
		text = narrow(m, text, width)
	}
	var lines []string
	start, cells := 0, 0       // of the present line
	space, spaceCells := -1, 0 // after its last space: the byte, and the cells before it
	for i := 0; i < len(text); {
		cluster, w := ansi.FirstGraphemeCluster(text[i:], m)
		if cells+w > width && cluster == " " { // a space at the edge is the break itself
			lines = append(lines, text[start:i])
			i += len(cluster)
			start, cells, space = i, 0, -1
			continue
		}
		for cells > 0 && cells+w > width {
			if space > start {
				lines = append(lines, strings.TrimRight(text[start:space], " "))
				start, cells = space, cells-spaceCells
			} else {
				lines = append(lines, text[start:i])
				start, cells = i, 0
			}
			space = -1
		}
		cells += w
		i += len(cluster)
		if cluster == " " {
			space, spaceCells = i, cells
		}
	}
	return append(lines, text[start:])
}

// narrow replaces characters that are wider than a whole line: one may be made of many wide signs.
func narrow(m ansi.Method, text string, width int) string {
	var b strings.Builder
	for len(text) > 0 {
		cluster, w := ansi.FirstGraphemeCluster(text, m)
		if text = text[len(cluster):]; w > width {
			cluster = "?"
		}
		b.WriteString(cluster)
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// pad fills a styled line with spaces to the width, or cuts it there.
func pad(m ansi.Method, line string, width int) string {
	w := m.StringWidth(line)
	if w > width {
		line = m.Truncate(line, width, "…")
		w = m.StringWidth(line)
	}
	return line + strings.Repeat(" ", max(width-w, 0))
}

// cut shortens a line to the width.
func cut(m ansi.Method, line string, width int) string {
	if m.StringWidth(line) <= width {
		return line
	}
	return m.Truncate(line, max(width, 0), "…")
}
