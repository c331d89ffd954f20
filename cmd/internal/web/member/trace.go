package member

import (
	"fmt"
	"time"

	"conclave/cmd/internal/words"
	"conclave/node"
)

// Trace is one step of what happens, in plain words, with the technical side beside it.
type Trace struct {
	N      uint64    `json:"n"`
	Time   time.Time `json:"time"`
	Area   string    `json:"area"` // link, key, share, message or group
	Text   string    `json:"text"`
	Detail string    `json:"detail"`
	Bad    bool      `json:"bad,omitempty"`
}

// tell puts an event into the trace; the caller holds mu.
func (w *Window) tell(e node.Event) {
	t := traceOf(e)
	if t.Text == "" {
		return
	}
	w.traced++
	t.N, t.Time = w.traced, e.When()
	w.trace = append(w.trace, t)
	if len(w.trace) > maxTrace {
		w.trace = append([]Trace(nil), w.trace[len(w.trace)-maxTrace/2:]...)
	}
	w.publish("trace", t)
}

// traceOf says in words what happened; a Trace without text is not shown.
func traceOf(e node.Event) Trace {
	switch e := e.(type) {
	case node.Link:
		return traceLink(e)
	case node.LinkStep:
		return traceStep(e)
	case node.ShareEvent:
		return traceShare(e)
	case node.SessionKey, node.Using, node.Held, node.Confirmed, node.Evidence:
		return traceKey(e)
	case node.Sent, node.Sealed, node.Refused, node.Message, node.Gap:
		return traceMessage(e)
	}
	return traceGroup(e)
}

func traceLink(e node.Link) Trace {
	t := Trace{Area: "link", Detail: "relay node " + e.Relay.String()}
	switch e.State {
	case node.Connecting:
		t.Text = "Calling the relay node"
	case node.Authenticated:
		t.Text = "The relay node has proved who it is, and so have we"
	case node.Ready:
		t.Text = "The relay node carries everything now: session and topic"
	case node.Down:
		t.Text, t.Detail, t.Bad = "The connection is gone", e.Reason, true
	}
	return t
}

func traceStep(e node.LinkStep) Trace {
	t := Trace{Area: "link", Detail: e.Detail}
	switch e.Step {
	case node.StepDialled:
		t.Text = "There is an encrypted connection, which proves the relay node's peer ID"
	case node.StepHandshake:
		t.Text = "Certificates shown, fresh nonces signed on both sides"
	case node.StepTopic:
		t.Text = "Joined the group's topic"
	case node.StepReserved:
		t.Text = "The relay node keeps a circuit slot, so that others reach this member"
	case node.StepNoSlot:
		t.Text, t.Bad = "No circuit slot: shares come by mailbox for now", true
	}
	return t
}

func traceShare(e node.ShareEvent) Trace {
	way := map[node.Way]string{
		node.ByCircuit: "through a circuit", node.ByDirect: "over a direct connection", node.ByMailbox: "by mailbox",
	}[e.Way]
	t := Trace{Area: "share", Detail: fmt.Sprintf("epoch %s, %s, RSA-OAEP sealed, %s", short(e.Epoch.String()), words.Count(e.Bytes, "byte", "bytes"), e.Way)}
	switch {
	case e.Received && e.Of == e.Peer:
		t.Text = fmt.Sprintf("%s's share came %s", e.Of, way)
	case e.Received:
		t.Text = fmt.Sprintf("%s's share came %s, handed on by %s", e.Of, way, e.Peer)
	case !e.OK:
		t.Text, t.Bad = fmt.Sprintf("The share for %s could not be left %s; it is tried again", e.Peer, way), true
	case e.Way == node.ByMailbox:
		t.Text = fmt.Sprintf("A share of %s waits for %s in its mailbox", e.Of, e.Peer)
	default:
		t.Text = fmt.Sprintf("%s took a share of %s %s", e.Peer, e.Of, way)
	}
	return t
}

