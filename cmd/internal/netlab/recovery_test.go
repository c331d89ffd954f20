//go:build linux

package netlab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"conclave/internal/baseline"
)

// What must hold after the network is there again, and before.
const (
	chatsWithin = 5 * time.Second  // p95 over the runs
	shownWithin = 10 * time.Second // each time
	enoughRuns  = 20               // from here on a p95 says something; fewer runs, beside other tests, have twice the time
)

// runsVar says how often each outage is tried, longVar whether the one of ten minutes is too.
const (
	runsVar = "CONCLAVE_LAB_RUNS"
	longVar = "CONCLAVE_LAB_LONG"
)

// pair is a relay node and two members: A is at home, and may go to a second network; B is elsewhere.
type pair struct {
	*crew
	away *Router
}

// outage is one thing that happens to a running group.
type outage struct {
	name  string
	lasts func(run int) time.Duration // beyond the moment in which it shows
	// happen brings it about and returns what ends it; nil when it has no end, and everything must work at once.
	happen func(p pair) (end func())
	// shows lists what the members must show while it lasts, by the member who shows it.
	shows map[string]func(Line) bool
}

func isDown(l Line) bool {
	return l.Is("link") && (l.String("state") == "down" || l.String("state") == "connecting")
}

func isReady(l Line) bool { return l.Is("link") && l.String("state") == "ready" }

func isOffline(l Line) bool                          { return l.Is("peer") && l.JSON["online"] == false }
func always(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

// varied is from nothing to three seconds.
func varied(run int) time.Duration { return time.Duration(run%7) * 500 * time.Millisecond }

var bothDown = map[string]func(Line) bool{"A": isDown, "B": isDown}

// The outages, by how long they last: those of a group follow one another, the groups run at the same time.
var outages = [][]outage{
	{
		{"relay node killed and restarted", varied, func(p pair) func() { p.group.RelayProcess.Kill(); return p.startRelay }, bothDown},
		{"relay node restarted with a lost database", varied, func(p pair) func() {
			p.group.RelayProcess.Kill()
			p.loseDatabase()
			return p.startRelay
		}, bothDown},
		{"member's address changed", nil, func(p pair) func() { p.hosts["A"].Readdress(); return nil }, nil},
		{"default route swapped", nil, func(p pair) func() { p.hosts["A"].DefaultVia(p.away.LAN); return nil }, nil},
		{"member stopped (SIGSTOP) for 5 s", always(5 * time.Second), stopA, nil},
	},
	{{"relay node unreachable for 45 s", always(45 * time.Second), cutRelay, bothDown}},
	{{"member stopped (SIGSTOP) for 60 s", always(60 * time.Second), stopA, map[string]func(Line) bool{"B": isOffline}}},
}

// longOutage is the one that is tried on request only.
var longOutage = outage{"relay node unreachable for 10 min", always(10 * time.Minute), cutRelay, bothDown}

func cutRelay(p pair) func() { p.group.Relay.Cut(); return p.group.Relay.Restore }

func stopA(p pair) func() {
	if err := p.members["A"].Signal(syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	return func() {
		if err := p.members["A"].Signal(syscall.SIGCONT); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p pair) startRelay() { p.t.Helper(); p.group.StartRelay() }

func (p pair) loseDatabase() {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.group.Home, "*", "relay", "state.db*"))
	if err != nil || len(files) == 0 {
		p.t.Fatalf("there is no database to lose: %v", err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			p.t.Fatal(err)
		}
	}
}

// muster2 starts a relay node, A and B, and returns when both talk.
func muster2(t *testing.T) pair {
	t.Helper()
	lab := New(t)
	p := pair{away: lab.Router("away", lab.Public(), EndpointIndependent)}
	p.crew = muster(t, lab, nil, []string{"A", "B"}, func(role string) *Segment {
		return lab.Router("home-"+role, lab.Public(), EndpointIndependent).LAN
	})
	p.hosts["A"].Attach(p.away.LAN)
	p.group.StartRelay()
	p.start(time.Minute)
	p.exchange(4, time.Second, time.Minute)
	return p
}

// recovery is what the runs of one outage took.
type recovery struct {
	mu                 sync.Mutex
	chats, shown, back baseline.Latencies // guarded by mu
}

func (r *recovery) add(to *baseline.Latencies, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to.Add(d)
}

// suffer has an outage happen to a running group. Both members speak while it lasts and when it ends; all of it must come.
func (p pair) suffer(o outage, run int, r *recovery) {
	p.t.Helper()
	marks := map[string]int{"A": p.members["A"].Mark(), "B": p.members["B"].Mark()}
	began := time.Now()
	end := o.happen(p)
	for role, shows := range o.shows {
		l := p.members[role].Must("a sign of the outage", marks[role], 2*time.Minute, shows)
		r.add(&r.shown, l.At.Sub(began))
	}
	back := began
	if end != nil {
		p.say("A")
		p.say("B")
		if o.lasts != nil {
			<-time.After(time.Until(began.Add(o.lasts(run)))) // how long it lasts is the point
		}
		for role := range marks {
			marks[role] = p.members[role].Mark()
		}
		end()
		back = time.Now()
	}
	fromA, fromB := p.say("A"), p.say("B")
	last := p.members["B"].Must("what A said after "+o.name, marks["B"], 2*time.Minute, Says("A", fromA)).At
	if at := p.members["A"].Must("what B said after "+o.name, marks["A"], 2*time.Minute, Says("B", fromB)).At; at.After(last) {
		last = at
	}
	r.add(&r.chats, last.Sub(back))
	p.settle(back, r)
}

// settle waits until both members show the truth again: the link is ready and the other is there.
func (p pair) settle(back time.Time, r *recovery) {
	p.t.Helper()
	var last time.Time
	for _, role := range p.roles {
		for what, is := range map[string]func(Line) bool{"link": isReady, "peer": func(l Line) bool { return l.JSON["online"] == true }} {
			if at := p.shows(role, what, is, 2*time.Minute); at.After(last) {
				last = at
			}
		}
	}
	r.add(&r.back, max(0, last.Sub(back)))
}

// shows waits until the last event of a kind is one that is accepted, and returns when it came.
func (p pair) shows(role, event string, is func(Line) bool, wait time.Duration) time.Time {
	p.t.Helper()
	for end := time.Now().Add(wait); ; {
		mark, last := 0, Line{}
		for i, l := range p.members[role].Lines(0) {
			if l.Is(event) {
				last = l
			}
			mark = i + 1
		}
		if is(last) {
			return last.At
		}
		if _, err := p.members[role].Await(mark, time.Until(end), func(l Line) bool { return l.Is(event) }); err != nil {
			p.t.Fatalf("%s shows %q: %v", role, last.Text, err)
		}
	}
}

func recoveryTable() *table {
	b := &table{name: "recovery", head: []string{"what happened", "runs", "chatting again p50", "p95", "outage shown after (worst)", "end shown after (worst)"}}
	for _, group := range outages {
		for _, o := range group {
			b.rows = append(b.rows, o.name)
		}
	}
	b.rows = append(b.rows, longOutage.name)
	return b
}

// runs returns how often each outage is tried.
func runs(t *testing.T) int {
	t.Helper()
	text := os.Getenv(runsVar)
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number of runs", runsVar, text)
	}
	return n
}

