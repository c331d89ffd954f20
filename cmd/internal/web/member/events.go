package member

import (
	"fmt"
	"slices"
	"time"

	"conclave/cmd/internal/words"
	"conclave/node"
	"conclave/overlay/wire"
)

// Show takes in what happened. Events are shown in the order of the calls.
func (w *Window) Show(e node.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.chat(e)
	w.tell(e)
	w.follow(e)
	switch e.(type) {
	case node.Message, node.Sealed, node.ShareEvent, node.Note, node.LinkStep:
	default:
		w.changed()
	}
}

// chat takes in what belongs into the timeline; the caller holds mu, as for all below.
func (w *Window) chat(e node.Event) {
	switch e := e.(type) {
	case node.Message:
		w.add(&Entry{
			Kind: kindMessage, Time: e.Time, Text: e.Text, ID: e.ID.String(), From: e.From, Sent: e.Sent, Late: e.Late,
		})
	case node.Sent:
		w.sent(e)
	case node.Refused:
		for _, id := range e.IDs {
			w.refused(e.Time, id.String(), "the relay node refuses it ("+e.Reason+"); it is tried again by itself")
		}
	case node.Sealed:
		w.sealed(e)
	case node.SessionKey:
		text := "Final session key Kabc = " + e.Fingerprint
		detail := fmt.Sprintf("Epoch %d, made by %s", e.Epoch, names(e.Contributors))
		if e.Resumed {
			detail += ", taken up again from the state file"
		}
		w.note(e.Time, "key", text, detail)
	case node.Held:
		w.note(e.Time, "warn", "Sending waits for a new key, because a member was removed", "")
	case node.Peer:
		w.peer(e)
	case node.Link:
		w.link(e)
	default:
		w.rarer(e)
	}
}

// rarer takes in what says that something is unusual.
func (w *Window) rarer(e node.Event) {
	switch e := e.(type) {
	case node.Gap:
		w.note(e.Time, "warn", fmt.Sprintf("Something of %s is missing and cannot be had any more", e.From),
			words.Count(e.Frames, "frame", "frames")+"; not every frame is a message")
	case node.RosterChanged:
		if len(e.Added) > 0 {
			w.note(e.Time, "roster", names(e.Added)+" joined the group", fmt.Sprintf("roster version %d", e.Version))
		}
		if len(e.Removed) > 0 {
			w.note(e.Time, "roster", names(e.Removed)+" left the group for good", fmt.Sprintf("roster version %d", e.Version))
		}
	case node.Evidence:
		w.note(e.Time, "alarm", fmt.Sprintf("%s cheats: two different commitments for one epoch are signed by it", e.Role), "It gives no share to keys under this roster any more")
	case node.CodeChanged:
		w.note(e.Time, "alarm", changedWords(e.Role, e.WasVerified), "Compare the code again, by voice or in person")
	case node.Problem:
		w.note(e.Time, "warn", sentence(e.Text), sentence(e.Hint))
	case node.Lagged:
		w.note(e.Time, "warn", "This window was too slow: "+words.Count(e.Events, "event was", "events were")+" left out", "")
	}
}

// changedWords says that a code is not what it was.
func changedWords(role wire.Role, verified bool) string {
	what := fmt.Sprintf("The code of %s has changed", role)
	if role == "" {
		what = "The group's code has changed"
	}
	if verified {
		return what + ", though it had been verified"
	}
	return what
}

// sent takes in how far an own message is.
func (w *Window) sent(e node.Sent) {
	id := e.ID.String()
	entry := w.timeline.byID[id]
	if entry == nil {
		if e.State != node.Queued {
			return // of an earlier run
		}
		entry = &Entry{
			Kind: kindMessage, Time: e.Time, Sent: e.Time, Text: e.Text, ID: id, From: w.cfg.Self, Own: true, State: &Fate{},
		}
		entry.State.advance(e, w.others())
		w.add(entry)
		return
	}
	if entry.State == nil {
		return
	}
	entry.State.advance(e, w.others())
	w.fate(entry)
}

// sealed adds the way of an own message from the outbox to the topic.
func (w *Window) sealed(e node.Sealed) {
	for _, id := range e.IDs {
		entry := w.timeline.byID[id.String()]
		if entry == nil || entry.State == nil {
			continue
		}
		point := WayPoint{Time: e.Time, Text: "sealed and published", Detail: fmt.Sprintf(
			"epoch %d, batch %s, %s", e.Epoch, short(e.Batch.String()), words.Count(e.Bytes, "byte", "bytes"))}
		if e.Again {
			point.Text = "handed to the relay node once more"
			point.Detail = fmt.Sprintf("over the session stream, batch %s", short(e.Batch.String()))
		}
		entry.State.Way = append(entry.State.Way, point)
		w.fate(entry)
	}
}

// refused marks an own message as failed.
func (w *Window) refused(at time.Time, id, why string) {
	entry := w.timeline.byID[id]
	if entry == nil || entry.State == nil || rank(entry.State.Name) > rank(fateFailed) {
		return
	}
	entry.State.Name, entry.State.why = fateFailed, why
	entry.State.Way = append(entry.State.Way, WayPoint{Time: at, Text: "refused", Detail: why})
	entry.State.say(w.others())
	w.fate(entry)
}

// fate tells the pages how far an own message is.
func (w *Window) fate(e *Entry) {
	w.publish("sent", struct {
		ID    string `json:"id"`
		State *Fate  `json:"state"`
	}{e.ID, e.State})
}

// others is how many members could get a message.
func (w *Window) others() int { return max(0, len(w.status.Members)-1) }

// peer says who comes and goes. While no relay node is there, nobody can tell: those who are back at once never left.
func (w *Window) peer(e node.Peer) {
	switch {
	case e.Online && !w.here[e.Role]:
		w.here[e.Role] = true
		w.note(e.Time, "join", fmt.Sprintf("%s is here", e.Role), sentence("reached "+pathWords(e.Path)))
	case !e.Online && w.here[e.Role] && len(w.ready) > 0:
		delete(w.here, e.Role)
		w.note(e.Time, "leave", fmt.Sprintf("%s is away", e.Role), "")
	}
}

// link says when the connection comes and goes.
func (w *Window) link(e node.Link) {
	id := e.Relay.String()
	switch e.State {
	case node.Ready:
		if len(w.ready) == 0 {
			w.readyAt = w.cfg.Now()
			time.AfterFunc(greetWait+settleTime, w.changed)
			w.note(e.Time, "link", "Connected to the relay node", "Relay node "+id)
			w.wasReady = true
		}
		w.ready[id] = true
	case node.Down:
		delete(w.ready, id)
		if w.wasReady && len(w.ready) == 0 {
			w.note(e.Time, "link", "The connection to the relay node is gone; trying again", e.Reason)
			w.wasReady = false
		}
	}
}

// reconcile says who left while no relay node could tell.
func (w *Window) reconcile(who node.Who) {
	if len(w.ready) == 0 || w.cfg.Now().Sub(w.readyAt) < greetWait {
		return
	}
	for _, m := range who.Members {
		if w.here[m.Role] && !m.Online {
			delete(w.here, m.Role)
			w.note(w.cfg.Now(), "leave", fmt.Sprintf("%s is away", m.Role), "")
		}
	}
}

// follow keeps the roles of this run in mind: those who are no members any more are not here.
func (w *Window) follow(e node.Event) {
	if e, ok := e.(node.RosterChanged); ok {
		for _, r := range e.Removed {
			if !slices.Contains(e.Added, r) {
				delete(w.here, r)
			}
		}
	}
}
