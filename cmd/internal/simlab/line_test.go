package simlab

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"conclave/node"
)

// lines are networks that are bad all the time, and on which nothing may be taken for an outage.
var lines = []struct {
	name  string
	shape func(v *group)
	flaps int // how often a link may go down, over all runs of ten minutes with three members each
}{
	{"300 ms away, jitter 100 ms", func(v *group) { v.w.latency, v.w.jitter = 150*time.Millisecond, 100*time.Millisecond }, 0},
	{"5 % of packets lost", func(v *group) { v.w.loss = 0.05 }, 0},
	{"20 % of packets lost", func(v *group) { v.w.loss = 0.2 }, 3},
	{"64 kbit/s from each member", func(v *group) {
		for _, p := range v.people {
			p.site.rate = 64_000
		}
	}, 0},
	{"64 kbit/s, 100 ms, 5 % lost", func(v *group) {
		v.w.latency, v.w.loss = 100*time.Millisecond, 0.05
		for _, p := range v.people {
			p.site.rate = 64_000
		}
	}, 3},
}

// TestBadLines chats for ten minutes over bad lines: nothing is lost, and no link goes up and down.
func TestBadLines(t *testing.T) {
	g := newPKI(t)
	for _, l := range lines {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			downs := 0
			for seed := range uint64(rounds(5)) {
				synctest.Test(t, func(t *testing.T) {
					v := newGroup(t, g, seed, "")
					defer v.close()
					v.w.set(func() { l.shape(v) })
					for minute := range 10 {
						for i := range 10 {
							v.say(fmt.Sprintf("%d.%d", minute, i))
							time.Sleep(v.w.chance(500 * time.Millisecond))
						}
						time.Sleep(55 * time.Second)
						v.settled(time.Minute)
					}
					for _, p := range v.people {
						downs += p.downs(t)
					}
				})
			}
			t.Logf("%-30s %d links went down in %d runs of ten minutes", l.name, downs, rounds(5))
			if downs > l.flaps {
				t.Errorf("%s: links went down %d times", l.name, downs)
			}
		})
	}
}

// downs is how often the member's link went down.
func (p *person) downs(t *testing.T) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		if l.State == node.Down {
			t.Logf("%s went down: %s", p.role, l.Reason)
			n++
		}
	}
	return n
}

// TestSlowUpload sends a quarter of a megabyte over a line of 64 kbit/s, which takes half a minute, and longer because it
// goes twice: the topic's stream is given up by the library when one write takes too long. It arrives nevertheless, where
// beginning again and again would not.
func TestSlowUpload(t *testing.T) {
	g := newPKI(t)
	synctest.Test(t, func(t *testing.T) {
		v := newGroup(t, g, 1, "")
		defer v.close()
		a := v.people[0]
		v.w.set(func() { a.site.rate = 64_000 })
		text := make([]byte, node.MaxText)
		for i := range text {
			text[i] = byte('a' + i%26)
		}
		for i := range 8 {
			a.say(fmt.Sprint(i) + string(text[1:]))
		}
		took := v.settled(3 * time.Minute)
		t.Logf("256 KiB took %s", took)
		if a.downs(t) > 3 {
			t.Errorf("the link went down %d times", a.downs(t))
		}
	})
}
