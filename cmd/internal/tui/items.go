package tui

import (
	"fmt"
	"strings"
	"time"

	"conclave/node"
	"conclave/overlay/wire"
)

// said is a message of the chat.
type said struct {
	at   time.Time
	from wire.Role
	text []string // inert
	late bool

	// of this member's own messages:
	mine  bool
	id    wire.MessageID
	state node.State
	by    int    // how many have it
	of    int    // of how many
	why   string // why it is not there yet, inert
}

func (s *said) size() int {
	n := 128
	for _, line := range s.text {
		n += len(line) + 16
	}
	return n
}

// clockWidth is that of a time and the space after it.
const clockWidth = len("15:04 ")

func (s *said) lines(l layout) []string {
	clock, name := l.theme.soft.Render(s.at.Local().Format("15:04"))+" ", l.theme.accent(s.from)
	var out []string
	indent := clockWidth + l.names + 3
	first := clock + " " + name.Render(string(s.from)) + strings.Repeat(" ", max(l.names-len(s.from), 0)) + "  "
	if len(s.from) > l.names || l.width-indent < 24 { // a line for the name, and the text below it
		out = append(out, cut(l.method, clock+" "+name.Render(string(s.from)), l.width))
		indent, first = 2, "  "
	}
	width := l.width - indent
	blank := strings.Repeat(" ", indent)
	for _, text := range s.text {
		for _, line := range wrap(l.method, text, width) {
			out = append(out, first+line)
			first = blank
		}
	}
	for _, note := range s.notes() {
		at := len(out) - 1
		if used := l.method.StringWidth(out[at]); used+2+l.method.StringWidth(note) <= l.width && len(s.why) == 0 {
			out[at] += "  " + l.theme.soft.Render(note)
			continue
		}
		for _, line := range wrap(l.method, note, width) {
			out = append(out, blank+l.theme.soft.Render(line))
		}
	}
	return out
}

// notes says what there is to say about a message: how far an own one has come, by shape and in words.
func (s *said) notes() []string {
	if !s.mine {
		if s.late {
			return []string{"(came late)"}
		}
		return nil
	}
	switch {
	case s.state == node.Delivered:
		return []string{fmt.Sprintf("%s delivered %d of %d", s.shape(), s.by, s.of)}
	case s.state == node.Relayed:
		return []string{dotHalf + " at the relay node"}
	case s.why != "":
		return []string{dotEmpty + " queued: " + s.why + "; it is tried again"}
	}
	return []string{dotEmpty + " queued"}
}

func (s *said) shape() string {
	if s.by < s.of {
		return dotHalf
	}
	return dotFull
}

// quiet is a line that is not a message: somebody came, the key changed.
type quiet struct {
	at   time.Time
	text []string // inert
	loud tone
	word string // a column for the debug view: what the line is about
}

func (q *quiet) size() int {
	n := 64
	for _, line := range q.text {
		n += len(line) + 16
	}
	return n
}

func (q *quiet) lines(l layout) []string {
	style, clock := l.theme.tone(q.loud), q.at.Local().Format("15:04")
	indent := clockWidth + l.names + 3
	if q.word != "" {
		clock = q.at.Local().Format("15:04:05") + " " + fmt.Sprintf("%-8s", q.word)
		indent = len(clock) + 2
	}
	if l.width-indent < 24 {
		indent = clockWidth + 1
		clock = q.at.Local().Format("15:04")
	}
	var out []string
	head := l.theme.soft.Render(clock) + strings.Repeat(" ", indent-len(clock))
	if q.loud >= warnTone {
		head = l.theme.soft.Render(clock) + strings.Repeat(" ", indent-len(clock)-2) + style.Render("! ")
	}
	for _, text := range q.text {
		for _, line := range wrap(l.method, text, l.width-indent) {
			out = append(out, head+style.Render(line))
			head = strings.Repeat(" ", indent)
		}
	}
	return out
}

// day is the line before the first item of a day.
type day struct{ at time.Time }

func (d *day) size() int { return 32 }

func (d *day) lines(l layout) []string {
	return []string{rule(l, d.at.Local().Format("Monday, 2 January 2006"), softTone)}
}

// sheet is text that fills a view of its own.
type sheet struct{ text []string }

func (s *sheet) size() int { return 0 }

func (s *sheet) lines(l layout) []string {
	var out []string
	for _, text := range s.text {
		if title, ok := strings.CutPrefix(text, titleMark); ok {
			out = append(out, l.theme.strong.Render(cut(l.method, title, l.width)))
			continue
		}
		indent := len(text) - len(strings.TrimLeft(text, " "))
		for i, line := range wrap(l.method, text[indent:], l.width-indent-2) {
			out = append(out, strings.Repeat(" ", indent+2*min(i, 1))+line)
		}
	}
	return out
}

// titleMark begins a line of a sheet that is a title. Inert text cannot hold it.
const titleMark = "\x00"
