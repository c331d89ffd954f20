package keyagreement

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/limits"
	"conclave/node/keyagreement/record"
	"conclave/overlay/wire"
)

// Directed schedules: little goes wrong, and what must happen must happen in time.

// calm starts a world of n roster members without faults.
func calm(seed uint64, n int) *world {
	w := newWorld(seed)
	w.slow = 10 * time.Millisecond
	w.add(n, n)
	for _, x := range w.nodes {
		x.roster, x.linked = w.roster, true
	}
	return w
}

// start boots members one after another, gap apart, and returns when the last one started.
func (w *world) start(nodes []*node, gap time.Duration) time.Duration {
	at := time.Duration(0)
	for _, n := range nodes {
		w.at(at, n.boot)
		at += gap
	}
	return at - gap
}

func (w *world) expect(ok bool, what string) {
	if !ok && len(w.errs) == 0 {
		w.failf("%s", what)
	}
}

// session returns what a member uses.
func (n *node) session() event.Session { return n.w.oracle.keys[n.using] }

func (n *node) has(t wire.Transcript) bool {
	_, ok := n.w.oracle.readers[t][n.role]
	return ok
}

// calmAll: the whole roster asks, so one opens at once and all confirm at once.
func calmAll(seed uint64) *world {
	w := calm(seed, 3+int(seed/4%3))
	last := w.start(w.nodes, 20*time.Millisecond)
	w.run(last+3*time.Second, nil)
	w.expect(w.oracle.opened == 1, "the whole roster asked, and not one member opened")
	w.expect(w.oracle.first <= last+50*time.Millisecond, "the whole roster asked, and nobody opened at once")
	w.expect(w.converged() && len(w.nodes[0].session().Contributors) == len(w.nodes), "not all contributed")
	w.expect(w.oracle.lastUse <= last+400*time.Millisecond, "all confirmed, and the session was not used at once")
	return w
}

// calmAbsent: one is away, so the others wait for newcomers, and one opens for all.
func calmAbsent(seed uint64) *world {
	w := calm(seed, 4)
	last := w.start(w.nodes[:3], time.Duration(50+w.rng.IntN(180))*time.Millisecond)
	w.run(last+2500*time.Millisecond, nil)
	w.expect(w.oracle.opened == 1, "more or less than one member opened")
	w.expect(w.oracle.first >= last+300*time.Millisecond, "nobody waited for newcomers")
	s := w.nodes[0].session()
	w.expect(len(s.Contributors) == 3, "not all present contributed")
	return w
}

// calmMany: newcomers do not end, so one opens after 2 s.
func calmMany(seed uint64) *world {
	w := calm(seed, 14)
	w.start(w.nodes[:13], 250*time.Millisecond)
	w.run(2200*time.Millisecond, nil)
	w.expect(w.oracle.opened > 0, "newcomers held the first key up for more than 2 s")
	return w
}

// calmJoin: C comes later, reads what was sent, and the three go on with a key of all three.
func calmJoin(seed uint64) *world {
	w := calm(seed, 3)
	w.start(w.nodes[:2], 100*time.Millisecond)
	w.run(time.Duration(10+w.rng.IntN(3600))*time.Second, nil)
	t := w.nodes[0].using
	w.at(0, w.nodes[2].boot)
	w.run(w.now+12*time.Second, nil)
	w.expect(w.nodes[2].has(t), "the late member cannot read what was sent before")
	w.expect(w.converged() && len(w.nodes[0].session().Contributors) == 3, "the late member's share is not in the key")
	return w
}

// calmStagger: three start by hand, in any order and seconds apart, so that some agree before others are there. In the end
// all three are in the key.
func calmStagger(seed uint64) *world {
	w := calm(seed, 3)
	for _, n := range w.nodes {
		w.at(time.Duration(w.rng.IntN(4000))*time.Millisecond, n.boot)
	}
	w.run(30*time.Second, nil)
	w.expect(w.converged() && len(w.nodes[0].session().Contributors) == 3, "three started seconds apart, and not all are in the key")
	return w
}

