package keyagreement

import (
	"maps"
	"time"

	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
)

// chaos is a random schedule: everything goes wrong for a while, then the network heals and all must agree.
func chaos(seed uint64) *world {
	w := newWorld(seed)
	r := w.rng
	n := 3 + r.IntN(3)
	size := n
	if r.IntN(3) == 0 {
		size--
	}
	w.add(n, size)
	w.chaos = true
	w.chooseCheats()
	if r.IntN(2) == 0 {
		w.loss, w.dup = r.Float64()*0.2, r.Float64()*0.2
	}
	w.slow = []time.Duration{10, 50, 50, 300, 1500}[r.IntN(5)] * time.Millisecond
	expiring := r.IntN(40) == 0
	end := time.Duration(8+r.IntN(14)) * time.Second
	if expiring {
		w.fault("roster expires")
		w.roster.Expires = simEpochStart.Add(end / 2)
	}
	for _, x := range w.nodes {
		x.roster = w.roster
		x.linked = true
		if r.IntN(4) == 0 {
			w.fault("clock off by up to a minute")
			x.skew = time.Duration(r.IntN(119_000)-59_500) * time.Millisecond
		}
		start := time.Duration(r.IntN(6000)) * time.Millisecond
		if r.IntN(3) == 0 {
			start = 0
		}
		w.at(start, x.boot)
	}
	for range 3 + r.IntN(8) {
		w.at(time.Duration(r.Int64N(int64(end))), w.disturb)
	}
	w.run(end, nil)
	w.heal()
	if expiring {
		w.run(end+10*time.Second, nil)
		return w
	}
	w.mustConverge(5 * time.Minute)
	if !w.stormy() {
		w.run(w.now+3*time.Second, nil)
		w.mustConverge(3 * time.Minute)
	}
	w.mustRead()
	for _, n := range w.nodes {
		w.oracle.erased(n)
	}
	return w
}

// chooseCheats makes at most one member equivocate and one storm, and leaves two honest at least.
func (w *world) chooseCheats() {
	r := w.rng
	order := r.Perm(len(w.nodes))
	if r.IntN(3) == 0 {
		w.nodes[order[0]].cheat = equivocating
	}
	if r.IntN(3) == 0 && len(w.nodes) > 3 {
		n := w.nodes[order[1]]
		n.cheat = storming
		if r.IntN(3) == 0 {
			n.cheat = mute
		}
		every := time.Duration(300+r.IntN(2000)) * time.Millisecond
		var again func()
		again = func() {
			n.storm()
			w.at(every, again)
		}
		w.at(every, again)
	}
}

func (w *world) stormy() bool {
	for _, n := range w.nodes {
		if n.cheat == storming || n.cheat == mute {
			return true
		}
	}
	return false
}

// disturb is one fault.
func (w *world) disturb() {
	r := w.rng
	n := w.nodes[r.IntN(len(w.nodes))]
	back := time.Duration(r.IntN(4000)) * time.Millisecond
	switch r.IntN(15) {
	case 0, 1:
		w.fault("restart")
		n.kill()
		w.at(back, n.boot)
	case 2:
		w.fault("restart of all")
		for _, x := range w.nodes {
			x.kill()
			w.at(time.Duration(r.IntN(2000))*time.Millisecond, x.boot)
		}
	case 3, 4:
		w.fault("wipe of a member")
		n.kill()
		n.lose()
		w.at(back, n.boot)
	case 5:
		w.fault("old disk restored")
		disk, starts := maps.Clone(n.disk), maps.Clone(n.starts)
		w.at(back*2, func() {
			n.kill()
			n.lose()
			n.disk, n.starts = disk, starts
			w.at(time.Second, n.boot)
		})
	case 6:
		w.fault("relay node down")
		w.setRelay(false, false)
		w.at(back, func() { w.setRelay(true, false) })
	case 7, 8:
		w.fault("wipe of the relay node")
		w.setRelay(false, true)
		w.at(back/4, func() { w.setRelay(true, false) })
	case 9, 10:
		w.fault("partition")
		n.linkDown()
		w.at(back*2, func() { n.linkUp() })
	case 11:
		w.changeRoster()
	case 12:
		w.fault("rekey")
		n.input(event.Rekey{})
	case 13:
		w.fault("clock jumps")
		n.skew = time.Duration(r.IntN(119_000)-59_500) * time.Millisecond
		n.schedule()
	case 14:
		w.die(n)
	}
}

// lose empties a member's disk.
func (n *node) lose() {
	n.disk, n.starts = map[string][]byte{}, map[wire.Transcript]int{}
	n.wiped = n.w.now
	delete(n.w.oracle.known, n.role)
}

// die ends a member for good, if enough others stay.
func (w *world) die(n *node) {
	left := 0
	for _, x := range w.nodes {
		if x != n && !x.gone && x.cheat == honest && inRoster(w.roster, x.role) {
			left++
		}
	}
	if left < 2 {
		return
	}
	w.fault("death")
	n.kill()
	n.gone = true
}

