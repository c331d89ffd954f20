package uplink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"conclave/overlay"
	"conclave/overlay/backoff"
	"conclave/overlay/batch"
	"conclave/overlay/session"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// reserveAhead is how long before its end a reservation is renewed, or half of its life when that is shorter.
	reserveAhead = 10 * time.Minute
	// reserveRetry is the wait after a refused reservation.
	reserveRetry = 10 * time.Second
	// steadyAfter is how long a link has to have been ready for the next redial to begin with the shortest wait.
	steadyAfter = 5 * time.Second
	// longAttempt says that each so many-th attempt in a row may take long. Most are short: a packet that was lost in an
	// outage is sent again after 1, 2 and 4 s, and a new attempt sends one at once. On a line that is slow or loses much
	// a short attempt may never get through. Arbitrary.
	longAttempt = 3
)

// errBehind is why no slot is asked for: over a circuit there are none, and the outer relay node has one.
var errBehind = errors.New("the relay node is behind another one")

// supervisor keeps one relay node connected: it dials, authenticates, joins and reserves, and begins again when any of it is
// lost, for as long as its run lasts.
type supervisor struct {
	// static after construction
	cfg   *Config
	net   Network
	watch *netWatch
	relay peer.ID
	addrs []ma.Multiaddr

	found *found        // addresses found later
	kick  chan struct{} // holds one: something happened to the network
	doubt chan struct{} // holds one: the topic does not carry

	// Owned by run.
	first    ma.Multiaddr  // the address that worked last
	greeted  bool          // the relay node has seen this member's roster
	replaced bool          // another process took the session
	took     time.Duration // of the last attempt that succeeded
	skewed   bool          // the last handshake failed because a clock is wrong, and that was told
}

func newSupervisor(u *Uplink, relay peer.ID, addrs []ma.Multiaddr) *supervisor {
	return &supervisor{
		cfg: &u.cfg, net: u.net, watch: u.watch, relay: relay, addrs: addrs, found: newFound(), kick: make(chan struct{}, 1),
		doubt: make(chan struct{}, 1), first: u.cfg.Routes[relay],
	}
}

// run connects until ctx ends.
func (l *supervisor) run(ctx context.Context) {
	defer l.watch.add(l.kick)()
	for failures := 0; ctx.Err() == nil; {
		l.tell(ctx, Connecting, "")
		began := time.Now()
		err := l.session(ctx, failures)
		if ctx.Err() != nil {
			return
		}
		// A connection that is dead in one direction would be taken for a living one by the next dial, and pubsub greets
		// anew only on a new one.
		_ = l.net.Host.Network().ClosePeer(l.relay)
		l.tell(ctx, Down, err.Error())
		l.tellSkew(ctx, err)
		spent := time.Since(began)
		if !errors.Is(err, errDial) && spent > steadyAfter || errors.Is(err, errChanged) {
			failures, spent = 0, 0
		}
		if l.pause(ctx, failures, spent) {
			failures = 0
			continue
		}
		failures++
	}
}

func (l *supervisor) tell(ctx context.Context, s State, why string) {
	l.cfg.Sink.Changed(ctx, Change{Relay: l.relay, State: s, Reason: why})
}

// tellSkew tells a person, once, that a clock is wrong: nobody else can put it right.
func (l *supervisor) tellSkew(ctx context.Context, err error) {
	var skew *session.SkewError
	if wrong := errors.As(err, &skew); !wrong || l.skewed {
		l.skewed = wrong
		return
	}
	l.skewed = true
	l.cfg.Sink.Skewed(ctx, skew)
}

// pause waits before a redial: twice as long each time, with jitter, so that a group does not come back as one. It
// counts from the begin of the attempt, which may have waited long enough already. It reports whether something happened
// to the network meanwhile, which ends the wait.
func (l *supervisor) pause(ctx context.Context, failures int, spent time.Duration) (changed bool) {
	t := l.cfg.Timing
	wait := backoff.Wait(t.RedialMin, t.RedialMax, failures)
	if l.replaced {
		wait = 4 * t.RedialMax // two processes with one identity must not throw each other out in a tight loop
		l.replaced = false
	}
	wait = max(backoff.Jitter(wait, rand.N)-spent, backoff.Jitter(t.RedialMin, rand.N))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.found.news: // it is somewhere else than was known
		return true
	case <-l.kick:
		return true
	case <-ctx.Done():
	}
	return false
}

var (
	// errDial marks an attempt that did not get as far as a connection.
	errDial = errors.New("not connected")
	// errChanged is the reason of an attempt that was given up, and of a link that ended, because the network changed.
	errChanged = errors.New("the network changed")
)

// patience is how long an attempt may take to connect.
func (l *supervisor) patience(failures int) time.Duration {
	t := l.cfg.Timing
	if failures%longAttempt == longAttempt-1 {
		return t.DialTimeout
	}
	return min(max(t.DialShort, 3*l.took), t.DialTimeout)
}

// attempt dials the relay node. A change of the network ends the attempt: its packets left by a way that is gone.
func (l *supervisor) attempt(ctx context.Context, failures int) error {
	dial, cancel := context.WithTimeout(ctx, l.patience(failures))
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- l.connect(dial)
	}()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("%w: %w", errDial, err)
		}
		return nil
	case <-l.kick:
		cancel()
		<-ended
		return errChanged
	}
}

