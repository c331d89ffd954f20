package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"conclave/cmd/internal/inert"
	"conclave/node"
	"conclave/overlay/wire"
)

// printer shows events on stdout, where scripts read them. An error means that stdout is gone.
type printer interface {
	print(node.Event) error
	who(node.Who) error
}

// plainPrinter writes two kinds of lines: the session key's and the messages'. Everything else that a person may want to
// know goes to the log on stderr.
type plainPrinter struct {
	out     io.Writer
	aside   io.Writer // what was asked for by a command: stderr
	log     *slog.Logger
	showKey bool
}

func (p *plainPrinter) print(e node.Event) error {
	switch e := e.(type) {
	case node.SessionKey:
		return p.sessionKey(e)
	case node.Message:
		return p.line("[%s] %s\n", e.From, inert.Line(e.Text))
	case node.Held:
		p.log.Warn("a member was removed: messages wait for a new key")
	case node.Gap:
		p.log.Warn("messages are missing and cannot be fetched", "from", e.From, "frames", e.Frames)
	case node.Evidence:
		p.log.Warn("a member has cheated: two announcements for one epoch are signed by it", "role", e.Role)
	case node.Problem:
		p.log.Warn(e.Text, "hint", e.Hint)
	case node.Lagged:
		p.log.Warn("output was too slow, events were dropped", "events", e.Events)
	case node.Link:
		p.log.Info("link", "state", e.State, "reason", e.Reason)
	case node.Peer:
		p.log.Info("member", "role", e.Role, "online", e.Online, "path", e.Path, "reason", e.Reason)
	case node.RosterChanged:
		p.log.Info("roster", "version", e.Version, "added", e.Added, "removed", e.Removed)
	case node.Confirmed:
		p.log.Debug("confirmed", "role", e.Role, "epoch", e.Epoch)
	case node.Sent:
		p.log.Debug("sent", "id", e.ID, "state", e.State)
	case node.Note:
		p.log.Debug("note", "text", e.Text)
	}
	return nil
}

func (p *plainPrinter) sessionKey(e node.SessionKey) error {
	if err := p.line("Final session key Kabc = %s\n", e.Fingerprint); err != nil || !p.showKey {
		return err
	}
	return p.line("Kabc = %s\n", e.Key.Reveal())
}

// line writes one line with one Write, so that lines of one process never mix.
func (p *plainPrinter) line(format string, args ...any) error {
	_, err := io.WriteString(p.out, fmt.Sprintf(format, args...))
	return err
}

func (p *plainPrinter) who(w node.Who) error {
	_, err := io.WriteString(p.aside, describe(w))
	return err
}

// jsonPrinter writes one object a line.
type jsonPrinter struct {
	out     io.Writer
	showKey bool
}

// object is one line of json.
type object map[string]any

func (p *jsonPrinter) print(e node.Event) error {
	o := p.object(e)
	if o == nil {
		return nil
	}
	o["time"] = stamp(e.When())
	return p.write(o)
}

func (p *jsonPrinter) write(o object) error {
	line, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	_, err = p.out.Write(append(line, '\n'))
	return err
}

// object returns the event's members beside time, or nil for an event that json does not show.
func (p *jsonPrinter) object(e node.Event) object {
	switch e := e.(type) {
	case node.SessionKey:
		o := object{
			"event": "session_key", "epoch": e.Epoch, "id": e.ID.String(), "fingerprint": e.Fingerprint,
			"contributors": roles(e.Contributors), "transcript": e.Transcript.String(), "resumed": e.Resumed,
		}
		if p.showKey {
			o["key"] = e.Key.Reveal()
		}
		return o
	case node.Using:
		return object{"event": "using", "epoch": e.Epoch, "transcript": e.Transcript.String()}
	case node.Held:
		return object{"event": "held"}
	case node.Confirmed:
		return object{"event": "confirmed", "epoch": e.Epoch, "id": e.ID.String(), "role": e.Role}
	case node.Message:
		return object{"event": "message", "from": e.From, "id": e.ID.String(), "text": e.Text, "sent": stamp(e.Sent), "epoch": e.Epoch, "late": e.Late}
	case node.Sent:
		return sentObject(e)
	case node.Peer:
		return object{"event": "peer", "role": e.Role, "online": e.Online, "path": e.Path, "reason": e.Reason}
	case node.Link:
		return object{"event": "link", "state": e.State, "reason": e.Reason, "relay": e.Relay.String()}
	}
	return rarer(e)
}

// rarer returns the objects of the events that say something is unusual.
func rarer(e node.Event) object {
	switch e := e.(type) {
	case node.Gap:
		return object{"event": "gap", "from": e.From, "epoch": e.Epoch, "frames": e.Frames}
	case node.RosterChanged:
		return object{"event": "roster", "version": e.Version, "expires": stamp(e.Expires), "added": roles(e.Added), "removed": roles(e.Removed)}
	case node.Evidence:
		return object{"event": "evidence", "role": e.Role}
	case node.Problem:
		return object{"event": "error", "text": e.Text, "hint": e.Hint}
	case node.Lagged:
		return object{"event": "lagged", "events": e.Events}
	}
	return nil
}

func sentObject(e node.Sent) object {
	o := object{"event": "sent", "id": e.ID.String(), "state": e.State}
	switch e.State {
	case node.Queued:
		o["text"] = e.Text
	case node.Delivered:
		o["by"] = roles(e.By)
	}
	return o
}

func (p *jsonPrinter) who(w node.Who) error {
	members := make([]object, 0, len(w.Members))
	for _, m := range w.Members {
		members = append(members, object{
			"role": m.Role, "online": m.Online, "path": m.Path, "reason": m.Reason, "confirmed": m.Confirmed, "pair_code": m.PairCode,
		})
	}
	return p.write(object{
		"event": "who", "time": stamp(time.Now()), "self": w.Self, "group": w.Group, "group_code": w.GroupCode, "epoch": w.Epoch,
		"fingerprint": w.Fingerprint, "roster": w.RosterVersion, "members": members, "waiting": w.Waiting,
	})
}

// roles returns a list that marshals as [] when it is empty.
func roles(r []wire.Role) []wire.Role {
	if r == nil {
		return []wire.Role{}
	}
	return r
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
