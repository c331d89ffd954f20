package keyagreement

import (
	"time"

	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
)

func (w *world) delay(most time.Duration) time.Duration {
	return time.Millisecond + time.Duration(w.rng.Int64N(int64(most)))
}

// publish brings a control message to everybody on the topic, each copy on its own way.
func (w *world) publish(from *node, o event.Broadcast) {
	if !from.linked || !w.relayUp || from.deaf {
		return
	}
	for _, to := range w.nodes {
		if to == from || to.deaf {
			continue
		}
		if to.linked && to.m != nil {
			w.carry(to, o.Raw)
		} else if o.Absent && inRoster(from.roster, to.role) {
			w.post(to.role, o.Raw, false)
		}
	}
}

// carry brings one copy of a control message to one member, perhaps.
func (w *world) carry(to *node, raw []byte) {
	if w.chance(w.loss) {
		w.fault("lost message")
		return
	}
	d := w.delay(w.slow)
	to.later(d, func() {
		if to.linked {
			to.input(event.Control{Raw: raw})
		}
	})
	if w.chance(w.dup) {
		w.fault("duplicate message")
		late := w.delay(w.slow * time.Duration(1+w.rng.IntN(100)))
		w.at(late, func() { to.input(event.Control{Raw: raw}) }) // also to a later life
	}
	if d > w.slow*3/4 {
		w.fault("reordered message")
	}
}

// post leaves a letter in a mailbox; who is there gets it at once.
func (w *world) post(to wire.Role, raw []byte, share bool) {
	w.mailID++
	l := &letter{id: w.mailID, raw: raw, share: share}
	w.mail[to] = append(w.mail[to], l)
	if n := w.byRole[to]; n.linked && n.m != nil {
		w.hand(n, l)
	}
}

func (w *world) hand(n *node, l *letter) {
	n.later(w.delay(w.slow), func() {
		switch {
		case l.deleted || !n.linked:
		case l.share:
			n.input(event.Envelope{Ref: l.id, Raw: l.raw})
		default:
			n.input(event.Control{Ref: l.id, Raw: l.raw})
		}
	})
}

// linkUp connects a member's driver to the relay node.
func (n *node) linkUp() {
	w := n.w
	n.linked = true
	if n.m == nil || !w.relayUp {
		return
	}
	n.input(event.RelayUp{Database: w.database})
	for _, other := range w.nodes {
		if other == n || n.m == nil {
			continue
		}
		up := other.linked && other.m != nil
		if w.chaos && w.chance(0.1) {
			w.fault("wrong presence hint")
			up = !up
		}
		n.hint(other.role, up)
	}
	w.presence(n, true)
	kept := w.mail[n.role][:0]
	for _, l := range w.mail[n.role] {
		if !l.deleted {
			kept = append(kept, l)
			w.hand(n, l)
		}
	}
	w.mail[n.role] = kept
}

func (n *node) hint(role wire.Role, up bool) {
	if up {
		n.input(event.Online{Role: role})
	} else {
		n.input(event.Offline{Role: role})
	}
}

func (n *node) linkDown() {
	if !n.linked {
		return
	}
	n.linked = false
	n.input(event.RelayDown{})
	for _, other := range n.w.nodes {
		if other != n {
			n.input(event.Offline{Role: other.role})
		}
	}
	n.w.presence(n, false)
}

// presence tells the others who came or went.
func (w *world) presence(n *node, up bool) {
	for _, other := range w.nodes {
		if other != n && other.linked && other.m != nil && w.relayUp {
			role := n.role
			other.later(w.delay(w.slow), func() { other.hint(role, up) })
		}
	}
}

// setRelay switches the relay node off or on, perhaps with an empty database.
func (w *world) setRelay(up, wipe bool) {
	if wipe {
		w.database[0]++
		clear(w.mail)
	}
	if up == w.relayUp && !wipe {
		return
	}
	w.relayUp = up
	for _, n := range w.nodes {
		if !n.linked {
			continue
		}
		if up {
			n.linkUp()
		} else {
			n.input(event.RelayDown{})
		}
	}
}
