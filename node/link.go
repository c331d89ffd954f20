package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// topicCheck is how often a link looks whether its relay node is still in the topic; two misses end the link, and
	// with a new connection pubsub greets anew.
	topicCheck = 3 * time.Second
	// reserveAhead is how long before its end a reservation is renewed, or half of its life when that is shorter.
	reserveAhead = 10 * time.Minute
	// reserveRetry is the wait after a refused reservation.
	reserveRetry = 10 * time.Second
	// steadyAfter is how long a link has to have been ready for the next redial to begin with the shortest wait.
	steadyAfter = 5 * time.Second
)

// errNoTopic is the reason of a link that ended because the relay node does not take part in the topic.
var errNoTopic = errors.New("the relay node is not in the topic")

// link keeps one relay node connected: it dials, authenticates, joins and reserves, and begins again when any of it is
// lost, for as long as its run lasts. It tells the engine and owns nothing of it.
type link struct {
	// static after construction
	n     *Node
	relay peer.ID
	addrs []ma.Multiaddr

	learned *learned // addresses found later

	first    ma.Multiaddr // the address that worked last; owned by run
	greeted  bool         // the relay node has seen this member's roster; owned by run
	replaced bool         // another process took the session; owned by run
}

func newLink(n *Node, relay peer.ID, addrs []ma.Multiaddr) *link {
	return &link{n: n, relay: relay, addrs: addrs, learned: newLearned(), first: n.routes[relay]}
}

// incoming is a message as the engine gets it: what costs time was done before.
type incoming struct {
	wire.Message
	batches []wire.Batch // of a Fetched: those that a member signed
	mails   []parsedMail // of a Delivery
}

// run connects until ctx ends.
func (l *link) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		l.tell(ctx, Connecting, "")
		began := time.Now()
		err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		// A connection that is dead in one direction would be taken for a living one by the next dial, and pubsub greets
		// anew only on a new one.
		_ = l.n.host.Network().ClosePeer(l.relay)
		l.n.post(ctx, func(e *engine) { e.links.down(l, err.Error()) })
		if time.Since(began) > steadyAfter {
			failures = 0
		}
		l.pause(ctx, failures)
		failures++
	}
}

func (l *link) tell(ctx context.Context, s LinkState, why string) {
	l.n.post(ctx, func(e *engine) { e.links.state(l, s, why) })
}

// pause waits before a redial: twice as long each time, with jitter, so that a group does not come back as one.
func (l *link) pause(ctx context.Context, failures int) {
	t := l.n.cfg.Timing
	wait := min(t.RedialMin<<min(failures, 16), t.RedialMax)
	if l.replaced {
		wait = 4 * t.RedialMax // two processes with one identity must not throw each other out in a tight loop
		l.replaced = false
	}
	wait = wait/2 + rand.N(wait/2+1)
	select {
	case <-time.After(wait):
	case <-l.learned.news: // it is somewhere else than was known
	case <-ctx.Done():
	}
}

// addresses returns where the relay node may be, each ending in /p2p/<peer ID>.
func (l *link) addresses() []ma.Multiaddr { return slices.Concat(l.addrs, l.learned.get()) }

// session is the life of one connection. It returns why it ended.
func (l *link) session(ctx context.Context) error {
	dial, cancel := context.WithTimeout(ctx, l.n.cfg.Timing.DialTimeout)
	defer cancel()
	if err := l.connect(dial); err != nil {
		return err
	}
	l.dialled()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	reserved := make(chan struct{})
	go func() { defer close(reserved); l.reserve(ctx) }()
	defer func() { end(nil); <-reserved }()

	conn, err := l.authenticate(dial)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, conn.Abort)
	defer stop()
	l.shaken(conn)
	l.n.post(ctx, func(e *engine) { e.links.authenticated(l, conn) })
	watched := make(chan struct{})
	go func() { defer close(watched); l.watch(ctx, conn, end) }()
	defer func() { end(nil); <-watched }()
	err = l.read(ctx, conn)
	conn.Abort()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// dialAddrs returns the addresses without their peer ID.
func (l *link) dialAddrs() []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for _, a := range l.addresses() {
		if transport, _ := peer.SplitAddr(a); transport != nil {
			addrs = append(addrs, transport)
		}
	}
	return addrs
}

