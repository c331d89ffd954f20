package delivery

import (
	"slices"
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
	cfg     *Config
	touch   func(*lane) // has the reader look at a lane
	waiting []note
	due     time.Time // when to look whether somebody has waited enough; zero: nobody waits
}

// note is what the sender of a lane says to have sent: everything before a position of a session.
type note struct {
	lane    *lane
	session wire.Prefix
	before  frame.Position
	until   time.Time
}

// note takes in what a lane's sender says. earlier is the session named, nil if it is not here.
func (p *previous) note(earlier *session, n note, now time.Time) {
	if earlier != nil {
		p.precede(n.lane, earlier, n.before) // defence: previous-first
		return
	}
	if !p.cfg.Awaits(n.lane.session.Epoch) {
		return // nor will it ever be: from before this member's time, or forgotten
	}
	p.forget(n.lane)
	p.waiting = append(p.waiting, n) // defence: previous-awaited
	p.look(now)
}

// resumed holds back a lane of an earlier process start while an earlier session may still be completed: a note that named it
// may have been opened before this start, and is not remembered.
func (p *previous) resumed(l *lane, now time.Time) {
	if p.cfg.Awaits(l.session.Epoch) {
		p.waiting = append(p.waiting, note{lane: l, until: now.Add(p.cfg.Timing.GapGiveUp)}) // defence: previous-resumed
		p.look(now)
	}
}

// look sets when to look again: nothing tells that an epoch will not complete.
func (p *previous) look(now time.Time) { p.due = deadline.Sooner(p.due, now.Add(fetchRetry)) }

// precede has everything before a position come before what follows in a lane.
func (p *previous) precede(l *lane, s *session, before frame.Position) {
	earlier := s.lane(before.Sender, l.member.Identity)
	if earlier == nil || earlier == l {
		return
	}
	earlier.queue.Before(order.Position{Start: before.Start, Counter: before.Counter})
	p.touch(earlier)
}

// waits reports whether a lane waits for a session that is not here yet.
func (p *previous) waits(l *lane) bool {
	return slices.ContainsFunc(p.waiting, func(n note) bool { return n.lane == l })
}

// wake is told of a session that is here now.
func (p *previous) wake(s *session) {
	for _, n := range slices.Clone(p.waiting) {
		if n.session == s.prefix {
			p.forget(n.lane)
			p.precede(n.lane, s, n.before)
			p.touch(n.lane)
		}
	}
}

func (p *previous) forget(l *lane) {
	p.waiting = slices.DeleteFunc(p.waiting, func(n note) bool { return n.lane == l })
}

// tick lets those go on that have waited enough, or in vain.
func (p *previous) tick(now time.Time) {
	if p.due.IsZero() || now.Before(p.due) {
		return
	}
	p.due = time.Time{}
	for _, n := range slices.Clone(p.waiting) {
		if !now.Before(n.until) || !p.cfg.Awaits(n.lane.session.Epoch) { // defence: previous-ends
			p.forget(n.lane)
			p.touch(n.lane)
			continue
		}
		p.look(now)
	}
}
