package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"conclave/node"
	"conclave/overlay/wire"
	"conclave/pki/pkitest"
	"conclave/relaynode"
)

// clock is the time of a relay node and members that share one process. It goes slowly until they have a session: when a
// hundred of them do their public-key work on two cores, each must be as patient with the others as if they had cores of
// their own.
type clock struct{ pace atomic.Pointer[pace] }

// pace is how a clock goes from a moment on.
type pace struct {
	real    time.Time // when it began
	shown   time.Time // what the clock showed then
	slowing float64
}

func newClock(slowing float64) *clock {
	now, c := time.Now(), new(clock)
	c.pace.Store(&pace{real: now, shown: now, slowing: max(slowing, 1)})
	return c
}

func (c *clock) now() time.Time {
	p := c.pace.Load()
	return p.shown.Add(time.Duration(float64(time.Since(p.real)) / p.slowing))
}

// normal makes the clock go as fast as any other from now on.
func (c *clock) normal() { c.pace.Store(&pace{real: time.Now(), shown: c.now(), slowing: 1}) }

// conclave is the real thing as a chat: a relay node and members in this process.
type conclave struct {
	members []*node.Node
	events  []*node.Subscription // one of each member, from the moment all have a session
	last    []lastSent           // of each member
	stop    context.CancelFunc
	running sync.WaitGroup
	errs    chan error

	mu    sync.Mutex
	using map[int]wire.Transcript // guarded by mu; the session under which each member sends
}

// lastSent is a member's last text.
type lastSent struct {
	id, acknowledged wire.MessageID // the latter by everybody
}

// newConclave starts a relay node and members and returns when all send under one session. Their state is on the disk; a
// hundred members would have a hundred disks, so that of a crowd is in memory, and only the relay node's is on the one here.
func newConclave(b testing.TB, members int) *conclave {
	b.Helper()
	group, clock := pkitest.Fast(b, members), newClock(float64(members)/10)
	id := group.Relay(0)
	relay, err := relaynode.New(relaynode.Config{
		Group: group.Group, Certificate: id.Cert.DER, Identity: id.Identity, Roster: group.Roster, Now: clock.now,
		StatePath: filepath.Join(b.TempDir(), "relay.db"), Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
	})
	if err != nil {
		b.Fatal(err)
	}
	life, stop := context.WithCancel(context.Background())
	c := &conclave{stop: stop, errs: make(chan error, members+1), using: make(map[int]wire.Transcript), last: make([]lastSent, members)}
	c.running.Go(func() { c.errs <- relay.Run(life) })
	b.Cleanup(func() {
		if err := c.close(); err != nil {
			b.Error(err)
		}
	})
	for i, m := range group.Roster.Members { // all of them first: then they ask for a key together, not one after the other
		id := group.Member(string(m.Role))
		state := ""
		if members <= fewMembers {
			state = filepath.Join(b.TempDir(), fmt.Sprint(i))
		}
		member, err := node.New(node.Config{
			Group: group.Group, Certificate: id.Cert.DER, Identity: id.Identity, RSA: id.RSA, Roster: group.Roster,
			Now: clock.now, StatePath: state, Relays: relay.Addrs(), Timing: crowd,
			DialOnly: true, // a star, as the baseline's: on one machine everybody could reach everybody
		})
		if err != nil {
			b.Fatal(err)
		}
		c.members = append(c.members, member)
	}
	if err := c.start(b.Context(), life); err != nil {
		b.Fatal(err)
	}
	clock.normal()
	return c
}

// crowd is the patience of members that share one process, with what does not go by their clock.
var crowd = node.Timing{
	DialShort: patient, DialTimeout: patient, ProbeQuick: patient, ProbeTimeout: patient, DoubtAfter: patient,
	ShareTimeout: patient, CircuitLinger: patient,
}

// start runs all members and returns when they send under one session.
func (c *conclave) start(ctx, life context.Context) error {
	changed := make(chan struct{}, 1)
	var watched []*node.Subscription
	for i, m := range c.members {
		events := m.Subscribe()
		watched = append(watched, events)
		c.running.Go(func() { c.watch(i, events, changed) })
		c.running.Go(func() { c.errs <- m.Run(life) })
	}
	if err := c.awaitSession(ctx, changed); err != nil {
		return err
	}
	for i, m := range c.members {
		watched[i].Close()
		c.events = append(c.events, m.Subscribe())
	}
	return nil
}

// watch notes under which session a member sends, until its subscription is closed.
func (c *conclave) watch(member int, events *node.Subscription, changed chan<- struct{}) {
	for {
		e, ok := events.Next(context.Background())
		if !ok {
			return
		}
		if u, ok := e.(node.Using); ok {
			c.mu.Lock()
			c.using[member] = u.Transcript
			c.mu.Unlock()
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}
}

// calm is how long nothing may have changed before the members count as settled: latecomers bring about a further epoch.
const calm = 3 * time.Second

// awaitSession returns when all members send under one session and have done so for a while.
func (c *conclave) awaitSession(ctx context.Context, changed <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 5*patient)
	defer cancel()
	for {
		c.mu.Lock()
		have, same := len(c.using), len(c.using) == c.size()
		for _, t := range c.using {
			same = same && t == c.using[0]
		}
		c.mu.Unlock()
		var settled <-chan time.Time
		if same {
			settled = time.After(calm)
		}
		select {
		case <-changed:
		case <-settled:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%d of %d members have a session, not one: %w", have, c.size(), ctx.Err())
		}
	}
}

func (c *conclave) size() int { return len(c.members) }

func (c *conclave) send(ctx context.Context, from int, text string) error {
	id, err := c.members[from].SendWait(ctx, text)
	c.last[from].id = id
	return err
}

// settle returns when everybody has acknowledged each member's last text to it.
func (c *conclave) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	for member := range c.last {
		for l := &c.last[member]; l.id != l.acknowledged; {
			if s, err := c.next(ctx, member); err != nil {
				return err
			} else if s != "" {
				return fmt.Errorf("member %d got %q, which nobody sent", member, s)
			}
		}
	}
	return nil
}

func (c *conclave) receive(ctx context.Context, member int) (text string, err error) {
	for text == "" && err == nil {
		text, err = c.next(ctx, member)
	}
	return text, err
}

// next takes a member's next event and returns the text in it, if any.
func (c *conclave) next(ctx context.Context, member int) (string, error) {
	e, ok := c.events[member].Next(ctx)
	if !ok {
		return "", fmt.Errorf("member %d's events ended: %w", member, context.Cause(ctx))
	}
	switch e := e.(type) {
	case node.Message:
		return e.Text, nil
	case node.Sent:
		if len(e.By) == c.size()-1 {
			c.last[member].acknowledged = e.ID
		}
	case node.Gap:
		return "", fmt.Errorf("member %d misses %d frames of %s", member, e.Frames, e.From)
	case node.Lagged:
		return "", fmt.Errorf("member %d dropped %d events", member, e.Events)
	}
	return "", nil
}

// close stops everything, forgets it, and returns what went wrong.
func (c *conclave) close() error {
	c.stop()
	var errs []error
	for _, m := range c.members {
		errs = append(errs, m.Close())
	}
	c.running.Wait()
	c.members, c.events = nil, nil
	for len(c.errs) > 0 {
		errs = append(errs, <-c.errs)
	}
	return errors.Join(errs...)
}
