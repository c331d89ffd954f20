//go:build linux

package netlab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"conclave/internal/baseline"
)

// crew is a group with three members, each on a host of its own.
type crew struct {
	t       *testing.T
	lab     *Lab
	group   *Group
	roles   []string
	hosts   map[string]*Host
	members map[string]*Process
	said    map[string][]string // what each was told to say, in order
}

// muster makes a relay node on the public segment and a host for each role, where the function says.
func muster(t *testing.T, lab *Lab, relayAt []string, roles []string, where func(role string) *Segment) *crew {
	t.Helper()
	c := &crew{t: t, lab: lab, roles: roles, hosts: map[string]*Host{}, members: map[string]*Process{}, said: map[string][]string{}}
	c.group = lab.NewGroup(lab.Host("relay", lab.Public()), roles, relayAt...)
	for _, role := range roles {
		c.hosts[role] = lab.Host(role, where(role))
	}
	return c
}

// start starts the members and returns how long it took until all had one key to which all contributed.
func (c *crew) start(wait time.Duration) time.Duration {
	c.t.Helper()
	began := time.Now()
	for _, role := range c.roles {
		c.members[role] = c.group.StartMember(c.hosts[role], role)
	}
	return c.agree(wait).Sub(began)
}

// agree waits until all have the key of one epoch to which all contributed, and returns when the last had it. On a bad network
// an epoch may follow another before everybody has the first.
func (c *crew) agree(wait time.Duration) (last time.Time) {
	c.t.Helper()
	for newest := 0.0; ; {
		fingerprints, asked := make(map[string]bool), newest
		last = time.Time{}
		for _, role := range c.roles {
			l := c.members[role].Must("a key of all", 0, wait, func(l Line) bool { return HasKeyOf(c.roles...)(l) && l.Number("epoch") >= newest })
			newest = l.Number("epoch")
			fingerprints[l.String("fingerprint")] = true
			if l.At.After(last) {
				last = l.At
			}
		}
		if asked == newest {
			if len(fingerprints) != 1 {
				c.t.Errorf("under one epoch the members hold different keys: %v", fingerprints)
			}
			return last
		}
	}
}

// say has a member say the next thing and returns the text.
func (c *crew) say(role string) string {
	c.t.Helper()
	text := fmt.Sprintf("%s says %d", role, len(c.said[role])+1)
	c.said[role] = append(c.said[role], text)
	if err := c.members[role].Say(fmt.Sprintf(`{"send":%q}`, text)); err != nil {
		c.t.Fatalf("%s does not read: %v", role, err)
	}
	return text
}

// others returns everybody but one.
func (c *crew) others(role string) []string {
	return slices.DeleteFunc(slices.Clone(c.roles), func(r string) bool { return r == role })
}

// exchange has the members say n things in turn, each as soon as the one before is everywhere, or pace has passed. It returns,
// for each thing and each of its readers, how long it took.
func (c *crew) exchange(n int, pace, wait time.Duration) *baseline.Latencies {
	c.t.Helper()
	took := &baseline.Latencies{}
	sent := make(map[string]time.Time)
	marks := make(map[string]int)
	for _, role := range c.roles {
		marks[role] = c.members[role].Mark()
	}
	for i := range n {
		role := c.roles[i%len(c.roles)]
		now := time.Now()
		text := c.say(role)
		sent[text] = now
		for _, reader := range c.others(role) {
			left := pace - time.Since(now)
			if _, err := c.members[reader].Await(marks[reader], max(left, time.Millisecond), Says(role, text)); err != nil {
				break // the next may overtake it; all is counted below
			}
		}
	}
	for _, reader := range c.roles {
		for _, role := range c.others(reader) {
			for _, text := range c.said[role] {
				at, ours := sent[text]
				if !ours {
					continue
				}
				l := c.members[reader].Must(fmt.Sprintf("%q", text), marks[reader], wait, Says(role, text))
				took.Add(l.At.Sub(at))
			}
		}
	}
	return took
}

// complete fails the test unless every member has shown what each other said: all of it, once, in order.
func (c *crew) complete() {
	c.t.Helper()
	for _, reader := range c.roles {
		got := make(map[string][]string)
		for _, l := range c.members[reader].Lines(0) {
			if l.Is("message") {
				got[l.String("from")] = append(got[l.String("from")], l.String("text"))
			}
			if l.Is("gap") {
				c.t.Errorf("%s tells of a gap: %s", reader, l.Text)
			}
		}
		for _, role := range c.others(reader) {
			if !slices.Equal(got[role], c.said[role]) {
				c.t.Errorf("%s said %d things, %s shows %d: %s", role, len(c.said[role]), reader, len(got[role]), firstDifference(c.said[role], got[role]))
			}
		}
	}
}

func firstDifference(want, got []string) string {
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("%q is missing", want[i])
		case i >= len(want):
			return fmt.Sprintf("%q is too much", got[i])
		case want[i] != got[i]:
			return fmt.Sprintf("%q stands for %q", got[i], want[i])
		}
	}
	return "no difference"
}

// path returns how a member reaches the others, as it says itself.
func (c *crew) path(role string) string {
	last := make(map[string]string)
	for _, l := range c.members[role].Lines(0) {
		if l.Is("peer") && l.JSON["online"] == true {
			last[l.String("role")] = l.String("path")
		}
	}
	var all []string
	for _, other := range c.others(role) {
		if p := last[other]; p != "" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