// authenticate does the session handshake.
func (l *link) authenticate(ctx context.Context) (*session.Conn, error) {
	n := l.n
	s, err := overlay.OpenStream(ctx, n.host, l.relay, overlay.SessionProtocol)
	if err != nil {
		return nil, err
	}
	conn, err := session.Initiate(ctx, s, session.Config{
		Group: n.cfg.Group, Cert: n.cfg.Certificate, Identity: n.cfg.Identity, Roster: n.roster.Load, Now: n.cfg.Now,
		Nonces: n.nonces, Log: n.cfg.Log, AttachRoster: !l.greeted, Ping: n.cfg.Timing.ProbeEvery,
		Silence:     n.cfg.Timing.ProbeEvery + n.cfg.Timing.ProbeTimeout,
		OfferRoster: func(envelope []byte) error { return n.takeRoster(ctx, envelope) },
	})
	if err != nil {
		_ = s.Reset()
		return nil, err
	}
	l.greeted = conn.RemoteRosterVersion() >= n.roster.Load().Version
	return conn, nil
}

// watch tells the engine when the topic is there too, and ends the link when it is not there any more.
func (l *link) watch(ctx context.Context, conn *session.Conn, end context.CancelCauseFunc) {
	limited, cancel := context.WithTimeout(ctx, l.n.cfg.Timing.DialTimeout)
	defer cancel()
	if l.n.topic.Meshed(limited, l.relay) != nil {
		end(errNoTopic)
		return
	}
	l.step(StepTopic, "%s", l.n.topicName)
	l.n.post(ctx, func(e *engine) { e.links.up(l, conn) })
	ticker := time.NewTicker(topicCheck)
	defer ticker.Stop()
	for missed := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if slices.Contains(l.n.topic.Peers(), l.relay) {
			missed = 0
		} else if missed++; missed >= 2 {
			end(errNoTopic)
			return
		}
	}
}

// reserve keeps a circuit slot, so that other members reach this one. Without one, shares come by mailbox.
func (l *link) reserve(ctx context.Context) {
	for ctx.Err() == nil {
		until, err := overlay.Reserve(ctx, l.n.host, l.relay)
		wait := reserveRetry
		if err == nil {
			left := time.Until(until)
			wait = max(left-reserveAhead, left/2, reserveRetry)
			l.step(StepReserved, "until %s", until.UTC().Format(time.RFC3339))
		} else if ctx.Err() == nil {
			l.step(StepNoSlot, "%v", err)
			l.n.cfg.Log.Debug("no circuit slot", "relay", l.relay, "err", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// read hands what the relay node says to the engine until the session ends.
func (l *link) read(ctx context.Context, conn *session.Conn) error {
	for {
		m, err := conn.Receive()
		if err != nil {
			return fmt.Errorf("the session ended: %w", err)
		}
		in := incoming{Message: m}
		switch m := m.(type) {
		case *wire.RosterUpdate:
			if err := l.n.takeRoster(ctx, m.Envelope); err != nil {
				l.n.cfg.Log.Debug("the relay node's roster is not taken", "err", err)
			}
			continue
		case *wire.Fetched:
			in.batches = l.verified(m.Batches)
		case *wire.Delivery:
			in.mails = l.parse(m.Mails)
		case *wire.Refusal:
			l.replaced = m.Code == wire.RefusedReplaced
		}
		if !l.n.post(ctx, func(e *engine) { e.links.message(l, in) }) {
			return ctx.Err()
		}
	}
}

// verified returns the batches that a member signed.
func (l *link) verified(batches [][]byte) []wire.Batch {
	var out []wire.Batch
	for _, data := range batches {
		if b, ok := l.n.verify(data); ok && b.Kind == wire.BatchFrames {
			out = append(out, b)
		}
	}
	return out
}

// parse takes mails apart and verifies the control batches in them.
func (l *link) parse(mails []wire.Mail) []parsedMail {
	out := make([]parsedMail, 0, len(mails))
	for _, m := range mails {
		p := parsedMail{id: m.ID, from: m.From}
		switch m.Kind {
		case wire.KindShare:
			p.share = m.Payload
		case wire.KindControl:
			if b, ok := l.n.verify(m.Payload); ok && b.Kind == wire.BatchControl {
				p.control, p.signer = b.Items, b.Sender
			}
		}
		out = append(out, p)
	}
	return out
}