// addresses returns where the relay node may be, each ending in /p2p/<peer ID>: where it was said to be at the start, where it
// was found since, and, unless relay nodes were named, where the present roster says.
func (l *supervisor) addresses() []ma.Multiaddr {
	all := slices.Concat(l.addrs, l.found.get())
	if r, ok := l.cfg.Roster().Relay(l.relay); ok && !l.cfg.named() {
		for _, a := range r.Addrs {
			if !slices.ContainsFunc(all, a.Equal) {
				all = append(all, a)
			}
		}
	}
	return all
}

// session is the life of one connection. It returns why it ended.
func (l *supervisor) session(ctx context.Context, failures int) error {
	began := time.Now()
	if err := l.attempt(ctx, failures); err != nil {
		return err
	}
	l.dialled()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	reserved := make(chan struct{})
	go func() { defer close(reserved); l.reserve(ctx) }()
	defer func() { end(nil); <-reserved }()

	shake, cancel := context.WithTimeout(ctx, l.cfg.Timing.DialTimeout)
	defer cancel()
	conn, err := l.authenticate(shake)
	if err != nil {
		return err
	}
	l.took = time.Since(began)
	stop := context.AfterFunc(ctx, conn.Abort)
	defer stop()
	l.shaken(conn)
	l.cfg.Sink.Changed(ctx, Change{Relay: l.relay, State: Authenticated, Conn: conn})
	watched := make(chan struct{})
	go func() { defer close(watched); l.guard(ctx, conn, end) }()
	defer func() { end(nil); <-watched }()
	err = l.read(ctx, conn)
	conn.Abort()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// dialAddrs returns addresses without their peer ID.
func dialAddrs(full []ma.Multiaddr) []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for _, a := range full {
		if transport, _ := peer.SplitAddr(a); transport != nil {
			addrs = append(addrs, transport)
		}
	}
	return addrs
}

// authenticate does the session handshake.
func (l *supervisor) authenticate(ctx context.Context) (*session.Conn, error) {
	cfg := l.cfg
	s, err := overlay.OpenStream(ctx, l.net.Host, l.relay, overlay.SessionProtocol)
	if err != nil {
		return nil, err
	}
	conn, err := session.Initiate(ctx, s, session.Config{
		Group: cfg.Group, Cert: cfg.Certificate, Identity: cfg.Identity, Roster: cfg.Roster, Now: cfg.Now,
		Nonces: cfg.Nonces, Log: cfg.Log, AttachRoster: !l.greeted, Ping: cfg.Timing.ProbeEvery,
		Silence:     max(session.SilenceTimeout, 2*cfg.Timing.ProbeTimeout), // a backstop: guard is faster
		OfferRoster: func(envelope []byte) error { return cfg.TakeRoster(ctx, envelope) },
	})
	if err != nil {
		_ = s.Reset()
		return nil, err
	}
	l.greeted = conn.RemoteRosterVersion() >= cfg.Roster().Version
	return conn, nil
}

// reserve keeps a circuit slot, so that other members reach this one. Without one, shares come by mailbox.
func (l *supervisor) reserve(ctx context.Context) {
	for ctx.Err() == nil {
		wait := reserveRetry
		until, err := time.Time{}, errBehind
		if overlay.Direct(l.net.Host, l.relay) {
			until, err = overlay.Reserve(ctx, l.net.Host, l.relay)
		}
		if err == nil {
			left := time.Until(until)
			wait = max(left-reserveAhead, left/2, reserveRetry)
			l.step(StepReserved, "until %s", until.UTC().Format(time.RFC3339))
			l.cfg.Log.Info("the relay node keeps a circuit slot", "relay", l.relay, "until", until.UTC().Format(time.RFC3339))
		} else if ctx.Err() == nil {
			l.step(StepNoSlot, "%v", err)
			l.cfg.Log.Debug("no circuit slot", "relay", l.relay, "err", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// read hands on what the relay node says until the session ends.
func (l *supervisor) read(ctx context.Context, conn *session.Conn) error {
	for {
		m, err := conn.Receive()
		if err != nil {
			return fmt.Errorf("the session ended: %w", err)
		}
		in := Message{Relay: l.relay, Message: m}
		switch m := m.(type) {
		case *wire.RosterUpdate:
			if err := l.cfg.TakeRoster(ctx, m.Envelope); err != nil {
				l.cfg.Log.Debug("the relay node's roster is not taken", "err", err)
			}
			continue
		case *wire.Fetched:
			in.Batches = batch.Frames(m.Batches, l.cfg.Verify)
		case *wire.Delivery:
			in.Mails = l.parse(m.Mails)
		case *wire.Refusal:
			l.replaced = m.Code == wire.RefusedReplaced
		}
		if !l.cfg.Sink.Received(ctx, in) {
			return ctx.Err()
		}
	}
}

// parse takes mails apart and verifies the control batches in them.
func (l *supervisor) parse(mails []wire.Mail) []Mail {
	out := make([]Mail, 0, len(mails))
	for _, m := range mails {
		p := Mail{ID: m.ID, From: m.From}
		switch m.Kind {
		case wire.KindShare:
			p.Share = m.Payload
		case wire.KindControl:
			if b, ok := l.cfg.Verify(m.Payload); ok && b.Kind == wire.BatchControl {
				p.Control, p.Signer = b.Items, b.Sender
			}
		}
		out = append(out, p)
	}
	return out
}
