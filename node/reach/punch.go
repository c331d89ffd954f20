package reach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"conclave/node/deadline"
	"conclave/overlay"
	"conclave/overlay/backoff"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// MaxNeighbours is how many members one member keeps direct connections with on purpose, half of them of its own
	// making. In a group of 13 that is everybody; a larger one is a ring in which each knows the six on either side.
	MaxNeighbours = 12
	// maxApproaches is how many circuits a member opens at once for hole punching; the others of its eight are for shares.
	maxApproaches = 4
	// approachTimeout is how long a hole punch may take: three attempts and what goes before.
	approachTimeout = 20 * time.Second
	// probeTimeout is how long a relay node may take to say by which address it sees this member.
	probeTimeout = 3 * time.Second
	// probeFresh is how long the answer is good: a NAT may forget what is not used after 30 s.
	probeFresh = 20 * time.Second
	// holeTries is how often the library punches before it gives up.
	holeTries = 3
)

// approach is what one member does to reach another directly.
type approach struct {
	there    bool      // there is a direct connection
	busy     bool      // an attempt is under way
	failures int       // attempts that failed since something changed
	due      time.Time // of the next attempt; zero: none is planned
}

// again plans an attempt.
func (a *approach) again(r *Reach, after time.Duration) {
	a.due = time.Now().Add(after)
	r.tryDue = deadline.Sooner(r.tryDue, a.due)
}

func (r *Reach) try(id peer.ID) *approach {
	if r.tries[id] == nil {
		r.tries[id] = &approach{}
	}
	return r.tries[id]
}

// came plans an attempt to reach somebody directly who is here from now on.
func (r *Reach) came(id peer.ID) {
	try := r.try(id)
	try.failures = 0
	try.again(r, r.cfg.Timing.PunchAfter)
}

// left forgets somebody who is not here any more.
func (r *Reach) left(id peer.ID) {
	if try := r.tries[id]; try != nil {
		try.due = time.Time{}
	}
	delete(r.why, id)
}

// Renew has every attempt made again: this member is in another network now, or its old one came back.
func (r *Reach) Renew() {
	r.prober.forget()
	for id, try := range r.tries {
		if !try.there && r.here(id) {
			r.came(id)
		}
	}
}

func (r *Reach) here(id peer.ID) bool {
	m, _, ok := r.cfg.Roster().MemberByPeer(id)
	return ok && r.online[m.Role]
}

// tickPaths begins the attempts that are due.
func (r *Reach) tickPaths() {
	if r.tryDue.IsZero() || time.Now().Before(r.tryDue) {
		return
	}
	r.tryDue = time.Time{}
	for id, try := range r.tries {
		switch {
		case try.due.IsZero() || try.busy || try.there || !r.here(id):
		case time.Now().Before(try.due):
			r.tryDue = deadline.Sooner(r.tryDue, try.due)
		case r.running >= maxApproaches:
			try.again(r, time.Second)
		default:
			try.due = time.Time{}
			r.begin(id, try)
		}
	}
}

// role of a member in an attempt.
type part int

const (
	partNone  part = iota // enough others are nearer
	partOpens             // it opens the circuit
	partWaits             // the other does
)

// partWith says which of the two opens the circuit, so that not both do: everybody who is here stands in a ring in the
// order of their peer IDs, and each opens to those ahead.
func partWith(self, other peer.ID, here []peer.ID) part {
	ring := slices.Compact(slices.Sorted(slices.Values(append([]peer.ID{self, other}, here...))))
	n := len(ring)
	ahead := (slices.Index(ring, other) - slices.Index(ring, self) + n) % n
	switch {
	case min(ahead, n-ahead) > MaxNeighbours/2:
		return partNone
	case 2*ahead < n || 2*ahead == n && self < other:
		return partOpens
	}
	return partWaits
}

// Enough reports whether a member is beyond those with whom this one keeps direct connections on purpose.
func (r *Reach) Enough(id peer.ID) bool {
	return partWith(r.cfg.Self.Peer, id, r.present()) == partNone
}

// begin makes one attempt on a goroutine of its own.
func (r *Reach) begin(id peer.ID, try *approach) {
	what := partWith(r.cfg.Self.Peer, id, r.present())
	if what == partNone {
		r.why[id] = fmt.Sprintf("direct connections with %d others are enough", MaxNeighbours)
		r.look(id)
		return
	}
	if !r.cfg.Relays.Ready() || what == partOpens && !r.cfg.Circuits.Hold(id) {
		try.again(r, time.Second)
		return
	}
	try.busy = true
	r.running++
	relays := r.cfg.Relays.Carriers()
	r.wg.Go(func() {
		limited, cancel := context.WithTimeout(r.ctx, approachTimeout)
		defer cancel()
		err := r.attempt(limited, id, relays, what)
		r.cfg.Post(r.ctx, func() { r.tried(id, what, err) })
	})
}

// present returns the peer IDs of all who are here.
func (r *Reach) present() (ids []peer.ID) {
	for _, m := range r.cfg.Roster().Members {
		if r.online[m.Role] {
			ids = append(ids, m.Peer)
		}
	}
	return ids
}

// errUnseen is why no hole is punched where no relay node sees this member at a public address.
var errUnseen = errors.New("no public address of this machine is known")

// errOther is why an attempt ended without the other side having begun it.
var errOther = errors.New("the other side has not tried")

// errGone is why there is no direct connection after an attempt that succeeded.
var errGone = errors.New("the direct connection broke")

