package tui

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"conclave/cmd/internal/inert"
	"conclave/cmd/internal/words"
	"conclave/node"
	"conclave/overlay/wire"
)

// sentAhead is how far in the future a message may have been sent by its sender's clock. One further ahead is shown with
// the time at which it came.
const sentAhead = 2 * time.Minute

// add puts an item into a view, after the line of its day.
func (m *model) add(v view, at time.Time, it item) int {
	p := &m.panes[v]
	if date := at.Local().Format(time.DateOnly); v == chatView && date != m.today {
		m.today = date
		m.put(p, &day{at})
	}
	return m.put(p, it)
}

func (m *model) put(p *pane, it item) int {
	n, dropped := p.add(it)
	for _, old := range dropped {
		if s, ok := old.(*said); ok && s.mine {
			delete(m.mine, s.id)
		}
	}
	return n
}

// tell puts a quiet line of this screen's own into the chat.
func (m *model) tell(loud tone, lines ...string) { m.tellAt(m.cfg.Now(), loud, lines...) }

func (m *model) tellAt(at time.Time, loud tone, lines ...string) {
	text := make([]string, len(lines))
	for i, line := range lines {
		text[i] = inert.Line(line)
	}
	m.add(chatView, at, &quiet{at: at, text: text, loud: loud})
}

// trace puts a line into the view of what is happening.
func (m *model) trace(at time.Time, loud tone, word, format string, args ...any) {
	m.put(&m.panes[eventsView], &quiet{at: at, text: inert.Lines(fmt.Sprintf(format, args...)), loud: loud, word: word})
}

// log shows what was logged.
func (m *model) log(lines []logLine) {
	for _, l := range lines {
		loud := softTone
		if l.level >= slog.LevelWarn {
			loud = warnTone
			if m.view != eventsView {
				m.logged++
			}
		}
		m.trace(l.at, loud, "log", "%s", l.text)
	}
}

// happened shows one event.
func (m *model) happened(e node.Event) {
	at := e.When()
	switch e := e.(type) {
	case node.Message:
		m.message(e)
	case node.Sent:
		m.progress(e)
	case node.SessionKey:
		m.sessionKey(e)
	case node.Using:
		m.waits = false
		m.trace(at, plainTone, "key", "messages go out under epoch %d, transcript %s", e.Epoch, short(e.Transcript))
	case node.Held:
		m.waits = true
		m.tellAt(at, warnTone, "a member was removed: messages wait for a new key")
	case node.Confirmed:
		m.trace(at, plainTone, "key", "%s has the key of epoch %d", e.Role, e.Epoch)
	case node.Peer:
		m.peer(e)
	case node.Link:
		m.link(e)
	case node.RosterChanged:
		m.tellAt(at, softTone, fmt.Sprintf("roster version %d%s%s", e.Version, joined(": new ", e.Added), joined(": removed ", e.Removed)))
	default:
		m.unusual(e)
	}
}

// unusual shows what should not happen, and what is for the view of steps only.
func (m *model) unusual(e node.Event) {
	at := e.When()
	switch e := e.(type) {
	case node.Gap:
		m.tellAt(at, warnTone, fmt.Sprintf("something of %s is missing and cannot be fetched any more (%s)", e.From, words.Count(e.Frames, "frame", "frames")))
	case node.Evidence:
		m.tellAt(at, badTone, fmt.Sprintf("%s has cheated: it signed two different announcements for one key", e.Role))
	case node.CodeChanged:
		m.codeChanged(e)
	case node.Problem:
		text := e.Text
		if e.Hint != "" {
			text += " (" + e.Hint + ")"
		}
		m.tellAt(at, warnTone, text)
	case node.Lagged:
		m.tellAt(at, warnTone, "this screen was too slow: "+words.Count(e.Events, "event is", "events are")+" not shown")
	default:
		m.step(e)
	}
}

// step shows what is for the view of steps only.
func (m *model) step(e node.Event) {
	at := e.When()
	switch e := e.(type) {
	case node.Note:
		m.trace(at, softTone, "note", "%s", e.Text)
	case node.LinkStep:
		m.trace(at, plainTone, "link", "%s: %s", e.Step, e.Detail)
	case node.ShareEvent:
		m.share(e)
	case node.Sealed:
		again := ""
		if e.Again {
			again = " again, over the session stream"
		}
		m.trace(at, plainTone, "message", "%s sealed under epoch %d and published%s (batch %s, %s)", ids(e.IDs), e.Epoch, again, short(e.Batch), words.Count(e.Bytes, "byte", "bytes"))
	case node.Refused:
		m.trace(at, warnTone, "message", "the relay node refuses %s: %s", ids(e.IDs), e.Reason)
		for _, id := range e.IDs {
			m.mend(id, func(s *said) { s.why = inert.Line(e.Reason) })
		}
	default:
		m.trace(at, softTone, "event", "%T", e)
	}
}

// message shows a message of another member.
func (m *model) message(e node.Message) {
	at := e.Sent
	if at.After(e.Time.Add(sentAhead)) || at.Year() < 2000 {
		at = e.Time
	}
	p := &m.panes[chatView]
	away := !p.follow || m.blurred || m.view != chatView
	n := m.add(chatView, at, &said{at: at, from: e.From, text: inert.Lines(e.Text), late: e.Late})
	if away && (p.mark < 0 || m.unread == 0) {
		p.setMark(n)
	}
	if away {
		m.unread++
	}
	m.trace(e.Time, plainTone, "message", "%s of %s opened under epoch %d, sent %s", short(e.ID), e.From, e.Epoch, e.Sent.Local().Format("15:04:05.000"))
}

