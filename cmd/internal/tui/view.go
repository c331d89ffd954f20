package tui

import (
	"fmt"
	"slices"
	"strings"

	"conclave/cmd/internal/inert"
	"conclave/cmd/internal/words"
	"conclave/node"

	tea "charm.land/bubbletea/v2"
)

const (
	// sideFrom is the width from which the members have a column of their own, and longestName the longest name that
	// columns make room for.
	sideFrom    = 76
	longestName = 12
	// tallestInput is how many rows the input grows to, where there is room.
	tallestInput = 8
)

// arrange fits everything to the terminal. It runs after each change, so that View only draws.
func (m *model) arrange() {
	m.input.SetWidth(max(m.width, 4))
	m.input.MaxHeight = max(min(tallestInput, m.height/3), 1)
	m.input.SetHeight(min(m.input.Height(), m.input.MaxHeight))
	l := layout{width: m.bodyWidth(), method: m.method, theme: m.theme, names: m.names(), self: m.cfg.Self}
	for v := range m.panes {
		if view(v) == m.view || m.panes[v].height == 0 { // the others when they are shown
			m.panes[v].resize(l, m.bodyHeight())
		}
	}
	if p := &m.panes[chatView]; p.follow && m.view == chatView && !m.blurred {
		m.unread = 0
	}
}

// names is the width of the column of names.
func (m *model) names() int {
	widest := min(len(m.cfg.Self), longestName)
	for _, member := range m.who.Members {
		if n := len(member.Role); n <= longestName {
			widest = max(widest, n)
		}
	}
	return widest
}

func (m *model) side() bool { return m.view == chatView && m.width >= sideFrom }

func (m *model) sideWidth() int {
	return 2 + 2 + m.names() + 2 + len("direct") + 2 + 2 + len(unconfirmed)
}

func (m *model) bodyWidth() int {
	if m.side() {
		return max(m.width-m.sideWidth()-1, 1)
	}
	return max(m.width, 1)
}

// strip reports whether the members have a row of their own.
func (m *model) strip() bool { return !m.side() && m.view == chatView && m.height >= 10 }

func (m *model) bodyHeight() int {
	rows := m.height - m.input.Height() - 3 // status, rule, hint
	if m.strip() {
		rows--
	}
	if m.height >= 10 {
		rows-- // the rule below the status
	}
	return max(rows, 0)
}

// View draws the screen.
func (m *model) View() tea.View {
	var rows []string
	if m.width > 0 && m.height > 0 {
		rows = m.rows()
	}
	if over := len(rows) - m.height; over > 0 { // a terminal of very few rows keeps the input
		rows = rows[over:]
	}
	v := tea.NewView(strings.Join(rows, "\n"))
	v.AltScreen, v.ReportFocus = true, true
	if c := m.input.Cursor(); c != nil {
		c.Y += len(rows) - 1 - m.input.Height()
		c.X = min(c.X, m.width-1)
		if c.Y >= 0 {
			v.Cursor = c
		}
	}
	return v
}

func (m *model) rows() []string {
	status, told := m.status()
	rows := []string{pad(m.method, status, m.width)}
	if m.strip() {
		rows = append(rows, cut(m.method, m.memberStrip(), m.width))
	}
	if m.height >= 10 {
		rows = append(rows, m.upperRule(told))
	}
	body := m.panes[m.view].view()
	if m.side() {
		side := m.memberColumn(len(body))
		for i := range body {
			body[i] = pad(m.method, body[i], m.bodyWidth()) + m.theme.soft.Render("│") + cut(m.method, side[i], m.sideWidth())
		}
	}
	for _, line := range body {
		rows = append(rows, cut(m.method, line, m.width))
	}
	rows = append(rows, m.lowerRule())
	for line := range strings.SplitSeq(m.input.View(), "\n") {
		rows = append(rows, cut(m.method, line, m.width))
	}
	return append(rows, cut(m.method, m.hint(), m.width))
}

// lowerRule is the line above the input. It says what is below the edge.
func (m *model) lowerRule() string {
	l := layout{width: m.width, method: m.method, theme: m.theme}
	p := &m.panes[m.view]
	switch {
	case m.unread == 1:
		return rule(l, arrowDown+" 1 new message (End)", warnTone)
	case m.unread > 1:
		return rule(l, arrowDown+" "+words.Count(m.unread, "new message", "new messages")+" (End)", warnTone)
	case m.view == eventsView:
		return rule(l, "what is happening", softTone)
	case m.view == stateView:
		return rule(l, "how things stand", softTone)
	case !p.follow:
		return rule(l, "earlier (End: the newest)", softTone)
	}
	return m.theme.soft.Render(strings.Repeat("─", m.width))
}

// hint is the last line: what keys do, or what is going on.
func (m *model) hint() string {
	var parts []string
	switch {
	case m.leaving:
		parts = []string{"leaving: what waits is being sent", "Ctrl+C leaves at once"}
	case len(m.matching()) > 0:
		parts = []string{strings.Join(m.matching(), "  "), "Tab completes"}
	case m.view == eventsView:
		parts = []string{"PgUp PgDn scroll", "F2 how things stand", "Esc the chat"}
	case m.view == stateView:
		parts = []string{"PgUp PgDn scroll", "F2 or Esc the chat"}
	default:
		parts = []string{"Enter sends", "Alt+Enter new line", "PgUp PgDn scroll", "F2 what is happening", "/help"}
	}
	line := " "
	if m.logged > 0 {
		line += m.theme.warn.Render(fmt.Sprintf("! %d in the log (F2)", m.logged)) + m.theme.soft.Render(" · ")
	}
	for i, part := range parts { // what does not fit is left out
		if i > 0 {
			part = " · " + part
		}
		if m.method.StringWidth(line+part) > m.width {
			break
		}
		line += m.theme.soft.Render(part)
	}
	return line
}

