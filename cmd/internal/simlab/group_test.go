package simlab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conclave/node"
	overlaywire "conclave/overlay/wire"
	"conclave/pki/pkitest"
	"conclave/relaynode"

	ma "github.com/multiformats/go-multiaddr"
)

const relayIP = "1.0.0.1"

var (
	relayAddr = "/ip4/" + relayIP + "/udp/4001/quic-v1"
	roles     = []string{"A", "B", "C"}
)

// group is a relay node and members on one simulated network.
type group struct {
	t    *testing.T
	w    *wire
	pki  *pkitest.Group
	disk string // folder of the state; empty keeps all of it in memory

	relaySite *site
	relay     *runner
	people    []*person
}

// runner is a node that runs. It is stopped by its context: two closings at once would wait for each other in a mutex,
// and while anybody does that no simulated time passes.
type runner struct {
	end   context.CancelFunc
	close func() error
	ended chan error
}

func run(n interface {
	Run(context.Context) error
	Close() error
},
) *runner {
	ctx, end := context.WithCancel(context.Background())
	r := &runner{end: end, close: n.Close, ended: make(chan error, 1)}
	go func() { r.ended <- n.Run(ctx) }()
	return r
}

func (r *runner) stop(t *testing.T) {
	t.Helper()
	r.end()
	if err := errors.Join(<-r.ended, r.close()); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

// logger shows what the parts say when CONCLAVE_TEST_LOG asks for it.
func logger(who string) *slog.Logger {
	level := slog.LevelError + 4
	if s := os.Getenv("CONCLAVE_TEST_LOG"); s != "" {
		_ = level.UnmarshalText([]byte(s))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("who", who)
}

// newGroup starts everybody and returns when all hold one key and have chatted under it. It runs inside a bubble.
func newGroup(t *testing.T, g *pkitest.Group, seed uint64, disk string) *group {
	w := newWire(seed)
	v := &group{t: t, w: w, pki: g, disk: disk, relaySite: w.site(relayIP)}
	v.startRelay()
	for i, role := range roles {
		v.people = append(v.people, v.join(role, fmt.Sprintf("1.0.1.%d", i+1)))
	}
	for _, p := range v.people {
		p.until("a key of all", time.Minute, func() bool { return p.everybody })
	}
	v.chat("hello", time.Minute)
	return v
}

// close ends everything.
func (v *group) close() {
	for _, p := range v.people {
		p.stop()
	}
	v.stopRelay()
	v.w.close()
}

func (v *group) startRelay() {
	v.t.Helper()
	id := v.pki.Relay(0)
	n, err := relaynode.New(relaynode.Config{
		Group: v.pki.Group, Certificate: id.Cert.DER, Identity: id.Identity, Roster: v.pki.Roster,
		Listen: []ma.Multiaddr{ma.StringCast(relayAddr)}, StatePath: v.state("relay"), Log: logger("relay"), ListenUDP: v.relaySite.listenUDP,
	})
	if err != nil {
		v.t.Fatalf("starting the relay node: %v", err)
	}
	v.relay = run(n)
}

func (v *group) stopRelay() {
	if v.relay != nil {
		v.relay.stop(v.t)
		v.relay = nil
	}
}

// state is the path of somebody's state file.
func (v *group) state(who string) string {
	if v.disk == "" {
		return ""
	}
	return filepath.Join(v.disk, who+".db")
}

// join starts a member.
func (v *group) join(role, addr string) *person {
	v.t.Helper()
	p := &person{v: v, role: role, site: v.w.site(addr), read: make(map[string][]string), keys: make(map[overlaywire.Transcript]string), here: make(map[string]bool)}
	p.start()
	return p
}

// start runs the member, again if it ran before.
func (p *person) start() {
	v, id := p.v, p.v.pki.Member(p.role)
	v.t.Helper()
	n, err := node.New(node.Config{
		Group: v.pki.Group, Certificate: id.Cert.DER, Identity: id.Identity, RSA: id.RSA, Roster: v.pki.Roster,
		Relays:    []ma.Multiaddr{ma.StringCast(relayAddr + "/p2p/" + v.pki.Relay(0).Cert.Peer.String())},
		StatePath: v.state(p.role), Log: logger(p.role), ListenUDP: p.site.listenUDP, Now: p.now,
	})
	if err != nil {
		v.t.Fatalf("making %s: %v", p.role, err)
	}
	p.node, p.done = n, make(chan struct{})
	events := n.Subscribe()
	p.run = run(n)
	go p.watch(events)
}

// stop ends the member.
func (p *person) stop() {
	p.run.stop(p.v.t)
	<-p.done
}

// person is a member and what its screen has seen.
type person struct {
	v     *group
	role  string
	site  *site
	node  *node.Node
	run   *runner
	done  chan struct{}
	ahead atomic.Int64 // nanoseconds by which its clock is ahead of the true one

	mu          sync.Mutex
	link        node.Link // the last
	links       []node.Link
	everybody   bool   // it holds a key to which all contributed
	fingerprint string // of the key that it sends under
	keys        map[overlaywire.Transcript]string
	here        map[string]bool     // who is said to be there
	read        map[string][]string // texts, by sender
	said        []string
	problems    []string
}

func (p *person) now() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }

func (p *person) watch(events *node.Subscription) {
	defer close(p.done)
	for {
		e, ok := events.Next(context.Background())
		if !ok {
			return
		}
		p.mu.Lock()
		switch e := e.(type) {
		case node.SessionKey:
			p.everybody = p.everybody || len(e.Contributors) == len(roles)
			p.keys[e.Transcript] = e.Fingerprint
		case node.Using:
			p.fingerprint = p.keys[e.Transcript]
		case node.Link:
			e.Time = time.Now() // whatever its own clock says
			p.link = e
			p.links = append(p.links, e)
		case node.Peer:
			p.here[string(e.Role)] = e.Online
		case node.Message:
			p.read[string(e.From)] = append(p.read[string(e.From)], e.Text)
		case node.Problem:
			p.problems = append(p.problems, e.Text+" | "+e.Hint)
		case node.Gap:
			p.v.t.Errorf("%s lost %d frames of %s", p.role, e.Frames, e.From)
		}
		p.mu.Unlock()
	}
}

// until waits, in simulated time, until ok holds, and returns how long that took. ok is asked with the lock held.
func (p *person) until(what string, most time.Duration, ok func() bool) time.Duration {
	p.v.t.Helper()
	began := time.Now()
	for {
		p.mu.Lock()
		good := ok()
		p.mu.Unlock()
		if good {
			return time.Since(began)
		}
		if time.Since(began) > most {
			p.v.t.Fatalf("%s waited %s in vain for %s\n%s", p.role, most, what, p.v.story())
		}
		time.Sleep(20 * time.Millisecond) // of simulated time
	}
}

func (p *person) say(text string) {
	p.v.t.Helper()
	if _, err := p.node.Send(text); err != nil {
		p.v.t.Fatalf("%s says %q: %v", p.role, text, err)
	}
	p.mu.Lock()
	p.said = append(p.said, text)
	p.mu.Unlock()
}

// say has everybody say something.
func (v *group) say(what string) {
	for _, p := range v.people {
		p.say(what + ", says " + p.role)
	}
}

// settled waits until everybody has read everything that anybody said, and returns how long that took. Each text comes
// once and in its sender's order.
func (v *group) settled(most time.Duration) time.Duration {
	v.t.Helper()
	began := time.Now()
	for _, to := range v.people {
		for _, from := range v.people {
			if to == from {
				continue
			}
			want := from.all()
			to.until(fmt.Sprintf("%d messages of %s", len(want), from.role), most-time.Since(began)+time.Second, func() bool {
				return len(to.read[from.role]) >= len(want)
			})
			to.mu.Lock()
			if got := to.read[from.role]; !slices.Equal(got, want) {
				v.t.Errorf("%s read %q of %s, who said %q", to.role, got, from.role, want)
			}
			to.mu.Unlock()
		}
	}
	return time.Since(began)
}

func (p *person) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.said)
}

