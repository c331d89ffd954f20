package keyagreement

import (
	"fmt"
	"maps"
	"time"

	"conclave/node/keyagreement/envelope"
	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
)

// boot starts a member's process.
func (n *node) boot() {
	if n.m != nil || n.gone {
		return
	}
	if !inRoster(n.roster, n.role) {
		n.roster = n.w.roster
		if !inRoster(n.roster, n.role) {
			return
		}
	}
	n.life++
	n.tickAt = 0
	n.start = map[wire.Transcript]bool{}
	was := n.using
	n.using = wire.Transcript{}
	cfg := Config{
		Group: n.w.group, Self: n.role, Roster: n.roster, Rand: n.w.bytes, Records: maps.Clone(n.disk), Limits: n.w.limits,
		Sign: func(b []byte) []byte { return simSign(n.member.Identity, b) }, Verify: simVerify,
	}
	_, _ = n.w.bytes.Read(cfg.Instance[:])
	n.w.oracle.booted(n, cfg.Instance)
	m, out, err := New(cfg, n.clock())
	if err != nil {
		n.w.failf("%s: New: %v", n.role, err)
		return
	}
	n.m = m
	n.trace("boot", out)
	n.perform(out)
	n.w.oracle.resumed(n, was)
	if n.linked {
		n.linkUp()
	}
	n.talk()
}

// kill ends it without warning.
func (n *node) kill() {
	if n.m == nil {
		return
	}
	n.m = nil
	n.life++
	n.w.presence(n, false)
}

// input steps the machine and does what it says.
func (n *node) input(in event.Input) {
	if n.m == nil {
		return
	}
	before := n.w.oracle.before(n)
	out := n.m.Step(n.clock(), in)
	if tracing && len(out) > 0 {
		n.trace(fmt.Sprintf("%T", in), out)
	}
	n.w.oracle.after(n, in, before, out)
	n.perform(out)
}

// later does something in this life only.
func (n *node) later(d time.Duration, do func()) {
	life := n.life
	n.w.at(d, func() {
		if n.life == life && n.m != nil {
			do()
		}
	})
}

// perform commits the records and then does the rest, unless the process dies on the way.
func (n *node) perform(out []event.Output) {
	w := n.w
	cut := len(out)
	if w.chaos && n.cheat == honest && len(out) > 0 && w.chance(0.004) {
		w.fault("crash in a step")
		if cut = w.rng.IntN(len(out) + 1); cut == 0 {
			n.crash() // before the commit
			return
		}
	}
	w.oracle.outputs(n, out)
	for _, o := range out {
		switch o := o.(type) {
		case event.Persist:
			n.disk[o.Key] = o.Value
		case event.Erase:
			delete(n.disk, o.Key)
		case event.Completed:
			w.oracle.completed(n, o.Session)
		}
	}
	w.oracle.committed(n, out)
	if n.dieAfterCommit {
		for _, o := range out {
			if x, ok := o.(event.Wrap); ok {
				n.dieAfterCommit, n.died = false, x.Parcel.Epoch
				n.kill()
				return
			}
		}
	}
	for i, o := range out {
		if i >= cut {
			n.crash()
			return
		}
		n.do(o)
	}
	n.schedule()
}

func (n *node) crash() {
	n.kill()
	n.w.at(time.Duration(n.w.rng.IntN(3000))*time.Millisecond, n.boot)
}

// schedule wakes the machine at its deadline.
func (n *node) schedule() {
	if n.m == nil {
		return
	}
	t, ok := n.m.Deadline()
	if !ok {
		return
	}
	at := max(t.Sub(simEpochStart)-n.skew, n.w.now)
	if n.tickAt > n.w.now && n.tickAt <= at {
		return
	}
	n.tickAt = at
	n.later(at-n.w.now, func() {
		if n.tickAt == at {
			n.tickAt = 0
			n.input(event.Tick{})
			n.schedule()
		}
	})
}