// status is the first line: who, where, how connected, under which key. What does not fit is left out from the least to
// the most telling; told is whether there was room for saying that all is encrypted.
func (m *model) status() (line string, told bool) {
	who := m.theme.chip(m.cfg.Self).Render(" " + string(m.cfg.Self) + " ")
	group := m.theme.strong.Render(inert.Line(m.who.Group))
	link, shortLink := m.linkWords()
	key, shortKey := m.keyWords()
	for _, parts := range [][]string{
		{who, group, link, key, encrypted},
		{who, group, shortLink, key, encrypted},
		{who, group, shortLink, key},
		{who, group, shortLink, shortKey},
		{who, shortLink, shortKey},
		{who, shortKey},
	} {
		line = strings.Join(parts, "  ")
		if m.method.StringWidth(line) <= m.width {
			return line, parts[len(parts)-1] == encrypted
		}
	}
	return line, false
}

// encrypted is what the status says of every message; the rule below says it where the status has no room.
const encrypted = "end-to-end encrypted"

// upperRule is the line below the status.
func (m *model) upperRule(told bool) string {
	words := " " + encrypted + " ──"
	if n := m.width - m.method.StringWidth(words); !told && n > 0 {
		return m.theme.soft.Render(strings.Repeat("─", n) + words)
	}
	return m.theme.soft.Render(strings.Repeat("─", m.width))
}

// linkWords says how this member is connected, at length and in short.
func (m *model) linkWords() (long, brief string) {
	state, here := node.Down, false
	for _, l := range m.who.Links {
		if rank(l.State) > rank(state) {
			state = l.State
		}
	}
	for _, member := range m.who.Members {
		here = here || member.Online && (member.Path == node.ViaLAN || member.Path == node.Direct)
	}
	switch {
	case state == node.Ready && here:
		return dotFull + " connected by relay node and directly", dotFull + " connected"
	case state == node.Ready:
		return dotFull + " connected by relay node", dotFull + " connected"
	case here:
		return dotFull + " connected directly, no relay node", dotFull + " direct"
	case state == node.Authenticated:
		return dotHalf + " relay node: joining", dotHalf + " joining"
	case state == node.Connecting:
		return dotHalf + " connecting to the relay node", dotHalf + " connecting"
	}
	return dotEmpty + " no relay node", dotEmpty + " offline"
}

func rank(s node.LinkState) int {
	return slices.Index([]node.LinkState{node.Down, node.Connecting, node.Authenticated, node.Ready}, s)
}

// keyWords says under which key messages go out, at length and in short.
func (m *model) keyWords() (long, brief string) {
	switch {
	case m.waits:
		return m.theme.warn.Render("waiting for a new key"), m.theme.warn.Render("waiting for a key")
	case m.who.Fingerprint == "":
		return "no key yet: messages wait", "no key yet"
	}
	return fmt.Sprintf("epoch %d  Kabc %s", m.who.Epoch, m.who.Fingerprint), "Kabc " + m.who.Fingerprint
}

// memberColumn lists the members beside the chat, those who are here first where not all have room.
func (m *model) memberColumn(height int) []string {
	column := make([]string, height)
	if height == 0 {
		return column
	}
	column[0] = m.theme.soft.Render(" Members")
	members := m.who.Members
	if len(members) > height-1 {
		members = slices.Clone(members)
		slices.SortStableFunc(members, func(a, b node.MemberStatus) int { return presence(b) - presence(a) })
	}
	for i, member := range members {
		if i+1 >= height-1 && len(members) > height-1 {
			column[height-1] = m.theme.soft.Render(fmt.Sprintf(" and %d more (/who)", len(members)-i))
			break
		}
		where, has := memberWords(m.who, member)
		name := string(member.Role)
		if len(name) > m.names() {
			name = name[:m.names()-1] + "…"
		}
		style := m.theme.accent(member.Role)
		row := fmt.Sprintf(" %s %s", presenceShape(m.who, member), style.Render(name))
		row += strings.Repeat(" ", max(m.names()-m.method.StringWidth(name), 0))
		column[i+1] = row + "  " + m.theme.soft.Render(fmt.Sprintf("%-6s  %s %s", where, keyShape(member), has))
	}
	return column
}

// memberStrip lists the members in one row.
func (m *model) memberStrip() string {
	parts := make([]string, len(m.who.Members))
	for i, member := range m.who.Members {
		where, _ := memberWords(m.who, member)
		parts[i] = fmt.Sprintf("%s %s %s%s", presenceShape(m.who, member), m.theme.accent(member.Role).Render(string(member.Role)),
			m.theme.soft.Render(where), keyShape(member))
	}
	return " " + strings.Join(parts, "  ")
}

func presence(m node.MemberStatus) int {
	if m.Online {
		return 1
	}
	return 0
}

func presenceShape(w node.Who, m node.MemberStatus) string {
	if m.Online || m.Role == w.Self {
		return dotFull
	}
	return dotEmpty
}

func keyShape(m node.MemberStatus) string {
	if m.Confirmed {
		return keyHeld
	}
	return keyNone
}
