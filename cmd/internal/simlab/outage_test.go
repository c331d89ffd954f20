package simlab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"conclave/node"
	"conclave/overlay/longtest"
)

const (
	seeds   = 20
	recover = 5 * time.Second  // all chat again after the network is there, at the 95th percentile
	truth   = 10 * time.Second // what a member shows is true after
)

// outage is something that goes wrong. It happens while everybody chats, and strike returns when the network is there
// again.
type outage struct {
	name   string
	disk   bool                       // state is in files
	long   bool                       // it takes long to simulate
	shape  func(v *group)             // how the network is at all times
	strike func(v *group, p pitfalls) // what goes wrong
}

// pitfalls is what an outage looks at while it lasts.
type pitfalls struct {
	t    *testing.T
	v    *group
	down []*person // those whose links cannot be well
}

// last lets the outage last, and looks whether what is shown becomes true.
func (p pitfalls) last(d time.Duration) {
	p.t.Helper()
	p.v.say("during it")
	time.Sleep(min(d, truth))
	if d >= truth {
		for _, one := range p.down {
			if s := one.shows(); s == node.Ready || s == node.Authenticated {
				p.t.Errorf("%s shows %q when nothing gets through for %s\n%s", one.role, s, truth, p.v.story())
			}
			for _, other := range p.v.people {
				if other.sees(one) {
					p.t.Errorf("%s shows %s as present %s after it was cut off", other.role, one.role, truth)
				}
			}
		}
	}
	time.Sleep(d - min(d, truth))
}

// cutRelay takes the relay node off the network for a while.
func cutRelay(d time.Duration) func(v *group, p pitfalls) {
	return func(v *group, p pitfalls) {
		v.relaySite.cutOff(true)
		p.last(d)
		v.relaySite.cutOff(false)
	}
}

// restart stops the relay node and starts it again.
func restart(d time.Duration) func(v *group, p pitfalls) {
	return func(v *group, p pitfalls) {
		v.stopRelay()
		p.last(d)
		v.startRelay()
	}
}

// kill takes the relay node away without a word, as a power cut does, and starts another in its place.
func kill(d time.Duration) func(v *group, p pitfalls) {
	return func(v *group, p pitfalls) {
		v.relaySite.cutOff(true)
		v.stopRelay()
		p.last(d)
		v.relaySite.cutOff(false)
		v.startRelay()
	}
}

var outages = []outage{
	{name: "5 s without the relay node", strike: cutRelay(5 * time.Second)},
	{name: "45 s without the relay node", strike: cutRelay(45 * time.Second)},
	{name: "10 min without the relay node", strike: cutRelay(10 * time.Minute)},
	{name: "1 h without the relay node", long: true, strike: cutRelay(time.Hour)},
	{name: "relay node restarted", disk: true, strike: restart(time.Second)},
	{name: "relay node killed for 30 s", disk: true, strike: kill(30 * time.Second)},
	{name: "restarted with a lost database", strike: restart(time.Second)},
	{name: "killed, and its database lost", strike: kill(30 * time.Second)},
	{name: "45 s, 200 ms away", shape: func(v *group) { v.w.latency, v.w.jitter = 100*time.Millisecond, 20*time.Millisecond }, strike: cutRelay(45 * time.Second)},
	{name: "45 s, 5 % of packets lost", shape: func(v *group) { v.w.loss = 0.05 }, strike: cutRelay(45 * time.Second)},
	{name: "all apart for 2 min, then healed", strike: func(v *group, p pitfalls) {
		for i, one := range v.people {
			v.w.set(func() { v.w.island[one.site.addr] = roles[i] })
		}
		p.last(2 * time.Minute)
		for _, one := range v.people {
			time.Sleep(v.w.chance(3 * time.Second)) // the last one's return counts
			v.w.set(func() { delete(v.w.island, one.site.addr) })
		}
	}},
	{name: "on and off for a minute", strike: func(v *group, p pitfalls) {
		p.down = nil
		for range 6 {
			v.relaySite.cutOff(true)
			p.last(v.w.chance(12 * time.Second))
			v.relaySite.cutOff(false)
			time.Sleep(v.w.chance(4 * time.Second))
		}
	}},
	{name: "one member cut off for 45 s", strike: func(v *group, p pitfalls) {
		v.people[1].site.cutOff(true)
		p.down = v.people[1:2]
		p.last(45 * time.Second)
		v.people[1].site.cutOff(false)
	}},
	{name: "a member killed, back elsewhere", disk: true, strike: func(v *group, p pitfalls) {
		b := v.people[1]
		b.site.cutOff(true) // nobody hears a goodbye
		b.stop()
		b.site.move("1.0.2.1")
		b.start()
	}},
	{name: "a member's address changes", strike: func(v *group, p pitfalls) {
		v.people[1].site.move("1.0.2.1")
		p.down = nil
		p.last(0)
	}},
}