// do performs one output.
func (n *node) do(o event.Output) {
	w := n.w
	if n.m == nil {
		return
	}
	switch o := o.(type) {
	case event.Broadcast:
		if n.cheat == honest || !n.cheatBroadcast(o) {
			w.publish(n, o)
		}
	case event.Wrap:
		if n.cheat == honest || !n.cheatWrap(&o) {
			n.later(w.delay(5*time.Millisecond), func() { n.deliver(o) })
		}
	case event.Unwrap:
		n.later(w.delay(8*time.Millisecond), func() { n.input(simUnwrap(n.role, o)) })
	case event.Use:
		n.using = o.Transcript
		w.oracle.lastUse = w.now
		w.oracle.used(n)
	case event.Hold:
		w.oracle.holds++
		n.using = wire.Transcript{}
	case event.Settled:
		for _, l := range w.mail[n.role] {
			if l.id == o.Ref && n.linked && w.relayUp && !w.chance(w.loss/2) {
				l.deleted = true
			}
		}
	case event.NeedRoster:
		if n.linked && w.relayUp && !w.oldRelay {
			n.later(w.delay(w.slow), func() { n.takeRoster() })
		}
	case event.OfferRoster:
		if to := w.byRole[o.To]; n.linked && w.relayUp && to.linked {
			r := n.roster
			to.later(w.delay(w.slow), func() { to.takeThis(r) })
		}
	case event.ToldBehind:
		if started := n.starts[o.Transcript]; started < int(o.Start) {
			n.later(0, func() {
				w.oracle.rolledBack(n, o.Transcript)
				n.input(event.StartBehind{Transcript: o.Transcript})
			})
		}
	}
}

func (n *node) takeRoster() { n.takeThis(n.w.roster) }

func (n *node) takeThis(r Roster) {
	if r.Version > n.roster.Version {
		n.roster = r
		n.input(event.RosterIs{Roster: r})
	}
}

// deliver brings a sealed share to its member or its mailbox.
func (n *node) deliver(o event.Wrap) {
	w := n.w
	raw := envelope.Around(n.member.Identity, func(b []byte) []byte { return simSign(n.member.Identity, b) }, simWrap(o.Parcel.To, o.Label, o.Plaintext), o)
	to := w.byRole[o.Parcel.To]
	if w.blocked == [2]wire.Role{n.role, to.role} {
		return
	}
	if n.deaf || to.deaf {
		n.later(time.Second, func() { n.input(event.ShareFailed{Parcel: o.Parcel}) })
		return
	}
	switch {
	case !n.linked || !w.relayUp:
		n.input(event.ShareFailed{Parcel: o.Parcel})
	case to.linked && to.m != nil && !w.chance(w.loss):
		to.later(w.delay(w.slow), func() { to.input(event.Envelope{Raw: raw}) })
		if w.chance(w.dup) {
			w.fault("duplicate share")
			to.later(w.delay(w.slow), func() { to.input(event.Envelope{Raw: raw}) })
		}
		if !w.chance(w.loss) {
			n.later(w.delay(w.slow), func() { n.input(event.ShareDelivered{Parcel: o.Parcel}) })
		}
	case w.postLoss || w.chance(w.loss):
		w.fault("lost share")
		if w.chance(0.5) {
			n.later(w.delay(w.slow), func() { n.input(event.ShareFailed{Parcel: o.Parcel}) })
		}
	default:
		w.post(o.Parcel.To, raw, true)
		if !w.chance(w.loss) {
			n.later(w.delay(w.slow), func() { n.input(event.MailStored{Parcel: o.Parcel}) })
		}
	}
}

// talk sends a message now and then.
func (n *node) talk() {
	n.later(time.Duration(500+n.w.rng.IntN(1500))*time.Millisecond, func() {
		if n.using != (wire.Transcript{}) && n.cheat == honest && n.linked && !n.w.quiet {
			n.say()
		}
		n.talk()
	})
}

// say sends under the session in use, with a start number that this life takes from the disk.
func (n *node) say() {
	t := n.using
	if !n.start[t] {
		n.start[t] = true
		n.starts[t]++
	}
	n.w.oracle.saidUnder(n, t, n.starts[t])
}
