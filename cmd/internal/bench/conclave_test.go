package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"conclave/node"
	"conclave/overlay/wire"
	"conclave/pki/pkitest"
	"conclave/relaynode"
)

// conclave is the real thing as a chat: a relay node and members in this process.
type conclave struct {
	members []*node.Node
	events  []*node.Subscription // one of each member, from the moment all have a session
	stop    context.CancelFunc
	running sync.WaitGroup
	errs    chan error

	mu    sync.Mutex
	using map[int]wire.Transcript // guarded by mu; the session under which each member sends
}

// newConclave starts a relay node and members, their state on the disk, and returns when all send under one session.
func newConclave(b testing.TB, members int) *conclave {
	b.Helper()
	group := pkitest.Fast(b, members)
	relay, err := startRelay(group, filepath.Join(b.TempDir(), "relay.db"))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- relay.Run(ctx) }()
	c := &conclave{}
	b.Cleanup(func() {
		if c.stop != nil {
			if err := c.close(); err != nil {
				b.Error(err)
			}
		}
		stop()
		if err := <-ran; err != nil {
			b.Error(err)
		}
	})
	state := func(i int) string { return filepath.Join(b.TempDir(), "state.db") }
	if err := c.start(b.Context(), group, relay.Addrs(), state); err != nil {
		b.Fatal(err)
	}
	return c
}

// crowd is the patience of members that share one process: when a hundred of them do their public-key work on two cores,
// the last waits for the work of all.
var crowd = node.Timing{DialTimeout: patient, ProbeTimeout: patient, ShareTimeout: patient, CircuitLinger: patient}

// start starts all members of a group and returns when they send under one session.
func (c *conclave) start(ctx context.Context, group *pkitest.Group, relays []ma.Multiaddr, state func(i int) string) error {
	members := len(group.Roster.Members)
	life, stop := context.WithCancel(context.Background())
	c.stop, c.errs, c.using = stop, make(chan error, members), make(map[int]wire.Transcript)
	for i := range members { // all of them first: then they ask for a key together, not one after the other
		m, err := newMember(group, i, state(i), relays)
		if err != nil {
			return errors.Join(err, c.closeMembers())
		}
		c.members = append(c.members, m)
	}
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

// startRelay makes a relay node on a free loopback port.
func startRelay(group *pkitest.Group, state string) (*relaynode.Node, error) {
	id := group.Relay(0)
	return relaynode.New(relaynode.Config{
		Group: group.Group, Certificate: id.Cert.DER, Identity: id.Identity, Roster: group.Roster, StatePath: state,
		Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
	})
}

// newMember makes the i-th member of a group.
func newMember(group *pkitest.Group, i int, state string, relays []ma.Multiaddr) (*node.Node, error) {
	m := group.Member(fmt.Sprintf("m%03d", i))
	return node.New(node.Config{
		Group: group.Group, Certificate: m.Cert.DER, Identity: m.Identity, RSA: m.RSA, Roster: group.Roster,
		StatePath: state, Relays: relays, Timing: crowd,
	})
}

func (c *conclave) size() int { return len(c.members) }

func (c *conclave) send(ctx context.Context, from int, text string) error {
	_, err := c.members[from].SendWait(ctx, text)
	return err
}

func (c *conclave) receive(ctx context.Context, member int) (string, error) {
	for {
		e, ok := c.events[member].Next(ctx)
		if !ok {
			return "", fmt.Errorf("member %d's events ended: %w", member, context.Cause(ctx))
		}
		switch e := e.(type) {
		case node.Message:
			return e.Text, nil
		case node.Gap:
			return "", fmt.Errorf("member %d misses %d frames of %s", member, e.Frames, e.From)
		case node.Lagged:
			return "", fmt.Errorf("member %d dropped %d events", member, e.Events)
		}
	}
}

// close stops all members and returns what went wrong with any.
func (c *conclave) close() error {
	c.stop()
	errs := []error{c.closeMembers()}
	c.running.Wait()
	for len(c.errs) > 0 {
		errs = append(errs, <-c.errs)
	}
	return errors.Join(errs...)
}

func (c *conclave) closeMembers() error {
	errs := make([]error, len(c.members))
	for i, m := range c.members {
		errs[i] = m.Close()
	}
	return errors.Join(errs...)
}