func TestOutages(t *testing.T) {
	g := newPKI(t)
	for _, o := range outages {
		if o.long && reduced {
			continue // it runs without the race detector
		}
		t.Run(strings.ReplaceAll(o.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			var took []time.Duration
			for seed := range uint64(rounds(seeds)) {
				disk := ""
				if o.disk {
					disk = t.TempDir()
				}
				synctest.Test(t, func(t *testing.T) { took = append(took, o.run(newGroup(t, g, seed, disk))) })
			}
			report(t, o.name, took, recover)
		})
	}
}

// run has the group live through the outage and returns how long after it all chat again.
func (o outage) run(v *group) (took time.Duration) {
	defer v.close()
	if o.shape != nil {
		v.w.set(func() { o.shape(v) })
	}
	for i := range 5 {
		v.say(fmt.Sprintf("before it, %d", i))
		time.Sleep(v.w.chance(3 * time.Second))
	}
	o.strike(v, pitfalls{v.t, v, v.people})
	began := time.Now()
	v.say("after it")
	took = v.settled(2 * time.Minute)
	for _, p := range v.people {
		p.until("its link to be ready", truth-min(time.Since(began), truth-time.Second), func() bool { return p.link.State == node.Ready })
	}
	v.chat("and on", 10*time.Second)
	return took
}

// TestCutWhileFetching cuts a member off again just when it is back and about to fetch what it missed, a little later each
// time, and for longer than it waits for what nobody has got: nothing is given up while there is nobody to ask.
func TestCutWhileFetching(t *testing.T) {
	g := newPKI(t)
	for name, restarts := range map[string]bool{"a gap": false, "the end of a start": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for step := range time.Duration(rounds(seeds)) {
				disk := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					cutWhileFetching(newGroup(t, g, uint64(step), disk), restarts, step*20*time.Millisecond)
				})
			}
		})
	}
}

func cutWhileFetching(v *group, restarts bool, after time.Duration) {
	defer v.close()
	b, c := v.people[1], v.people[2]
	c.site.cutOff(true)
	c.until("its link to be down", truth, func() bool { return c.link.State == node.Down })
	for i := range 3 {
		b.say(fmt.Sprint("while C is away: ", i))
	}
	if restarts {
		b.stop()
		b.start()
	}
	c.site.cutOff(false)
	c.until("its link to be ready", truth, func() bool { return c.link.State == node.Ready })
	b.say("as C comes back")
	time.Sleep(after)
	c.site.cutOff(true)
	time.Sleep(time.Minute)
	c.site.cutOff(false)
	v.settled(recover)
}

// report prints how long something took and fails when it took too long.
func report(t *testing.T, what string, took []time.Duration, most time.Duration) {
	t.Helper()
	if len(took) == 0 {
		return // every run has failed, and said so
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)*percent+99)/100-1].Round(time.Millisecond) }
	t.Logf("%-34s p50 %v, p95 %v, most %v over %d runs", what, at(50), at(95), at(100), len(took))
	if at(95) > most {
		t.Errorf("%s: %s at the 95th percentile, want %s", what, at(95), most)
	}
}

// rounds is how many seeds a case is run with: few for a quick look.
func rounds(n int) int {
	switch {
	case reduced:
		return 1
	case !longtest.Wanted():
		return 3
	}
	return n
}