// calmSpread: one says that it was told something else than the others. They show it what they were told, and again when
// it says so again, for the first showing may have been lost.
func calmSpread(seed uint64) *world {
	w := calm(seed, 3)
	w.start(w.nodes, 10*time.Millisecond)
	w.run(5*time.Second, nil)
	n, other := w.nodes[0], w.nodes[1]
	s := n.session()
	e := n.m.byID[s.ID]
	if e == nil {
		w.expect(false, "three did not agree")
		return w
	}
	p := wire.Confirmation{Group: w.group, Epoch: s.ID, Role: other.role, Announcements: make([][32]byte, len(e.parts))}
	for i := range e.parts {
		p.Announcements[i] = e.parts[i].hash
	}
	p.Announcements[2][0] ^= 1
	raw := other.signAs(wire.SignedConfirmation, p.Marshal())
	for range 2 {
		shown := slices.ContainsFunc(n.m.Step(n.clock(), event.Control{Raw: raw}), func(o event.Output) bool {
			b, ok := o.(event.Broadcast)
			return ok && bytes.Equal(b.Raw, e.parts[2].raw)
		})
		w.expect(shown, "a contradiction does not make a member show what it was told")
		w.run(w.now+2*limits.EvidenceAgain, nil)
	}
	return w
}

// calmAhead: one whose clock is ahead opens and goes away. The others' next key is a newer one all the same.
func calmAhead(seed uint64) *world {
	w := calm(seed, 3)
	w.nodes[0].skew = 90 * time.Second
	w.start(w.nodes, 10*time.Millisecond)
	w.run(5*time.Second, nil)
	before := w.nodes[1].using
	w.nodes[0].kill()
	for _, n := range w.nodes[1:] {
		n.hint(w.nodes[0].role, false)
	}
	w.nodes[1].input(event.Rekey{})
	w.run(w.now+15*time.Second, nil)
	w.expect(w.nodes[1].using != before && w.nodes[2].using == w.nodes[1].using, "a clock that was ahead keeps a rekey from being used")
	return w
}

// calmRekey: a new epoch while the old goes on.
func calmRekey(seed uint64) *world {
	w := calm(seed, 3)
	w.start(w.nodes, 10*time.Millisecond)
	w.run(20*time.Second, nil)
	before, holds := w.nodes[0].using, w.oracle.holds
	w.fault("rekey")
	w.nodes[w.rng.IntN(3)].input(event.Rekey{})
	w.run(w.now+5*time.Second, nil)
	w.expect(w.nodes[0].using != before, "a rekey gave no new session")
	w.expect(w.oracle.holds == holds, "a rekey stopped the old session")
	w.expect(w.converged() && len(w.nodes[0].session().Contributors) == 3, "not all contributed to the rekey")
	return w
}

// calmMute: one asks without end and never contributes; it must not keep the others busy for ever.
func calmMute(seed uint64) *world {
	w := calm(seed, 4)
	bad := w.nodes[w.rng.IntN(4)]
	bad.cheat = mute
	var again func()
	again = func() { bad.storm(); w.at(time.Second, again) }
	w.at(0, again)
	w.start(w.nodes, 50*time.Millisecond)
	w.run(20*time.Second, nil)
	w.mustConverge(30 * time.Second)
	w.run(2*time.Minute, nil)
	for _, n := range w.nodes {
		w.expect(w.oracle.silent[n.role] <= 9, fmt.Sprint("a mute member is waited for again and again: ", w.oracle.silent[n.role]))
	}
	return w
}

