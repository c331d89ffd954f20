package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conclave/overlay/topic"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/pkitest"
	"conclave/relaynode"

	"github.com/libp2p/go-libp2p/core/host"
	ma "github.com/multiformats/go-multiaddr"
)

// patience is how long a test waits for something before it fails. Nothing waits for it to pass.
const patience = 60 * time.Second

// world is a group with one relay node and members in this process, over loopback.
type world struct {
	t     *testing.T
	group *pkitest.Group
	dir   string
	disk  bool // state in files
	tune  func(*Config)
	ahead atomic.Int64 // nanoseconds by which everybody's clock is ahead of the true one

	relay    *runner[*relaynode.Node]
	relayLAN *relaynode.LAN
	relayAt  ma.Multiaddr // where the relay node listens, the same after a restart
}

// runner is a node that runs.
type runner[N interface {
	Run(context.Context) error
	Close() error
}] struct {
	node N
	err  chan error
}

func start[N interface {
	Run(context.Context) error
	Close() error
}](t *testing.T, n N) *runner[N] {
	r := &runner[N]{node: n, err: make(chan error, 1)}
	go func() { r.err <- n.Run(context.Background()) }()
	return r
}

// stop closes the node and waits for its Run.
func (r *runner[N]) stop(t *testing.T) {
	t.Helper()
	if err := r.node.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if err := <-r.err; err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, relaynode.ErrClosed) {
		t.Errorf("running: %v", err) // closed before its Run began is no failure
	}
}

func newWorld(t *testing.T, roles ...string) *world {
	w := &world{t: t, group: pkitest.NewGroup(t, roles...), dir: t.TempDir(), disk: true}
	w.startRelay()
	return w
}

// now is everybody's clock.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// pass lets time pass at once, for everybody.
func (w *world) pass(d time.Duration) { w.ahead.Add(int64(d)) }

// quiet logs warnings when CONCLAVE_TEST_LOG asks for more than errors.
func quiet(name string) *slog.Logger {
	level := slog.LevelError + 4
	if s := os.Getenv("CONCLAVE_TEST_LOG"); s != "" {
		_ = level.UnmarshalText([]byte(s))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("who", name)
}

func (w *world) relayState() string {
	if !w.disk {
		return ""
	}
	return filepath.Join(w.dir, "relay.db")
}

// startRelay starts the relay node, at the address that it had before if it had one.
func (w *world) startRelay() {
	w.t.Helper()
	id := w.group.Relay(0)
	listen := ma.StringCast("/ip4/127.0.0.1/tcp/0")
	if w.relayAt != nil {
		listen = w.relayAt
	}
	n, err := relaynode.New(relaynode.Config{
		LAN: w.relayLAN, Group: w.group.Group, Certificate: id.Cert.DER, Identity: id.Identity, Roster: w.group.Roster,
		Listen: []ma.Multiaddr{listen}, StatePath: w.relayState(), Log: quiet("relay"), Now: w.now,
	})
	if err != nil {
		w.t.Fatalf("starting the relay node: %v", err)
	}
	addr := n.Addrs()[0]
	w.relayAt, _ = ma.SplitLast(addr)
	w.relay = start(w.t, n)
	w.t.Cleanup(w.stopRelay)
}

// relayOnLAN starts the relay node where members that look for it on an interface find it.
func (w *world) relayOnLAN(name string) {
	w.relayLAN = &relaynode.LAN{Interfaces: []string{name}}
	w.startRelay()
}

func (w *world) stopRelay() {
	if w.relay != nil {
		w.relay.stop(w.t)
		w.relay = nil
	}
}

func (w *world) wipeRelay() {
	w.remove(w.relayState())
}

func (w *world) remove(path string) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !os.IsNotExist(err) {
			w.t.Fatal(err)
		}
	}
}

func (w *world) relayAddr() ma.Multiaddr {
	return w.relayAt.Encapsulate(ma.StringCast("/p2p/" + w.group.Relay(0).Cert.Peer.String()))
}

func (w *world) statePath(role string) string {
	if !w.disk {
		return ""
	}
	return filepath.Join(w.dir, role+".db")
}

func (w *world) config(role string) Config {
	id := w.group.Member(role)
	cfg := Config{
		Group: w.group.Group, Certificate: id.Cert.DER, Identity: id.Identity, RSA: id.RSA, Roster: w.group.Roster,
		StatePath: w.statePath(role), Relays: []ma.Multiaddr{w.relayAddr()}, Log: quiet(role), Now: w.now,
		Timing: Timing{AckBase: 20 * time.Millisecond, AckPerMember: time.Millisecond, RedialMin: 50 * time.Millisecond, RedialMax: 500 * time.Millisecond},
	}
	if w.tune != nil {
		w.tune(&cfg)
	}
	return cfg
}

// dropping has a member lose batches on their way over the topic: those for which drop reports true.
func dropping(cfg *Config, drop func() bool) {
	cfg.network.topic = func(ctx context.Context, h host.Host, t topic.Config) (*topic.Handle, error) {
		deliver := t.Deliver
		t.Deliver = func(m topic.Message) bool { return drop() || deliver(m) }
		return topic.Join(ctx, h, t)
	}
}

// person is a member that runs, and what its screen has seen.
type person struct {
	t    *testing.T
	role wire.Role
	run  *runner[*Node]
	sub  *Subscription
	done chan struct{}

	mu     sync.Mutex
	events []Event
	news   chan struct{} // closed and renewed at each event
}