// progress shows how far a message of this member has come.
func (m *model) progress(e node.Sent) {
	switch e.State {
	case node.Queued:
		if _, known := m.mine[e.ID]; !known {
			s := &said{at: e.Time, from: m.cfg.Self, text: inert.Lines(e.Text), mine: true, id: e.ID, state: e.State, of: m.others()}
			m.mine[e.ID] = m.add(chatView, e.Time, s)
		}
		m.trace(e.Time, plainTone, "message", "%s queued", short(e.ID))
		return
	case node.Relayed:
		m.trace(e.Time, plainTone, "message", "%s stored by the relay node", short(e.ID))
	case node.Delivered:
		m.trace(e.Time, plainTone, "message", "%s delivered%s", short(e.ID), joined(" to ", e.By))
	}
	m.mend(e.ID, func(s *said) {
		s.state, s.by, s.why = e.State, len(e.By), ""
		s.of = max(m.others(), s.by)
	})
}

// mend changes an own message that is still in the scrollback.
func (m *model) mend(id wire.MessageID, change func(*said)) {
	n, ok := m.mine[id]
	if !ok {
		return
	}
	p := &m.panes[chatView]
	if s, ok := p.get(n).(*said); ok {
		change(s)
		p.changed(n)
	}
}

// others is how many members a message goes to.
func (m *model) others() int { return max(len(m.who.Members)-1, 0) }

// recount corrects messages that were shown before it was known how many members there are.
func (m *model) recount() {
	of := m.others()
	for id, n := range m.mine {
		if s, ok := m.panes[chatView].get(n).(*said); ok && s.of == 0 && of > 0 {
			m.mend(id, func(s *said) { s.of = of })
		}
	}
}

func (m *model) sessionKey(e node.SessionKey) {
	how := joined("of ", e.Contributors)
	if e.Resumed {
		how = "kept from the last run"
	}
	lines := []string{fmt.Sprintf("Final session key Kabc = %s (epoch %d, %s)", e.Fingerprint, e.Epoch, how)}
	if m.cfg.ShowKey {
		lines = append(lines, "Kabc = "+e.Key.Reveal())
	}
	m.tellAt(e.Time, softTone, lines...)
	m.trace(e.Time, plainTone, "key", "epoch %d complete: Kabc = %s, contributors%s, epoch ID %s, transcript %s", e.Epoch, e.Fingerprint, joined(" ", e.Contributors), e.ID, e.Transcript)
}

func (m *model) peer(e node.Peer) {
	way := ""
	if e.Path != "" {
		way = " (" + pathWord(e.Path) + ")"
	}
	there := "away"
	if e.Online {
		there = "here" + way
	}
	why := ""
	if e.Reason != "" {
		why = ": " + e.Reason
	}
	m.trace(e.Time, plainTone, "member", "%s is %s%s", e.Role, there, why)
	if e.Role != m.cfg.Self && m.present[e.Role] != e.Online {
		m.present[e.Role] = e.Online
		m.tellAt(e.Time, softTone, string(e.Role)+" is "+there)
	}
}

// link shows in the chat only that a relay node was reached or lost, not each attempt.
func (m *model) link(e node.Link) {
	reason := ""
	if e.Reason != "" {
		reason = ": " + e.Reason
	}
	m.trace(e.Time, plainTone, "link", "relay node %s %s%s", e.Relay, e.State, reason)
	switch {
	case e.State == node.Ready && !m.linked:
		m.linked = true
		m.tellAt(e.Time, softTone, "connected to the relay node")
	case e.State == node.Down && m.linked:
		m.linked = false
		m.tellAt(e.Time, warnTone, "the relay node is not reached any more: messages wait and go out later (F2 shows why)")
	}
}

func (m *model) share(e node.ShareEvent) {
	text := fmt.Sprintf("share of %s to %s by %s", e.Of, e.Peer, e.Way)
	switch {
	case e.Received:
		text = fmt.Sprintf("share of %s came from %s by %s", e.Of, e.Peer, e.Way)
	case !e.OK:
		text += " did not arrive, it is tried again"
	}
	m.trace(e.Time, plainTone, "share", "%s (epoch ID %s, %s)", text, short(e.Epoch), words.Count(e.Bytes, "byte", "bytes"))
}

func (m *model) codeChanged(e node.CodeChanged) {
	whose := "the group's code"
	if e.Role != "" {
		whose = "the code of " + string(e.Role)
	}
	before := ""
	if e.WasVerified {
		before = ", and the old one had been compared"
	}
	m.tellAt(e.Time, badTone, whose+" has changed"+before+": the keys behind it are others now. Compare it anew before you trust it: /verify")
}

// short is the beginning of an ID.
func short(id fmt.Stringer) string { return id.String()[:8] }

func ids(list []wire.MessageID) string {
	names := make([]string, len(list))
	for i, id := range list {
		names[i] = short(id)
	}
	return strings.Join(names, ", ")
}

// joined is the words before a list of roles and the list, or nothing without any.
func joined(before string, roles []wire.Role) string {
	if len(roles) == 0 {
		return ""
	}
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	if n := len(names) - 1; n > 0 {
		return before + strings.Join(names[:n], ", ") + " and " + names[n]
	}
	return before + names[0]
}
