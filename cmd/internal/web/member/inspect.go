package member

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"conclave/cmd/internal/web"
	"conclave/cmd/internal/words"
	"conclave/node"
	"conclave/overlay/wire"
)

// Drawer is what the drawer shows: facts in plain words, and tables with the technical detail.
type Drawer struct {
	Connection   []Fact     `json:"connection"`
	Links        []LinkRow  `json:"links"`
	Connections  []ConnRow  `json:"connections"`
	Certificates []CertRow  `json:"certificates"`
	Epochs       []EpochRow `json:"epochs"` // newest first
	Shares       []Trace    `json:"shares"` // newest first
	Ways         []Entry    `json:"ways"`   // own messages, newest first
	Drops        []Fact     `json:"drops"`
	Trace        []Trace    `json:"trace"` // newest first
	At           time.Time  `json:"at"`
}

// Fact is a name and a value.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Mono  bool   `json:"mono,omitempty"`
}

// LinkRow is one relay node.
type LinkRow struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Words string `json:"words"`
	Facts []Fact `json:"facts"`
}

// ConnRow is one libp2p connection.
type ConnRow struct {
	Who    string `json:"who"`
	Words  string `json:"words"`
	Detail string `json:"detail"`
}

// CertRow is one certificate and its checks.
type CertRow struct {
	Title  string       `json:"title"`
	Role   wire.Role    `json:"role"`
	Kind   string       `json:"kind"`
	Good   bool         `json:"good"`
	Words  string       `json:"words"`
	Facts  []Fact       `json:"facts"`
	Checks []node.Check `json:"checks"`
}

// EpochRow is one epoch.
type EpochRow struct {
	Number    string    `json:"number"`
	Using     bool      `json:"using"`
	State     string    `json:"state"` // on, wait or bad
	Words     string    `json:"words"`
	Seen      time.Time `json:"seen"`
	Facts     []Fact    `json:"facts"`
	Parts     []PartRow `json:"parts"`
	Confirmed string    `json:"confirmed"`
}

// PartRow is one contributor's part of an epoch.
type PartRow struct {
	Role       wire.Role `json:"role"`
	Commitment string    `json:"commitment"`
	Words      string    `json:"words"`
	Share      bool      `json:"share"`
}

// How much of each the drawer gets.
const (
	drawerEpochs = 12
	drawerShares = 60
	drawerWays   = 30
	drawerTrace  = 300
)

