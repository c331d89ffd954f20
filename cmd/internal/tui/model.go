package tui

import (
	"context"
	"errors"
	"time"

	"conclave/node"
	"conclave/overlay/wire"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// view is one of the screen's views; F2 goes from one to the next.
type view int

const (
	chatView   view = iota
	eventsView      // what is happening: every step, and the log
	stateView       // how things stand: certificates, connections, epochs
	views
)

// model is the screen's state. It is owned by the program's event loop; commands run elsewhere and touch only cfg.
type model struct {
	cfg Config
	ctx context.Context //nolint:containedctx // commands have no other way to it

	// what the terminal is
	width, height int
	method        ansi.Method
	theme         *theme
	blurred       bool

	// what is shown
	view  view
	fresh bool // the state view was just opened: it begins at its top
	panes [views]pane
	input textarea.Model

	// what is known
	who      node.Who
	asking   bool                   // Who and Inspect are under way
	askAgain bool                   // something changed meanwhile
	waits    bool                   // sending waits for a new key
	mine     map[wire.MessageID]int // own messages by their number in the chat, until they are dropped
	present  map[wire.Role]bool
	linked   bool // a relay node is ready
	today    string
	unread   int // messages below the edge
	logged   int // warnings in the log that nobody has looked at

	// what is to be done
	outgoing []string
	sending  bool
	leaving  bool
	left     error
}

func newModel(ctx context.Context, cfg Config) *model {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m := &model{
		cfg: cfg, ctx: ctx, method: ansi.WcWidth, theme: newTheme(true), input: newInput(),
		who: node.Who{Self: cfg.Self, Group: cfg.Group}, mine: make(map[wire.MessageID]int), present: make(map[wire.Role]bool),
	}
	for v := range m.panes {
		m.panes[v] = newPane()
	}
	m.panes[stateView].add(&sheet{})
	m.dress()
	return m
}

func newInput() textarea.Model {
	in := textarea.New()
	in.Prompt = promptSign + " "
	in.ShowLineNumbers = false
	in.CharLimit = node.MaxText
	in.DynamicHeight, in.MinHeight, in.MaxHeight = true, 1, 1
	in.MaxContentHeight = node.MaxText
	in.KeyMap.InsertNewline = key.NewBinding(key.WithKeys("alt+enter", "shift+enter", "ctrl+enter", "ctrl+j"))
	in.KeyMap.Paste, in.KeyMap.CopySelection = key.NewBinding(), key.NewBinding() // the terminal pastes and copies; no program is started for it
	in.SetVirtualCursor(false)                                                    // the real one: input methods compose where it is
	in.Focus()
	return in
}

// dress gives everything the theme's colours.
func (m *model) dress() {
	accent := m.theme.accent(m.cfg.Self)
	state := textarea.StyleState{Prompt: accent, Placeholder: m.theme.soft, Selection: m.theme.chip(m.cfg.Self)}
	m.input.SetStyles(textarea.Styles{Focused: state, Blurred: state, Cursor: textarea.CursorStyle{Shape: tea.CursorBar, Blink: true}})
}

// Init asks the terminal about itself and the node how things stand.
func (m *model) Init() tea.Cmd { return tea.Batch(tea.RequestBackgroundColor, m.ask()) }

// Update takes in what happened.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		cmd = m.press(msg)
	case tea.PasteMsg:
		cmd = m.paste(msg)
	case eventsMsg:
		for _, e := range msg {
			m.happened(e)
		}
		cmd = m.ask()
	case []logLine:
		m.log(msg)
	case standingMsg:
		cmd = m.stands(msg)
	case sentMsg:
		cmd = m.sent(msg)
	case doneMsg:
		m.done(msg)
	case leftMsg:
		m.left = msg.err
		cmd = tea.Quit
	case closedMsg:
		cmd = tea.Quit
	default:
		m.terminal(msg)
	}
	m.arrange()
	return m, cmd
}

// terminal takes in what the terminal says of itself.
func (m *model) terminal(msg tea.Msg) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.BackgroundColorMsg:
		m.theme = newTheme(msg.IsDark())
		m.dress()
	case tea.ModeReportMsg: // from here on the renderer measures by graphemes
		if msg.Mode == ansi.ModeUnicodeCore && (msg.Value == ansi.ModeReset || msg.Value == ansi.ModeSet || msg.Value == ansi.ModePermanentlySet) {
			m.method = ansi.GraphemeWidth
		}
	case tea.BlurMsg:
		m.blurred = true
	case tea.FocusMsg:
		m.blurred = false
	}
}

// standingMsg is how things stand, or why that is not known.
type standingMsg struct {
	who    node.Who
	detail node.Inspection
	err    error
}

// ask asks the node how things stand, once at a time.
func (m *model) ask() tea.Cmd {
	if m.asking {
		m.askAgain = true
		return nil
	}
	m.asking, m.askAgain = true, false
	detailed := m.view == stateView
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(m.ctx, askTimeout)
		defer cancel()
		var s standingMsg
		if detailed {
			s.detail, s.err = m.cfg.Node.Inspect(ctx)
			s.who = s.detail.Who
		} else {
			s.who, s.err = m.cfg.Node.Who(ctx)
		}
		return s
	}
}

func (m *model) stands(s standingMsg) tea.Cmd {
	m.asking = false
	if s.err == nil {
		m.who = s.who
		m.recount()
		if m.view == stateView && len(s.detail.Certificates) > 0 {
			p := &m.panes[stateView]
			p.items[0] = &sheet{inspection(s.detail)}
			p.redraw()
			if m.fresh {
				m.fresh = false
				p.top()
			}
		}
	}
	if m.askAgain || errors.Is(s.err, context.DeadlineExceeded) {
		return m.ask()
	}
	return nil
}

// sentMsg says what became of the first outgoing text.
type sentMsg struct{ err error }

// send hands the node the next text, one at a time so that they keep their order.
func (m *model) send() tea.Cmd {
	if m.sending || len(m.outgoing) == 0 {
		return nil
	}
	m.sending = true
	text := m.outgoing[0]
	return func() tea.Msg {
		_, err := m.cfg.Node.SendWait(m.ctx, text)
		return sentMsg{err}
	}
}

func (m *model) sent(msg sentMsg) tea.Cmd {
	m.sending = false
	text := m.outgoing[0]
	m.outgoing = m.outgoing[1:]
	if msg.err != nil {
		m.tell(badTone, "not sent: "+msg.err.Error())
		if m.input.Length() == 0 {
			m.input.SetValue(text)
		}
	}
	if m.leaving {
		return m.leave()
	}
	return m.send()
}

// leftMsg says that what was queued is sent, or that it is not.
type leftMsg struct{ err error }

// leave ends the screen once what was typed is sent. Asked a second time it ends at once.
func (m *model) leave() tea.Cmd {
	m.leaving = true
	if m.sending || len(m.outgoing) > 0 {
		return m.send()
	}
	if m.cfg.Leave == nil {
		return tea.Quit
	}
	return func() tea.Msg { return leftMsg{m.cfg.Leave(m.ctx)} }
}