// chat has everybody say something and waits until everybody else has read it.
func (v *group) chat(what string, most time.Duration) time.Duration {
	v.t.Helper()
	v.say(what)
	return v.settled(most)
}

// key returns the fingerprint of the key that the member sends under.
func (p *person) key() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fingerprint
}

// shows returns the state of a member's link.
func (p *person) shows() node.LinkState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link.State
}

// sees reports whether the member's screen shows another as present.
func (p *person) sees(other *person) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.here[other.role]
}

// story is what everybody's link went through, for a test that failed.
func (v *group) story() string {
	var b strings.Builder
	for _, p := range v.people {
		p.mu.Lock()
		fmt.Fprintf(&b, "%s:\n", p.role)
		for _, l := range p.links[max(0, len(p.links)-20):] {
			fmt.Fprintf(&b, "  %s %s %s\n", l.Time.Format("15:04:05.000"), l.State, l.Reason)
		}
		fmt.Fprintf(&b, "  read %v\n", p.read)
		p.mu.Unlock()
	}
	fmt.Fprintf(&b, "now %s\n", time.Now().Format("15:04:05.000"))
	return b.String()
}

// newPKI makes identities outside the bubble: their dates hold in simulated time, which begins in the year 2000.
func newPKI(t *testing.T) *pkitest.Group {
	return pkitest.New(t, pkitest.Config{Addrs: []string{relayAddr}})
}