// calmMailbox: the relay node's database is lost, or does not take the first deposits; then the contributors go, and the
// absent member comes.
func calmMailbox(seed uint64) *world {
	w := calm(seed, 3)
	w.start(w.nodes[:2], 100*time.Millisecond)
	lostMail := w.rng.IntN(2) == 0
	if lostMail {
		w.fault("deposit lost")
		w.postLoss = true
	}
	w.run(10*time.Second, nil)
	w.postLoss = false
	if !lostMail {
		w.fault("wipe of the relay node")
		w.setRelay(false, true)
		w.at(time.Second, func() { w.setRelay(true, false) })
	}
	w.run(3*time.Minute, nil)
	t := w.nodes[0].using
	w.nodes[0].kill()
	w.nodes[1].kill()
	w.at(0, w.nodes[2].boot)
	w.run(w.now+20*time.Second, nil)
	w.expect(w.nodes[2].has(t), "the mailbox did not hold what the absent member needs")
	return w
}

// calmHalfWay: a contributor's share reaches one of the others and not the third, and then it dies.
func calmHalfWay(seed uint64) *world {
	w := calm(seed, 3)
	order := w.rng.Perm(3)
	dead, holder, lacking := w.nodes[order[0]], w.nodes[order[1]], w.nodes[order[2]]
	w.fault("death half way")
	w.blocked = [2]wire.Role{dead.role, lacking.role}
	w.start(w.nodes, 10*time.Millisecond)
	w.run(500*time.Millisecond, func() bool { return holder.using != (wire.Transcript{}) || len(holder.m0()) > 0 })
	var t wire.Transcript
	for x := range w.oracle.keys {
		if holder.has(x) {
			t = x
		}
	}
	dead.kill()
	dead.gone = true
	w.expect(t != (wire.Transcript{}), "nobody completed the first epoch")
	w.run(w.now+time.Minute, nil)
	w.expect(lacking.has(t), "nobody handed the dead contributor's share on")
	return w
}

// m0 returns the transcripts that a member has completed.
func (n *node) m0() (out []wire.Transcript) {
	for t, readers := range n.w.oracle.readers {
		if _, ok := readers[n.role]; ok {
			out = append(out, t)
		}
	}
	return out
}

// calmResend: a contributor dies between its commit and its first message, and comes back.
func calmResend(seed uint64) *world {
	w := calm(seed, 3)
	w.start(w.nodes[:2], 10*time.Millisecond)
	victim := w.nodes[1] // A opens
	victim.dieAfterCommit = true
	w.run(2*time.Second, func() bool { return victim.died != (wire.EpochID{}) })
	w.fault("crash after the commit")
	w.at(0, victim.boot)
	w.run(w.now+time.Minute, nil)
	var t wire.Transcript
	for x, s := range w.oracle.keys {
		if s.ID == victim.died {
			t = x
		}
	}
	w.expect(t != (wire.Transcript{}), "a contribution on disk was not sent after the restart")
	// The third was away all the time, and finds everything in its mailbox.
	w.nodes[0].kill()
	w.nodes[1].kill()
	w.at(0, w.nodes[2].boot)
	w.run(w.now+20*time.Second, nil)
	w.expect(w.nodes[2].has(t), "a contribution on disk was not left for the absent member after the restart")
	return w
}

// calmLong: numbers small enough that their end comes.
func calmLong(seed uint64) *world {
	w := calm(seed, 3)
	w.limits.Retention, w.limits.MaxAge, w.limits.MaxSessions = time.Minute, 20*time.Second, 3
	if w.rng.IntN(2) == 0 {
		w.limits.MaxAge = time.Hour // the session outlives its shares
	}
	w.start(w.nodes[:2], 10*time.Millisecond)
	w.fault("time passes")
	w.run(4*time.Minute, nil)
	for _, n := range w.nodes[:2] {
		if n.m == nil {
			continue
		}
		sessions := 0
		for _, e := range n.m.order {
			if e.session != nil {
				sessions++
			}
			age := n.clock().Sub(e.created)
			for _, c := range e.opening.Contributors {
				_, kept := n.disk[record.Part(e.id, c.Role)]
				w.expect(!kept || age <= w.limits.Retention+time.Second, "a share outlived its time")
			}
			if e.session != nil && e.session.transcript == n.using {
				w.expect(age <= w.limits.MaxAge+10*time.Second, "an old session was not replaced")
			}
		}
		w.expect(sessions <= w.limits.MaxSessions+1, "sessions pile up")
	}
	return w
}

