package node

import (
	"time"

	"conclave/node/deadline"
	"conclave/node/frame"
	"conclave/node/order"
	"conclave/overlay/wire"
)

// previous keeps what a sender sent under its previous session before what it sends under the next: the first text under a
// session is led by a note of what came before. Of a session that is complete here the rest is fetched like any gap. For one
// that is still being agreed on here, as when a share of it is late, the sender's lane under the next one waits.
type previous struct {
	e       *engine
	waiting map[*lane]note
	due     time.Time // when to look whether somebody has waited enough; zero: nobody waits
}

// note is what a sender says to have sent: everything before a position of a session that is not here.
type note struct {
	session wire.Prefix
	before  frame.Position
	until   time.Time
}

func newPrevious(e *engine) previous { return previous{e: e, waiting: make(map[*lane]note)} }

// told is told what a lane's sender sent before what follows in the lane.
func (p *previous) told(l *lane, session wire.Prefix, before frame.Position) {
	e := p.e
	if ch := e.chats.byPrefix[session]; ch != nil {
		p.precede(l, ch, before) // defence: previous-first
		return
	}
	if !e.machine.Awaits(l.chat.about.Number) {
		return // nor will it ever be: from before this member's time, or forgotten
	}
	p.waiting[l] = note{session, before, time.Now().Add(e.cfg.Timing.GapGiveUp)} // defence: previous-awaited
	p.look()
}

// look sets when to look again: nothing tells that an epoch will not complete.
func (p *previous) look() { p.due = deadline.Sooner(p.due, time.Now().Add(fetchRetry)) }

// precede has everything before a position come before what follows in a lane.
func (p *previous) precede(l *lane, ch *chat, before frame.Position) {
	earlier := ch.lane(before.Sender, l.member.Identity)
	if earlier == nil || earlier == l {
		return
	}
	earlier.queue.Before(order.Position{Start: before.Start, Counter: before.Counter})
	p.e.inbound.touch(earlier)
}

// waits reports whether a lane waits for a session that is not here yet.
func (p *previous) waits(l *lane) bool {
	_, waiting := p.waiting[l]
	return waiting
}

// awake is told of a session that is here now.
func (p *previous) awake(ch *chat) {
	for l, n := range p.waiting {
		if n.session == ch.about.Transcript.Prefix() {
			p.forget(l)
			p.precede(l, ch, n.before)
			p.e.inbound.touch(l)
		}
	}
}

func (p *previous) forget(l *lane) { delete(p.waiting, l) }

// tick lets those go on that have waited enough, or in vain.
func (p *previous) tick() {
	now := time.Now()
	if p.due.IsZero() || now.Before(p.due) {
		return
	}
	p.due = time.Time{}
	for l, n := range p.waiting {
		if !now.Before(n.until) || !p.e.machine.Awaits(l.chat.about.Number) {
			p.forget(l)
			p.e.inbound.touch(l)
			continue
		}
		p.look()
	}
}