// attempt does one's part of an attempt. Each finds out its own address, one opens a circuit, and the other, to whom it was
// opened, has the library punch; to tell it so needs no message of our own.
func (r *Reach) attempt(ctx context.Context, to peer.ID, relays []peer.AddrInfo, what part) error {
	r.probe(ctx, relays)
	if len(overlay.Outside(r.host)) == 0 {
		return errUnseen
	}
	if what == partOpens {
		if err := r.openCircuit(ctx, to, relays); err != nil {
			return err
		}
	}
	if overlay.Called(r.host, to) {
		return overlay.PunchHole(ctx, r.host, to)
	}
	if what != partOpens {
		return errOther
	}
	return r.hole(ctx, to)
}

// openCircuit makes sure that there is a circuit to a member.
func (r *Reach) openCircuit(ctx context.Context, to peer.ID, relays []peer.AddrInfo) error {
	info := peer.AddrInfo{ID: to}
	for _, relay := range relays {
		for _, a := range relay.Addrs {
			if c, err := overlay.CircuitAddr(a.Encapsulate(ma.StringCast("/p2p/" + relay.ID.String()))); err == nil {
				info.Addrs = append(info.Addrs, c)
			}
		}
	}
	return overlay.Connect(ctx, r.host, info)
}

// prober remembers when a relay node was asked last by which address it sees this member.
type prober struct {
	mu    sync.Mutex // held while one is asked
	until atomic.Int64
}

// forget has the next probe ask again.
func (p *prober) forget() { p.until.Store(0) }

// probe asks one relay node after the other by which address it sees this member, unless it knows.
func (r *Reach) probe(ctx context.Context, relays []peer.AddrInfo) {
	r.prober.mu.Lock()
	defer r.prober.mu.Unlock()
	if time.Now().UnixNano() < r.prober.until.Load() {
		return
	}
	r.prober.until.Store(time.Now().Add(probeFresh).UnixNano())
	for _, relay := range relays {
		limited, cancel := context.WithTimeout(ctx, probeTimeout)
		err := overlay.Probe(limited, r.host, relay)
		cancel()
		if err == nil {
			return
		}
		r.cfg.Log.Debug("no relay node says by which UDP address it sees this member", "relay", relay.ID, "err", err)
	}
}

// hole waits until there is a direct connection or the library has given up.
func (r *Reach) hole(ctx context.Context, to peer.ID) error {
	heard, end := r.contacts.await(to)
	defer end()
	failed := []error{errOther}
	for !overlay.Direct(r.host, to) {
		select {
		case h := <-heard:
			if h.Err == "" {
				continue
			}
			failed = append(failed[:0:0], append(failed, punchError(h))...)
			if len(failed) > holeTries {
				return failed[len(failed)-1]
			}
		case <-ctx.Done():
			return failed[len(failed)-1]
		}
	}
	return nil
}

// punchError says in words what became of one step of a hole punch. The library's own text goes to the log.
func punchError(p overlay.Punch) error {
	switch {
	case strings.Contains(p.Err, "public address"):
		return errUnseen
	case p.Step == overlay.PunchEnds:
		return errors.New("hole punching failed: nothing comes through the NATs")
	}
	return fmt.Errorf("%s failed: %s", p.Step, firstLine(p.Err))
}

func firstLine(s string) string {
	first, _, _ := strings.Cut(s, "\n")
	return first
}

// failure returns the reason to show for an attempt that led to no direct connection; none if it was not a real one, or if
// the steps of the hole punch tell more.
func failure(err error) string {
	switch {
	case err == nil:
		return errGone.Error()
	case errors.Is(err, errOther), errors.Is(err, holepunch.ErrHolePunchActive), errors.Is(err, overlay.ErrNoProbe), errors.Is(err, holepunch.ErrClosed):
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return "hole punching failed: no answer in time"
	}
	if cause, ok := overlay.CauseOf(err); ok {
		return "no circuit to punch over: " + cause.String()
	}
	return firstLine(err.Error())
}

// heardPunch takes note of a step of a hole punch with a member, whichever of the two began it.
func (r *Reach) heardPunch(id peer.ID, punch overlay.Punch) {
	r.cfg.Log.Debug("reaching a member directly", "member", r.roleOf(id), "step", punch.Step, "err", punch.Err)
	if punch.Err != "" && len(r.direct(id)) == 0 {
		r.why[id] = punchError(punch).Error()
	}
	switch punch.Step {
	case overlay.PunchBegins:
		r.punched[id] = true
	case overlay.PunchDial:
		r.punched[id] = false
	}
}

// tried takes in what became of an attempt.
func (r *Reach) tried(id peer.ID, what part, err error) {
	try := r.try(id)
	try.busy = false
	r.running--
	if what == partOpens {
		r.cfg.Circuits.LetGo(id)
	}
	if len(r.direct(id)) > 0 {
		r.changed(id)
		return
	}
	if reason := failure(err); reason != "" && (r.why[id] == "" || errors.Is(err, errUnseen)) {
		r.why[id] = reason
		r.cfg.Log.Debug("no direct connection", "to", r.roleOf(id), "err", err)
	}
	t := r.cfg.Timing
	wait := backoff.Wait(t.PunchRetry, t.PunchRetryMax, try.failures)
	try.failures++
	if errors.Is(err, overlay.ErrNoProbe) && try.failures <= 10 {
		wait = r.cfg.Timing.PunchAfter // the library looks for its address every few seconds only
	}
	try.again(r, wait)
	r.look(id)
}