// calmOffer: only the members can pass a roster on.
func calmOffer(seed uint64) *world {
	w := calm(seed, 4)
	w.start(w.nodes, 10*time.Millisecond)
	w.run(5*time.Second, nil)
	w.oldRelay = true
	w.fault("member removed")
	w.nodes[3].kill()
	w.nodes[3].gone = true
	w.issue(w.nodes[:3])
	w.nodes[0].takeRoster()
	w.run(w.now+20*time.Second, nil)
	w.nodes[1].input(event.Rekey{})
	w.nodes[2].input(event.Rekey{})
	w.mustConverge(time.Minute)
	return w
}

// calmDeaf: nothing passes to or from one member for a while, and nobody has a reason to speak when that ends.
func calmDeaf(seed uint64) *world {
	w := calm(seed, 3)
	w.start(w.nodes, 10*time.Millisecond)
	w.run(5*time.Second, nil)
	w.fault("nothing passes")
	deaf := w.rng.IntN(3)
	w.nodes[deaf].deaf = true
	w.nodes[(deaf+1)%3].input(event.Rekey{})
	w.run(time.Duration(8+w.rng.IntN(10))*time.Minute, nil)
	w.nodes[deaf].deaf = false
	w.mustConverge(100 * time.Second)
	return w
}

// calmOldDisk: a disk from before the last epoch, which all have confirmed. Nobody sends, so nothing else gives it away.
func calmOldDisk(seed uint64) *world {
	w := calm(seed, 3)
	w.quiet = true
	w.start(w.nodes, 10*time.Millisecond)
	w.run(5*time.Second, nil)
	n := w.nodes[w.rng.IntN(3)]
	disk := maps.Clone(n.disk)
	w.nodes[w.rng.IntN(3)].input(event.Rekey{})
	w.run(w.now+20*time.Second, nil)
	w.fault("old disk restored")
	n.kill()
	n.lose()
	n.disk = disk
	w.at(0, n.boot)
	w.run(w.now+100*time.Millisecond, nil)
	w.mustConverge(25 * time.Second)
	return w
}

// calmBehind: a disk from two restarts ago, so its next start number has been used before. The others see it and say so.
func calmBehind(seed uint64) *world {
	w := calm(seed, 3)
	w.start(w.nodes, 10*time.Millisecond)
	w.run(4*time.Second, nil)
	n := w.nodes[w.rng.IntN(3)]
	disk, starts, t := maps.Clone(n.disk), maps.Clone(n.starts), n.using
	for range 3 {
		n.kill()
		w.at(100*time.Millisecond, n.boot)
		w.run(w.now+4*time.Second, nil)
	}
	w.fault("old disk restored")
	n.kill()
	n.disk, n.starts = disk, starts
	w.at(100*time.Millisecond, n.boot)
	w.run(w.now+10*time.Second, nil)
	w.expect(w.oracle.behind[n.role][t], "nobody told that the start number is behind")
	w.mustConverge(30 * time.Second)
	w.expect(n.using != t, "the old session is still used")
	return w
}

var directed = []func(uint64) *world{
	calmAll, calmAbsent, calmMany, calmJoin, calmStagger, calmSpread, calmRekey, calmMute, calmMailbox, calmHalfWay, calmResend,
	calmLong, calmOffer, calmDeaf, calmOldDisk, calmBehind, calmAhead,
}

// schedule runs the schedule of a seed: three of four are chaos.
func schedule(seed uint64) *world {
	if seed%4 != 3 {
		return chaos(seed)
	}
	return directed[int(seed/4)%len(directed)](seed)
}
