package node

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

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// maxNeighbours is how many members one member keeps direct connections with on purpose, half of them of its own
	// making. In a group of 13 that is everybody; a larger one is a ring in which each knows the six on either side.
	maxNeighbours = 12
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
func (a *approach) again(p *paths, after time.Duration) {
	a.due = time.Now().Add(after)
	p.due = deadline.Sooner(p.due, a.due)
}

func (p *paths) try(id peer.ID) *approach {
	if p.tries[id] == nil {
		p.tries[id] = &approach{}
	}
	return p.tries[id]
}

// came plans an attempt to reach somebody directly who is here from now on.
func (p *paths) came(id peer.ID) {
	try := p.try(id)
	try.failures = 0
	try.again(p, p.e.cfg.Timing.PunchAfter)
}

// left forgets somebody who is not here any more.
func (p *paths) left(id peer.ID) {
	if try := p.tries[id]; try != nil {
		try.due = time.Time{}
	}
	delete(p.why, id)
}

// renew has every attempt made again: this member is in another network now, or its old one came back.
func (p *paths) renew() {
	p.e.n.prober.forget()
	for id, try := range p.tries {
		if !try.there && p.here(id) {
			p.came(id)
		}
	}
}

func (p *paths) here(id peer.ID) bool {
	m, _, ok := p.e.roster.MemberByPeer(id)
	return ok && p.e.members.online[m.Role]
}

// tick begins the attempts that are due.
func (p *paths) tick() {
	if p.due.IsZero() || time.Now().Before(p.due) {
		return
	}
	p.due = time.Time{}
	for id, try := range p.tries {
		switch {
		case try.due.IsZero() || try.busy || try.there || !p.here(id):
		case time.Now().Before(try.due):
			p.due = deadline.Sooner(p.due, try.due)
		case p.running >= maxApproaches:
			try.again(p, time.Second)
		default:
			try.due = time.Time{}
			p.begin(id, try)
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
	case min(ahead, n-ahead) > maxNeighbours/2:
		return partNone
	case 2*ahead < n || 2*ahead == n && self < other:
		return partOpens
	}
	return partWaits
}

// enough reports whether a member is beyond those with whom this one keeps direct connections on purpose.
func (p *paths) enough(id peer.ID) bool {
	return partWith(p.e.n.self.Peer, id, p.present()) == partNone
}

// begin makes one attempt on a goroutine of its own.
func (p *paths) begin(id peer.ID, try *approach) {
	e, ctx := p.e, p.e.ctx
	what := partWith(e.n.self.Peer, id, p.present())
	if what == partNone {
		p.why[id] = fmt.Sprintf("direct connections with %d others are enough", maxNeighbours)
		p.look(id)
		return
	}
	if !e.relays.Ready() || what == partOpens && !e.courier.Hold(id) {
		try.again(p, time.Second)
		return
	}
	try.busy = true
	p.running++
	relays := e.relays.Carriers()
	e.n.carriers.Go(func() {
		limited, cancel := context.WithTimeout(ctx, approachTimeout)
		defer cancel()
		err := e.n.reach(limited, id, relays, what)
		e.n.post(ctx, func(e *engine) { e.paths.tried(id, what, err) })
	})
}

// present returns the peer IDs of all who are here.
func (p *paths) present() (ids []peer.ID) {
	for _, m := range p.e.roster.Members {
		if p.e.members.online[m.Role] {
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

// reach does one's part of an attempt. Each finds out its own address, one opens a circuit, and the other, to whom it was
// opened, has the library punch; to tell it so needs no message of our own.
func (n *Node) reach(ctx context.Context, to peer.ID, relays []peer.AddrInfo, what part) error {
	n.probe(ctx, relays)
	if len(overlay.Outside(n.host)) == 0 {
		return errUnseen
	}
	if what == partOpens {
		if err := n.openCircuit(ctx, to, relays); err != nil {
			return err
		}
	}
	if overlay.Called(n.host, to) {
		return overlay.PunchHole(ctx, n.host, to)
	}
	if what != partOpens {
		return errOther
	}
	return n.hole(ctx, to)
}

// openCircuit makes sure that there is a circuit to a member.
func (n *Node) openCircuit(ctx context.Context, to peer.ID, relays []peer.AddrInfo) error {
	info := peer.AddrInfo{ID: to}
	for _, r := range relays {
		for _, a := range r.Addrs {
			if c, err := overlay.CircuitAddr(a.Encapsulate(ma.StringCast("/p2p/" + r.ID.String()))); err == nil {
				info.Addrs = append(info.Addrs, c)
			}
		}
	}
	return overlay.Connect(ctx, n.host, info)
}

// prober remembers when a relay node was asked last by which address it sees this member.
type prober struct {
	mu    sync.Mutex // held while one is asked
	until atomic.Int64
}

// forget has the next probe ask again.
func (p *prober) forget() { p.until.Store(0) }

// probe asks one relay node after the other by which address it sees this member, unless it knows.
func (n *Node) probe(ctx context.Context, relays []peer.AddrInfo) {
	n.prober.mu.Lock()
	defer n.prober.mu.Unlock()
	if time.Now().UnixNano() < n.prober.until.Load() {
		return
	}
	n.prober.until.Store(time.Now().Add(probeFresh).UnixNano())
	for _, r := range relays {
		limited, cancel := context.WithTimeout(ctx, probeTimeout)
		err := overlay.Probe(limited, n.host, r)
		cancel()
		if err == nil {
			return
		}
		n.cfg.Log.Debug("no relay node says by which UDP address it sees this member", "relay", r.ID, "err", err)
	}
}

// hole waits until there is a direct connection or the library has given up.
func (n *Node) hole(ctx context.Context, to peer.ID) error {
	heard, end := n.contacts.await(to)
	defer end()
	failed := []error{errOther}
	for !overlay.Direct(n.host, to) {
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

// heard takes note of a step of a hole punch with a member, whichever of the two began it.
func (p *paths) heard(id peer.ID, punch overlay.Punch) {
	p.e.cfg.Log.Debug("reaching a member directly", "member", p.e.roleOf(id), "step", punch.Step, "err", punch.Err)
	if punch.Err != "" && len(p.direct(id)) == 0 {
		p.why[id] = punchError(punch).Error()
	}
	switch punch.Step {
	case overlay.PunchBegins:
		p.punched[id] = true
	case overlay.PunchDial:
		p.punched[id] = false
	}
}

// tried takes in what became of an attempt.
func (p *paths) tried(id peer.ID, what part, err error) {
	try := p.try(id)
	try.busy = false
	p.running--
	if what == partOpens {
		p.e.courier.LetGo(id)
	}
	if len(p.direct(id)) > 0 {
		p.changed(id)
		return
	}
	if reason := failure(err); reason != "" && (p.why[id] == "" || errors.Is(err, errUnseen)) {
		p.why[id] = reason
		p.e.cfg.Log.Debug("no direct connection", "to", p.e.roleOf(id), "err", err)
	}
	t := p.e.cfg.Timing
	wait := min(t.PunchRetry<<min(try.failures, 16), t.PunchRetryMax)
	try.failures++
	if errors.Is(err, overlay.ErrNoProbe) && try.failures <= 10 {
		wait = p.e.cfg.Timing.PunchAfter // the library looks for its address every few seconds only
	}
	try.again(p, wait)
	p.look(id)
}