// changeRoster adds or removes a member; some hear of it at once, the others from them.
func (w *world) changeRoster() {
	var in []*node
	for _, n := range w.nodes {
		if inRoster(w.roster, n.role) {
			in = append(in, n)
		}
	}
	change := w.nodes[w.rng.IntN(len(w.nodes))]
	keep := in[:0:0]
	honestLeft := 0
	for _, n := range in {
		if n != change {
			keep = append(keep, n)
			if n.cheat == honest && !n.gone {
				honestLeft++
			}
		}
	}
	switch {
	case len(keep) == len(in):
		w.fault("member added")
		keep = nil
		for _, n := range w.nodes {
			if inRoster(w.roster, n.role) || n == change {
				keep = append(keep, n)
			}
		}
	case honestLeft < 2:
		return
	default:
		w.fault("member removed")
		w.oracle.removed[change.role] = true
	}
	w.issue(keep)
	told := false
	for _, n := range w.nodes {
		if w.chance(0.4) && n.m != nil {
			n.takeRoster()
			told = told || inRoster(w.roster, n.role)
		}
	}
	if change.m == nil && !change.gone {
		w.at(time.Second, change.boot)
	}
}

// heal ends all faults but the cheats.
func (w *world) heal() {
	w.chaos = false
	w.loss, w.dup, w.slow = 0, 0, 50*time.Millisecond
	if !w.relayUp {
		w.setRelay(true, false)
	}
	told := false
	for _, n := range w.nodes {
		told = told || n.m != nil && n.cheat == honest && n.roster.Version == w.roster.Version && inRoster(w.roster, n.role)
	}
	for _, n := range w.nodes {
		n.boot()
		if !n.linked {
			n.linkUp()
		}
		if n.m != nil && !inRoster(n.roster, n.role) {
			n.takeRoster() // as its relay node would tell it
		}
		if !told && n.m != nil && n.cheat == honest && inRoster(w.roster, n.role) {
			n.takeRoster()
			told = true
		}
	}
	// True hints at last.
	for _, n := range w.nodes {
		for _, other := range w.nodes {
			if other != n && n.m != nil {
				n.hint(other.role, other.m != nil)
			}
		}
	}
}

// honestOnes are those who must agree.
func (w *world) honestOnes() (out []*node) {
	for _, n := range w.nodes {
		if n.cheat == honest && !n.gone && inRoster(w.roster, n.role) {
			out = append(out, n)
		}
	}
	return out
}

// converged tells whether all honest members use one session and want no other.
func (w *world) converged() bool {
	all := w.honestOnes()
	if len(all) < 2 && len(w.roster.Members) > 1 {
		return true // one alone, or with a cheat only, has nobody to agree with
	}
	for _, n := range all {
		if n.m == nil || n.using == (wire.Transcript{}) || n.using != all[0].using || n.roster.Version != w.roster.Version {
			return false
		}
	}
	for _, n := range all {
		if judge(n.m).wants() {
			return false
		}
	}
	return true
}

func (w *world) mustConverge(within time.Duration) {
	if len(w.errs) > 0 || w.converged() {
		return
	}
	done := false
	w.run(w.now+within, func() bool { done = w.converged(); return done })
	if !done && len(w.errs) == 0 {
		state := ""
		for _, n := range w.honestOnes() {
			state += string(n.role) + ":" + n.using.String()[:6] + " "
		}
		w.failf("no convergence: %s", state)
	}
}

// mustRead asserts that what honest members sent can be read by every honest member that has not lost its disk since,
// as long as somebody who holds the key is there to hand it on.
func (w *world) mustRead() {
	if len(w.errs) > 0 {
		return
	}
	missing := func() (wire.Transcript, *node) {
		for _, s := range w.oracle.said {
			session := w.oracle.keys[s.t]
			from := w.byRole[s.from]
			if kind := w.byRole[w.oracle.openerOf(session.ID)].cheat; kind == storming || kind == mute {
				continue // of its many openings only the last few are kept
			}
			if from.gone || from.wiped >= s.at || w.oracle.split[session.ID] || !inRoster(w.roster, s.from) {
				continue
			}
			for _, n := range w.honestOnes() {
				if _, ok := w.oracle.readers[s.t][n.role]; ok || !sessionHas(session, n.role) || n.wiped >= s.at || w.oracle.removed[n.role] ||
					!w.oracle.known[n.role][w.oracle.hashes[session.RosterVersion]] {
					continue
				}
				return s.t, n
			}
		}
		return wire.Transcript{}, nil
	}
	if _, n := missing(); n == nil {
		return
	}
	w.run(w.now+3*time.Minute, func() bool { _, n := missing(); return n == nil })
	if t, n := missing(); n != nil && len(w.errs) == 0 {
		w.failf("%s cannot read what was sent under %v (S = %v)", n.role, t, w.oracle.keys[t].Contributors)
	}
}

func sessionHas(s event.Session, role wire.Role) bool {
	for _, m := range s.Members {
		if m.Role == role {
			return true
		}
	}
	return false
}