// drawer asks the node and puts everything into words.
func (w *Window) drawer(ctx context.Context) (Drawer, error) {
	in, err := w.cfg.Node.Inspect(ctx)
	if err != nil {
		return Drawer{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d := Drawer{
		At: in.Time, Connection: overview(in, w.status), Certificates: certRows(in), Epochs: epochRows(in),
		Ways: w.timeline.ways(drawerWays), Links: []LinkRow{}, Connections: []ConnRow{}, Shares: []Trace{}, Drops: []Fact{}, Trace: []Trace{},
	} // lists that are empty are lists for the page too
	for _, l := range in.Links {
		d.Links = append(d.Links, linkRow(l))
	}
	for _, c := range in.Connections {
		d.Connections = append(d.Connections, connRow(c))
	}
	for name, n := range in.TopicDrops {
		if n > 0 {
			d.Drops = append(d.Drops, Fact{Name: name, Value: fmt.Sprint(n)})
		}
	}
	slices.SortFunc(d.Drops, func(a, b Fact) int { return map[bool]int{true: -1, false: 1}[a.Name < b.Name] })
	for _, t := range slices.Backward(w.trace) {
		if len(d.Trace) < drawerTrace {
			d.Trace = append(d.Trace, t)
		}
		if t.Area == "share" && len(d.Shares) < drawerShares {
			d.Shares = append(d.Shares, t)
		}
	}
	return d, nil
}

func overview(in node.Inspection, s Status) []Fact {
	return []Fact{
		{Name: "You are", Value: fmt.Sprintf("%s in group %s", s.Self, s.Group)},
		{Name: "Your peer ID", Value: in.Peer.String(), Mono: true},
		{Name: "Group ID", Value: in.GroupID.String(), Mono: true},
		{Name: "Roster", Value: fmt.Sprintf("version %d, issued %s, valid until %s", in.Who.RosterVersion, dated(in.RosterIssued), dated(in.Who.RosterExpires))},
		{Name: "Roster hash", Value: in.RosterHash.String(), Mono: true},
		{Name: "Topic", Value: in.Topic, Mono: true},
		{Name: "In the topic with", Value: words.Count(len(in.TopicPeers), "peer", "peers")},
		{Name: "On the way out", Value: fmt.Sprintf("%s waiting, %s not acknowledged (%s)",
			words.Count(in.Outbox.Waiting, "message", "messages"), words.Count(in.Outbox.Flying, "batch", "batches"), words.Count(in.Outbox.FlyingBytes, "byte", "bytes"))},
	}
}

func linkRow(l node.LinkView) LinkRow {
	r := LinkRow{Name: string(l.Name), State: "wait"}
	switch l.State {
	case node.Ready:
		r.State, r.Words = "on", "carries everything"
	case node.Authenticated:
		r.Words = "authenticated, joining the topic"
	case node.Connecting:
		r.Words = "being called"
	case node.Down:
		r.State, r.Words = "bad", "not reached: "+l.Reason
	}
	r.Facts = append(r.Facts, Fact{Name: "Peer ID", Value: l.Relay.String(), Mono: true})
	for _, a := range l.Addrs {
		r.Facts = append(r.Facts, Fact{Name: "Address", Value: a, Mono: true})
	}
	if l.Database != "" {
		r.Facts = append(r.Facts, Fact{Name: "Database", Value: l.Database, Mono: true},
			Fact{Name: "Its roster", Value: fmt.Sprintf("version %d at the handshake", l.RosterVersion)})
	}
	if l.RoundTrip > 0 {
		r.Facts = append(r.Facts, Fact{Name: "Round trip", Value: fmt.Sprintf("%.1f ms", float64(l.RoundTrip.Microseconds())/1000)})
	}
	return r
}

func connRow(c node.Connection) ConnRow {
	r := ConnRow{Who: string(c.Role), Detail: c.Detail, Words: "direct"}
	switch {
	case c.Role == "":
		r.Who = c.Peer.String()
	case c.Relay:
		r.Words = "relay node"
	}
	if c.Circuit {
		r.Words = "circuit through the relay node"
	}
	if c.Inbound {
		r.Words += ", it called"
	}
	return r
}

func certRows(in node.Inspection) []CertRow {
	rows := []CertRow{}
	for _, c := range in.Certificates {
		r := CertRow{Role: c.Role, Kind: c.Kind, Good: true, Checks: c.Checks, Title: string(c.Role)}
		switch {
		case c.Kind == "authority":
			r.Title = "Group authority"
		case c.Self:
			r.Title += " (you)"
		}
		failed := 0
		for _, check := range c.Checks {
			if !check.OK {
				failed++
			}
		}
		r.Good = failed == 0
		r.Words = words.Count(len(c.Checks), "check", "checks") + " passed"
		if failed > 0 {
			r.Words = fmt.Sprintf("%d of %s failed", failed, words.Count(len(c.Checks), "check", "checks"))
		}
		r.Facts = []Fact{{Name: "Subject", Value: c.Subject}}
		if c.Peer != "" {
			r.Facts = append(r.Facts, Fact{Name: "Peer ID", Value: c.Peer.String(), Mono: true})
		}
		r.Facts = append(r.Facts,
			Fact{Name: "SHA-256", Value: grouped(c.Fingerprint), Mono: true}, Fact{Name: "Key", Value: c.Key},
			Fact{Name: "Valid", Value: dated(c.NotBefore) + " to " + dated(c.NotAfter)})
		rows = append(rows, r)
	}
	return rows
}

func epochRows(in node.Inspection) []EpochRow {
	rows := []EpochRow{}
	for _, e := range slices.Backward(in.Epochs) {
		if len(rows) == drawerEpochs {
			break
		}
		rows = append(rows, epochRow(e, e.Complete && e.Transcript == in.Using))
	}
	return rows
}

func epochRow(e node.Epoch, using bool) EpochRow {
	r := EpochRow{
		Number: fmt.Sprint(e.Number), Using: using, Seen: e.Seen, State: "wait", Words: "shares are being exchanged",
		Facts: []Fact{
			{Name: "Epoch ID", Value: e.ID.String(), Mono: true},
			{Name: "Opened by", Value: fmt.Sprintf("%s, under roster version %d", e.Opener, e.RosterVersion)},
		},
		Confirmed: names(e.Confirmed), Parts: []PartRow{},
	}
	switch {
	case e.Complete:
		r.State, r.Words = "on", fmt.Sprintf("complete after %s", span(e.Completed.Sub(e.Seen)))
		if using {
			r.Words = "in use, " + r.Words
		}
		r.Facts = append(r.Facts, Fact{Name: "Transcript", Value: e.Transcript.String(), Mono: true})
		if e.Erased {
			r.Facts = append(r.Facts, Fact{Name: "Shares", Value: "erased here, because everybody holds the key"})
		}
	case e.GivenUp:
		r.State, r.Words = "bad", "given up: somebody stayed silent"
	}
	if e.Previous != (wire.EpochID{}) {
		r.Facts = append(r.Facts, Fact{Name: "Follows", Value: e.Previous.String(), Mono: true})
	}
	for _, p := range e.Parts {
		r.Parts = append(r.Parts, partRow(p, e.Complete))
	}
	return r
}

func partRow(p node.EpochPart, complete bool) PartRow {
	r := PartRow{Role: p.Role, Words: "not announced yet", Share: p.Share}
	if p.Announced {
		r.Commitment, r.Words = hex.EncodeToString(p.Commitment[:]), "committed, share awaited"
	}
	if p.Share {
		r.Words = "share matches the commitment"
		if complete {
			r.Words = "in the key"
		}
	}
	return r
}

// diagnostics writes a text to hand to somebody who helps: how things stand, the last steps and the log. It has no text
// of a message, no key and no code.
func (w *Window) diagnostics(ctx context.Context) (string, error) {
	d, err := w.drawer(ctx)
	if err != nil {
		return "", err
	}
	return d.text(version(), w.statusNow(), w.lines(slog.LevelDebug)), nil
}

func (w *Window) statusNow() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// lines returns the last lines of the log from a level on, newest first.
func (w *Window) lines(least slog.Level) []web.Line {
	list := []web.Line{}
	if w.cfg.Lines == nil {
		return list
	}
	for _, line := range slices.Backward(w.cfg.Lines.Lines()) {
		var level slog.Level
		if level.UnmarshalText([]byte(line.Level)) == nil && level >= least {
			list = append(list, line)
		}
	}
	return list
}

func (w *Window) serveInspect(out http.ResponseWriter, r *http.Request) {
	d, err := w.drawer(r.Context())
	answer(out, d, err)
}