// Whatever happens to the network, all chat again soon after it is there, with nothing lost, and the members show the truth.
func TestRecovery(t *testing.T) {
	Require(t)
	Binaries(t)
	b, n := recoveryTable(), runs(t)
	groups := outages
	if os.Getenv(longVar) != "" {
		groups = append(groups[:len(groups):len(groups)], []outage{longOutage})
	}
	results := make(map[string]*recovery)
	var jobs []func()
	for g, group := range groups {
		for _, o := range group {
			results[o.name] = &recovery{}
		}
		for i := range n {
			jobs = append(jobs, func() {
				t.Run(fmt.Sprintf("group %d run %d", g, i), func(t *testing.T) {
					p := muster2(t)
					for _, o := range group {
						p.suffer(o, i, results[o.name])
					}
					p.complete()
				})
			})
		}
	}
	inParallel(20, jobs)
	tolerance := time.Duration(2)
	if n >= enoughRuns {
		tolerance = 1
	}
	for _, group := range groups {
		for _, o := range group {
			results[o.name].judge(t, o.name, b, tolerance)
		}
	}
	b.print(t)
}

// judge fails the test when an outage took too long, and fills its row of the table.
func (r *recovery) judge(t *testing.T, name string, b *table, tolerance time.Duration) {
	t.Helper()
	if r.chats.Count() == 0 {
		return // left out by -run
	}
	p95 := r.chats.Quantile(0.95)
	b.fill(name, strconv.Itoa(r.chats.Count()), short(r.chats.Quantile(0.5)), short(p95), worst(&r.shown), worst(&r.back))
	if p95 > tolerance*chatsWithin {
		t.Errorf("%s: p95 until all chat again is %s", name, p95)
	}
	for what, l := range map[string]*baseline.Latencies{"the outage": &r.shown, "its end": &r.back} {
		if l.Count() > 0 && l.Quantile(1) > tolerance*shownWithin {
			t.Errorf("%s: %s was shown after %s", name, what, worst(l))
		}
	}
}

func worst(l *baseline.Latencies) string {
	if l.Count() == 0 {
		return "-"
	}
	return short(l.Quantile(1))
}

// inParallel runs jobs, so many at a time. The subtests in them wait most of their time, so that there may be more of
// them than of those with t.Parallel.
func inParallel(limit int, jobs []func()) {
	places := make(chan struct{}, limit)
	var all sync.WaitGroup
	for _, job := range jobs {
		places <- struct{}{}
		all.Go(func() { defer func() { <-places }(); job() })
	}
	all.Wait()
}
