package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"conclave/cmd/internal/inert"
	"conclave/node"
	"conclave/overlay/wire"

	tea "charm.land/bubbletea/v2"
)

// commands are what a line may begin with, and what each does.
var commands = []struct{ name, does string }{
	{"/who", "members, who is there and who holds the key"},
	{"/rekey", "agree on a new key"},
	{"/verify", "codes to compare with the others; /verify B remembers that B's was right"},
	{"/quit", "send what waits, then leave"},
	{"/help", "commands and keys"},
}

var keysHelp = []string{
	"Enter sends; Alt+Enter, Shift+Enter or Ctrl+J begins a new line; //text sends a line that begins with /",
	"PgUp and PgDn scroll, Ctrl+Home goes to the oldest, End to the newest",
	"F2 shows what is happening, then how things stand in detail, then the chat again; Esc goes back",
	"Ctrl+C leaves, twice at once; Ctrl+Z puts this aside; Ctrl+L draws the screen anew",
}

// press does what a key is for. What no line below names is for the input.
func (m *model) press(k tea.KeyPressMsg) tea.Cmd {
	p := &m.panes[m.view]
	page := max(p.height-1, 1)
	switch k.String() {
	case "enter":
		return m.enter()
	case "pgup":
		p.up(page)
	case "pgdown":
		p.down(page)
	case "alt+up":
		p.up(1)
	case "alt+down":
		p.down(1)
	case "ctrl+home":
		p.top()
	case "ctrl+end":
		p.end()
	case "f2":
		return m.show((m.view + 1) % views)
	case "esc":
		p.end()
		return m.show(chatView)
	case "tab":
		m.complete()
	case "ctrl+c":
		return m.interrupt()
	case "ctrl+z":
		return tea.Suspend
	case "ctrl+l":
		return tea.ClearScreen
	default:
		return m.typed(k)
	}
	return nil
}

// typed gives a key to the input, except the two that mean something else when there is nothing to edit.
func (m *model) typed(k tea.KeyPressMsg) (cmd tea.Cmd) {
	p := &m.panes[m.view]
	switch {
	case k.String() == "end" && !p.follow:
		p.end()
		return nil
	case k.String() == "ctrl+d" && m.input.Length() == 0:
		return m.interrupt()
	}
	if text := inert.Typed(k.Text); text != k.Text && !joiner(k.Text) {
		if text == "" {
			return nil
		}
		k.Text = text
	}
	m.input, cmd = m.input.Update(k)
	return cmd
}

// joiner reports whether a key is one of the two joiners, which some scripts need between letters.
func joiner(text string) bool { return text == "\u200c" || text == "\u200d" }

// paste puts text into the input, line breaks included: nothing is sent before Enter.
func (m *model) paste(p tea.PasteMsg) (cmd tea.Cmd) {
	p.Content = inert.Typed(p.Content)
	m.input, cmd = m.input.Update(p)
	return cmd
}

// interrupt leaves; the second time without waiting.
func (m *model) interrupt() tea.Cmd {
	if m.leaving {
		return tea.Quit
	}
	return m.leave()
}

// show goes to a view.
func (m *model) show(v view) tea.Cmd {
	m.view = v
	if v == eventsView {
		m.logged = 0
	}
	m.fresh = v == stateView
	return m.ask()
}

// complete completes the command that is being typed.
func (m *model) complete() {
	if found := m.matching(); len(found) == 1 {
		m.input.SetValue(found[0] + " ")
	}
}

// matching returns the commands that begin with what is typed.
func (m *model) matching() (names []string) {
	line := m.input.Value()
	if !strings.HasPrefix(line, "/") || strings.ContainsAny(line, " \n") {
		return nil
	}
	for _, c := range commands {
		if strings.HasPrefix(c.name, line) {
			names = append(names, c.name)
		}
	}
	return names
}

// enter sends what is typed, or does what it says.
func (m *model) enter() tea.Cmd {
	text := strings.TrimRight(m.input.Value(), "\n")
	if strings.TrimSpace(text) == "" || m.leaving {
		return nil
	}
	switch {
	case strings.HasPrefix(text, "//"):
		text = text[1:]
	case strings.HasPrefix(text, "/"):
		return m.command(text)
	}
	if len(text) > node.MaxText {
		m.tell(badTone, node.ErrText.Error())
		return nil
	}
	m.input.Reset()
	m.panes[chatView].setMark(-1)
	m.panes[chatView].end()
	m.outgoing = append(m.outgoing, text)
	return m.send()
}

// doneMsg is what a command found.
type doneMsg struct {
	loud tone
	text []string
}

// command does what a line that begins with / says.
func (m *model) command(line string) tea.Cmd {
	words := strings.Fields(line)
	switch {
	case words[0] == "/verify" && len(words) == 2:
		m.input.Reset()
		return m.do(func(ctx context.Context) (doneMsg, error) { return compared(ctx, m.cfg.Node, words[1]) })
	case len(words) > 1:
		m.tell(warnTone, fmt.Sprintf("%s takes no more words; //text sends a line that begins with /", inert.Line(words[0])))
		return nil
	}
	switch words[0] {
	case "/who":
		m.input.Reset()
		return m.do(func(ctx context.Context) (doneMsg, error) {
			w, err := m.cfg.Node.Who(ctx)
			return doneMsg{softTone, describe(w, m.cfg.Now())}, err
		})
	case "/verify":
		m.input.Reset()
		return m.do(func(ctx context.Context) (doneMsg, error) {
			codes, err := m.cfg.Node.Verifications(ctx)
			return doneMsg{softTone, describeCodes(codes)}, err
		})
	case "/rekey":
		m.input.Reset()
		return m.do(func(ctx context.Context) (doneMsg, error) {
			return doneMsg{softTone, []string{"asked for a new key"}}, m.cfg.Node.Rekey(ctx)
		})
	case "/quit":
		m.input.Reset()
		return m.leave()
	case "/help":
		m.input.Reset()
		m.tell(softTone, help()...)
		return nil
	}
	m.tell(warnTone, fmt.Sprintf("the command %s is not known; /help lists them", inert.Line(words[0])))
	return nil
}

// do runs a command beside the screen.
func (m *model) do(f func(context.Context) (doneMsg, error)) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(m.ctx, askTimeout)
		defer cancel()
		found, err := f(ctx)
		if err != nil {
			return doneMsg{badTone, []string{err.Error()}}
		}
		return found
	}
}

// done shows what a command found.
func (m *model) done(found doneMsg) { m.tell(found.loud, found.text...) }

// compared remembers that a code was the same on the other side.
func compared(ctx context.Context, n Node, whose string) (doneMsg, error) {
	codes, err := n.Verifications(ctx)
	if err != nil {
		return doneMsg{}, err
	}
	slices.Reverse(codes) // the group's last: a member may be called group
	for _, v := range codes {
		if v.Role == wire.Role(whose) || v.Role == "" && whose == "group" {
			return doneMsg{softTone, []string{"remembered: the code of " + whose + " was compared and is right"}}, n.Verify(ctx, v.Role, v.Code, true)
		}
	}
	return doneMsg{warnTone, []string{"there is no code of " + inert.Line(whose)}}, nil
}

func help() (lines []string) {
	for _, c := range commands {
		lines = append(lines, fmt.Sprintf("%-9s %s", c.name, c.does))
	}
	return append(lines, keysHelp...)
}
