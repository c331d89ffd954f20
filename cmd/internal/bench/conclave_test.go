package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"conclave/node"
	"conclave/overlay/wire"
	"conclave/pki/pkitest"
	"conclave/relaynode"
)

// conclave is the real thing as a chat: a relay node and members in this process, their state on the disk.
type conclave struct {
	members []*node.Node
	events  []*node.Subscription
	stop    context.CancelFunc
	running sync.WaitGroup
	errs    chan error
}

// newConclave starts a relay node and members and returns when all send under one session.
func newConclave(b testing.TB, members int) *conclave {
	b.Helper()
	group := pkitest.Fast(b, members)
	ctx, stop := context.WithCancel(context.Background())
	c := &conclave{stop: stop, errs: make(chan error, members+1)}
	b.Cleanup(func() {
		if err := c.close(); err != nil {
			b.Error(err)
		}
	})
	relay, err := startRelay(group, filepath.Join(b.TempDir(), "relay.db"))
	if err != nil {
		b.Fatal(err)
	}
	c.running.Go(func() { c.errs <- relay.Run(ctx) })
	for i := range members {
		m, err := newMember(group, i, filepath.Join(b.TempDir(), "state.db"), relay.Addrs())
		if err != nil {
			b.Fatal(err)
		}
		c.members, c.events = append(c.members, m), append(c.events, m.Subscribe())
		c.running.Go(func() { c.errs <- errors.Join(m.Run(ctx), m.Close()) })
	}
	if err := c.awaitSession(b.Context()); err != nil {
		b.Fatal(err)
	}
	return c
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
		StatePath: state, Relays: relays,
	})
}

// awaitSession returns when all members send under one session.
func (c *conclave) awaitSession(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patient)
	defer cancel()
	using := make(chan struct {
		member int
		wire.Transcript
	})
	for i, events := range c.events {
		go func() { // ends when all agree, or with ctx
			for ctx.Err() == nil {
				e, ok := events.Next(ctx)
				if !ok {
					return
				}
				if u, ok := e.(node.Using); ok {
					select {
					case using <- struct {
						member int
						wire.Transcript
					}{i, u.Transcript}:
					case <-ctx.Done():
					}
				}
			}
		}()
	}
	now := make(map[int]wire.Transcript)
	for {
		select {
		case u := <-using:
			now[u.member] = u.Transcript
		case <-ctx.Done():
			return fmt.Errorf("%d of %d members have a session, not one: %w", len(now), c.size(), ctx.Err())
		}
		same := len(now) == c.size()
		for _, t := range now {
			same = same && t == now[0]
		}
		if same {
			return nil
		}
	}
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

func (c *conclave) close() error {
	c.stop()
	c.running.Wait()
	close(c.errs)
	var errs []error
	for err := range c.errs {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