// join starts a member.
func (w *world) join(role string) *person {
	w.t.Helper()
	return w.joinWith(w.config(role), role)
}

func (w *world) joinWith(cfg Config, role string) *person {
	w.t.Helper()
	n, err := New(cfg)
	if err != nil {
		w.t.Fatalf("making %s: %v", role, err)
	}
	p := &person{t: w.t, role: wire.Role(role), sub: n.Subscribe(), news: make(chan struct{}), done: make(chan struct{})}
	p.run = start(w.t, n)
	go p.watch()
	w.t.Cleanup(p.leave)
	return p
}

func (p *person) watch() {
	defer close(p.done)
	for {
		e, ok := p.sub.Next(context.Background())
		if !ok {
			return
		}
		p.mu.Lock()
		p.events = append(p.events, e)
		close(p.news)
		p.news = make(chan struct{})
		p.mu.Unlock()
	}
}

// leave stops the member; a second leave does nothing.
func (p *person) leave() {
	if p.run != nil {
		p.run.stop(p.t)
		<-p.done
		p.run = nil
	}
}

// until waits until ok holds of everything that the screen has seen.
func (p *person) until(what string, ok func([]Event) bool) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		events, news := p.events, p.news // only ever appended to
		p.mu.Unlock()
		if ok(events) { // which may end the test
			return
		}
		select {
		case <-news:
		case <-deadline:
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Fatalf("%s waited in vain for %s; it saw %s", p.role, what, summary(p.events))
		}
	}
}

func summary(events []Event) string {
	var out string
	for _, e := range events[max(0, len(events)-60):] {
		out += fmt.Sprintf("\n  %T %+v", e, e)
	}
	return out
}

// all returns the events of one type.
func all[E Event](events []Event) []E {
	var out []E
	for _, e := range events {
		if e, ok := e.(E); ok {
			out = append(out, e)
		}
	}
	return out
}

// key waits until this member uses a session to which exactly these contributed.
func (p *person) key(contributors ...wire.Role) (k SessionKey) {
	p.t.Helper()
	p.until(fmt.Sprintf("a key of %v", contributors), func(events []Event) bool {
		var ok bool
		k, ok = present(events)
		return ok && slices.Equal(k.Contributors, contributors)
	})
	return k
}

func (p *person) send(text string) wire.MessageID {
	p.t.Helper()
	id, err := p.run.node.SendWait(context.Background(), text)
	if err != nil {
		p.t.Fatalf("%s sends: %v", p.role, err)
	}
	return id
}

// sendAll sends texts as fast as Send takes them and returns when all are acknowledged.
func (p *person) sendAll(texts []string) {
	p.t.Helper()
	for _, text := range texts {
		p.send(text)
	}
	if err := p.run.node.Flush(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// texts returns what the screen has shown of one sender.
func texts(events []Event, from wire.Role) []string {
	var out []string
	for _, m := range all[Message](events) {
		if m.From == from {
			out = append(out, m.Text)
		}
	}
	return out
}

// reads waits until the screen has shown exactly these of a sender, each once and in this order.
func (p *person) reads(from wire.Role, want ...string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%d messages of %s", len(want), from), func(events []Event) bool {
		got := texts(events, from)
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				p.t.Fatalf("%s: message %d of %s is %q, want %q", p.role, i, from, got[i], want[i])
			}
		}
		if len(got) > len(want) {
			p.t.Fatalf("%s saw %d messages of %s, want %d", p.role, len(got), from, len(want))
		}
		return len(got) == len(want)
	})
}

// state waits until a message has come this far.
func (p *person) state(id wire.MessageID, s State) {
	p.t.Helper()
	p.until(fmt.Sprintf("message %s to be %s", id, s), func(events []Event) bool {
		return slices.ContainsFunc(all[Sent](events), func(e Sent) bool { return e.ID == id && e.State == s })
	})
}

// agree waits until all use one session to which these contributed. On the way they may use others.
func agree(t *testing.T, contributors []wire.Role, people ...*person) (fingerprint string) {
	t.Helper()
	for {
		best := people[0].key(contributors...)
		for _, p := range people {
			if k := p.now(); k.Epoch > best.Epoch {
				best = k
			}
		}
		same := slices.Equal(best.Contributors, contributors)
		for _, p := range people {
			p.until(fmt.Sprintf("epoch %d or a later one", best.Epoch), func(events []Event) bool {
				k, ok := present(events)
				return ok && k.Epoch >= best.Epoch
			})
			same = same && p.now().Transcript == best.Transcript
		}
		if same {
			return best.Fingerprint
		}
	}
}

// now returns the session that is used, or the zero value.
func (p *person) now() SessionKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, _ := present(p.events)
	return k
}

// present returns the session that is used.
func present(events []Event) (SessionKey, bool) {
	using := all[Using](events)
	if len(using) == 0 {
		return SessionKey{}, false
	}
	for _, k := range all[SessionKey](events) {
		if k.Transcript == using[len(using)-1].Transcript {
			return k, true
		}
	}
	return SessionKey{}, false
}

var abc = []wire.Role{"A", "B", "C"}

// roster gives the world another roster and the relay node with it.
func (w *world) reissue(r *pki.Roster) {
	w.t.Helper()
	if err := w.relay.node.TakeRoster(r.Envelope); err != nil {
		w.t.Fatalf("the relay node does not take the roster: %v", err)
	}
}