func traceKey(e node.Event) Trace {
	t := Trace{Area: "key"}
	switch e := e.(type) {
	case node.SessionKey:
		t.Text = "Final session key Kabc = " + e.Fingerprint
		t.Detail = fmt.Sprintf("epoch %d, %s, transcript %s, XOR of the shares of %s", e.Epoch, short(e.ID.String()), short(e.Transcript.String()), names(e.Contributors))
	case node.Using:
		t.Text = "Messages go under this key from now on"
		t.Detail = fmt.Sprintf("epoch %d, transcript %s", e.Epoch, short(e.Transcript.String()))
	case node.Held:
		t.Text, t.Bad = "Sending waits: a member who could read this key was removed", true
	case node.Confirmed:
		t.Text = fmt.Sprintf("%s has proved to hold the key", e.Role)
		t.Detail = fmt.Sprintf("epoch %d, signed confirmation with HMAC over the transcript", e.Epoch)
	case node.Evidence:
		t.Text, t.Bad = fmt.Sprintf("%s signed two announcements for one epoch", e.Role), true
	}
	return t
}

func traceMessage(e node.Event) Trace {
	t := Trace{Area: "message"}
	switch e := e.(type) {
	case node.Sent:
		t.Detail = "message " + short(e.ID.String())
		switch e.State {
		case node.Queued:
			t.Text = "A message is kept until it has arrived"
		case node.Relayed:
			t.Text = "The relay node has stored a message"
		case node.Delivered:
			t.Text = "A message was shown by " + names(e.By)
		}
	case node.Sealed:
		t.Text = words.Count(len(e.IDs), "message", "messages") + " sealed and published"
		if e.Again {
			t.Text = words.Count(len(e.IDs), "message", "messages") + " given to the relay node once more"
		}
		t.Detail = fmt.Sprintf("epoch %d, batch %s, %s, AES-256-CTR and HMAC-SHA256 each, one Ed25519 signature", e.Epoch, short(e.Batch.String()), words.Count(e.Bytes, "byte", "bytes"))
	case node.Refused:
		t.Text, t.Detail, t.Bad = "The relay node refuses "+words.Count(len(e.IDs), "message", "messages"), e.Reason, true
	case node.Message:
		t.Text = fmt.Sprintf("A message of %s was opened", e.From)
		t.Detail = fmt.Sprintf("message %s, epoch %d, %s of text", short(e.ID.String()), e.Epoch, words.Count(len(e.Text), "byte", "bytes"))
	case node.Gap:
		t.Text, t.Bad = fmt.Sprintf("Frames of %s are missing and cannot be fetched", e.From), true
		t.Detail = fmt.Sprintf("epoch %d, %s", e.Epoch, words.Count(e.Frames, "frame", "frames"))
	}
	return t
}

func traceGroup(e node.Event) Trace {
	t := Trace{Area: "group"}
	switch e := e.(type) {
	case node.Peer:
		t.Text = fmt.Sprintf("%s is away", e.Role)
		if e.Online {
			t.Text = fmt.Sprintf("%s is here", e.Role)
		}
		if e.Path != "" {
			t.Detail = "reached " + pathWords(e.Path)
		}
		if e.Reason != "" {
			t.Detail += ": " + e.Reason
		}
	case node.RosterChanged:
		t.Text = fmt.Sprintf("Roster version %d is in force", e.Version)
		t.Detail = fmt.Sprintf("added: %s; removed: %s; until %s", names(e.Added), names(e.Removed), dated(e.Expires))
	case node.CodeChanged:
		t.Text, t.Bad = changedWords(e.Role, e.WasVerified), true
	case node.Problem:
		t.Text, t.Detail, t.Bad = sentence(e.Text), e.Hint, true
	case node.Lagged:
		t.Text, t.Bad = words.Count(e.Events, "event was", "events were")+" left out", true
	case node.Note:
		t.Area, t.Text, t.Detail = "key", sentence(e.Text), "key agreement"
	}
	return t
}
