package keyagreement

import (
	"bytes"
	"cmp"
	"time"

	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
)

// What the oracle says of sessions: which are resumed, used and sent under.

// resumed judges a restart: whoever had a session to send under resumes it at once.
func (o *oracle) resumed(n *node, was wire.Transcript) {
	if n.cheat != honest || n.m == nil || was == (wire.Transcript{}) {
		return
	}
	if got, ok := o.readers[was][n.role]; !ok || n.wiped >= got {
		return
	}
	for _, x := range o.keys[was].Members {
		if !inRoster(n.roster, x.Role) {
			return
		}
	}
	for _, e := range n.m.order {
		if e.session != nil && e.session.transcript == was && n.m.tainted(e) {
			return
		}
	}
	if n.using == (wire.Transcript{}) && !o.split[o.keys[was].ID] && !o.behind[n.role][was] {
		n.w.failf("%s had a session before its restart and has none after it", n.role)
	}
}

// firstKey checks that a member without a key does not let an opening wait.
func (o *oracle) firstKey(n *node) {
	m := n.m
	if m.hasOther(nil) {
		return
	}
	for _, e := range m.order {
		if e.created != m.Now || e.stale || !e.answerAt.After(m.Now) {
			continue
		}
		by := e.opening.Opener
		if !m.answeredBy[by].Add(n.w.limits.PerOpener).After(m.Now) && !until(m, by).After(m.Now) {
			n.w.failf("%s has no key and lets an opening of %s wait", n.role, by)
		}
	}
}

// used judges the choice of a session.
func (o *oracle) used(n *node) {
	s, ok := o.keys[n.using]
	if n.cheat != honest || !ok || n.m == nil {
		return
	}
	if best := judge(n.m).best(false); best != nil && best.session.transcript != n.using {
		n.w.failf("%s uses %d/%d, and %d/%d is ready", n.role, s.Number, len(s.Contributors), best.opening.Number, len(best.parts))
	}
	if limit := uint64(simEpochStart.Add(n.w.now + n.w.limits.Ahead + 70*time.Second).UnixMilli()); s.Number > limit {
		n.w.failf("%s uses a session whose number is ahead of every clock", n.role)
	}
}

// said judges a message sent.
func (o *oracle) sent(n *node, t wire.Transcript) bool {
	s, ok := o.keys[t]
	if !ok {
		n.w.failf("%s sends under a session that it never completed", n.role)
		return false
	}
	for _, x := range s.Members {
		if !inRoster(n.roster, x.Role) {
			n.w.failf("%s sends under an epoch that %s can read, who was removed", n.role, x.Role)
		}
	}
	if o.behind[n.role][t] {
		n.w.failf("%s sends under a session in which its start number is behind", n.role)
	}
	return true
}

func (o *oracle) saidUnder(n *node, t wire.Transcript, start int) {
	if !o.sent(n, t) {
		return
	}
	o.said = append(o.said, saying{t, n.role, n.w.now})
	if o.maxStart[n.role] == nil {
		o.maxStart[n.role] = map[wire.Transcript]int{}
	}
	most := o.maxStart[n.role][t]
	o.maxStart[n.role][t] = max(most, start)
	if start < most {
		n.w.fault("start number behind")
		for _, other := range n.w.nodes {
			if other != n && other.m != nil && other.linked && other.cheat == honest {
				other.later(n.w.delay(n.w.slow), func() { other.input(event.SawBehind{Transcript: t, Role: n.role, Start: uint32(most)}) })
				return
			}
		}
	}
}

func (o *oracle) rolledBack(n *node, t wire.Transcript) {
	if o.behind[n.role] == nil {
		o.behind[n.role] = map[wire.Transcript]bool{}
	}
	o.behind[n.role][t] = true
}

// hasOther tells whether there is a session to send under beside an epoch's.
func (m *Machine) hasOther(e *epoch) bool {
	for _, x := range m.order {
		if x != e && judge(m).eligible(x) {
			return true
		}
	}
	return false
}

// openerOf names who opened a completed epoch.
func (o *oracle) openerOf(id wire.EpochID) wire.Role { return o.by[id] }

// judge decides as the specification has it, whatever the machine under test does: a mutant must not judge itself.
type judgement struct{ *Machine }

func judge(m *Machine) judgement {
	copied := *m
	return judgement{&copied} // what looking does to the copy's next deadline is of no account
}

// eligible tells whether a session may be sent under at all.
func (m judgement) eligible(e *epoch) bool {
	if e.session == nil || m.self < 0 || m.roster.Removes(e.roster) || m.tainted(e) || e.session.noSend {
		return false
	}
	return e.session.transcript == m.using || e.opening.Number <= uint64(max(m.Now.Add(m.cfg.Limits.Ahead).UnixMilli(), 0))
}

// best returns the session that is to be used; with all set also one that is not ready.
func (m judgement) best(all bool) *epoch {
	var best *epoch
	for _, e := range m.order {
		ready := func() bool {
			return e.session.restored || e.contributorsConfirmed() || !m.Now.Before(e.session.completed.Add(m.cfg.Limits.UseAfter))
		}
		if m.eligible(e) && (all || ready()) && (best == nil || m.before(e, best)) {
			best = e
		}
	}
	return best
}

// before tells whether a is used rather than b: the higher number, then more contributors, then the smaller ID.
func (m judgement) before(a, b *epoch) bool {
	return cmp.Or(cmp.Compare(b.opening.Number, a.opening.Number), cmp.Compare(len(b.parts), len(a.parts)), bytes.Compare(a.id[:], b.id[:])) < 0
}

// wants tells whether a member needs a new epoch.
func (m judgement) wants() bool {
	if _, cheat := m.evidence[m.cfg.Self]; cheat || m.Now.After(m.roster.Expires) {
		return false
	}
	best := m.best(true)
	if best == nil || best.roster.Hash != m.roster.Hash || best.contributor(m.cfg.Self) < 0 {
		return true // without a key, or without this member's share in it
	}
	newest, rekey := time.Time{}, m.rekey
	for _, e := range m.order {
		switch {
		case m.eligible(e):
			if e.session.completed.After(newest) {
				newest = e.session.completed
			}
			rekey = rekey && (e.opening.Number <= m.rekeyNumber || e.contributor(m.cfg.Self) < 0)
		case e.session == nil && !m.tainted(e) && e.roster == m.roster && e.lack.N > 1 && len(e.early) > 0 && m.before(e, best):
			return true // others have a newer key
		}
	}
	return rekey || !m.Now.Before(newest.Add(m.cfg.Limits.MaxAge))
}

// until returns until when a role does not count because it was silent.
func until(m *Machine, role wire.Role) time.Time {
	at, _ := m.asked.Until(role)
	return at
}
