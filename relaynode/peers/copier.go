package peers

import (
	"context"
	"errors"
	"sync"
	"time"

	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
	"conclave/relaynode/pace"
)

const (
	// maxClaims is how many chains of another relay node's heads are remembered. What is beyond is not copied. Arbitrary:
	// a few times what a busy group has.
	maxClaims = 16_384
	// copyTimeout is how long the answer to a fetch is waited for.
	copyTimeout = 30 * time.Second
	// copyRetry is the wait after a refused fetch.
	copyRetry = time.Second
)

var errNoAnswer = errors.New("it does not answer a fetch")

// copier copies from another relay node what the backlog here lacks. The other's heads say what there is; each chain is
// looked through once, from its lowest counter to its highest, and after that only where it has grown.
type copier struct {
	l       *link
	bell    pace.Signal
	answers chan *wire.Copied // holds one: of the fetch under way; nil: it was refused

	mu    sync.Mutex
	asked uint64                   // guarded by mu: number of the fetch under way
	heads map[backlog.Chain]*claim // guarded by mu
	fresh []backlog.Chain          // guarded by mu: chains to look at
}

// claim is what the other relay node says that it holds of a chain.
type claim struct {
	low, high uint32
	next      uint64 // the first counter that was not looked at; the whole chain: 0
	queued    bool
}

func newCopier(l *link) *copier {
	return &copier{l: l, bell: pace.NewBell(), answers: make(chan *wire.Copied, 1), heads: make(map[backlog.Chain]*claim)}
}

// told takes in heads. Those of chains that no member signed are of no use.
func (c *copier) told(heads []wire.Head) {
	roster := c.l.p.cfg.Roster()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range heads {
		signer, err := wire.PeerIDOf(h.Signer[:])
		if _, _, ok := roster.MemberByPeer(signer); err != nil || !ok {
			continue
		}
		chain := backlog.Chain{Prefix: h.Prefix, Sender: h.Sender, Start: h.Start, Signer: signer}
		known := c.heads[chain]
		if known == nil {
			if len(c.heads) >= maxClaims {
				c.l.p.cfg.Count(dropClaims, 1)
				continue
			}
			known = &claim{}
			c.heads[chain] = known
		}
		known.low, known.high = h.Low, h.High
		if !known.queued {
			known.queued = true
			c.fresh = append(c.fresh, chain)
		}
	}
	c.bell.Ring()
}

// run copies until ctx ends.
func (c *copier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.bell:
		}
		// What has just been stored there is mostly on its way over the topic.
		rest(ctx, 2*c.l.p.cfg.Limits.Heads, nil)
		for chain, ok := c.take(); ok && ctx.Err() == nil; chain, ok = c.take() {
			if err := c.copyChain(ctx, chain); err != nil && ctx.Err() == nil {
				c.l.end(err)
				return
			}
		}
	}
}

func (c *copier) take() (backlog.Chain, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.fresh) == 0 {
		return backlog.Chain{}, false
	}
	chain := c.fresh[0]
	c.fresh = c.fresh[1:]
	c.heads[chain].queued = false
	return chain, true
}

// copyChain fetches what is missing of a chain since it was last looked at.
func (c *copier) copyChain(ctx context.Context, chain backlog.Chain) error {
	c.mu.Lock()
	k := c.heads[chain]
	r := backlog.Range{Chain: chain, From: max(k.low, uint32(min(k.next, uint64(k.high)))), To: k.high}
	whole, done := k.next == 0, k.next > uint64(k.high)
	k.next = max(k.next, uint64(k.high)+1)
	c.mu.Unlock()
	if done {
		return nil
	}
	missing, err := c.l.p.cfg.Backlog.Missing(ctx, r)
	if err != nil {
		return err
	}
	if whole {
		missing = c.worthwhile(ctx, r, missing)
	}
	for _, part := range missing {
		if err := c.copyRange(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// worthwhile leaves out what lies below all that is here of a chain when the log is nearly full: that was dropped for want
// of room, and would be again.
func (c *copier) worthwhile(ctx context.Context, r backlog.Range, missing []backlog.Range) []backlog.Range {
	limits := c.l.p.cfg.Limits.Backlog
	stats, err := c.l.p.cfg.Backlog.Stats(ctx)
	roomy := err == nil && stats.Bytes < limits.Bytes/8*7 && stats.Batches < limits.Batches/8*7
	if roomy || len(missing) == 0 || missing[0].From != r.From || missing[0].To == r.To {
		return missing
	}
	return missing[1:]
}

// copyRange fetches one run of counters, page by page, until it is here or the other has no more of it.
func (c *copier) copyRange(ctx context.Context, r backlog.Range) error {
	for {
		answer, err := c.fetch(ctx, r)
		if err != nil {
			return err
		}
		if answer == nil {
			rest(ctx, copyRetry, nil)
			continue
		}
		if err := c.keep(ctx, answer.Copies); err != nil {
			return err
		}
		left, err := c.l.p.cfg.Backlog.Missing(ctx, r)
		if err != nil || len(left) == 0 || !answer.More || left[0].From == r.From {
			return err // all of it, or nothing that was asked for
		}
		r.From = left[0].From
	}
}

// fetch asks for a range and waits for the answer; nil means that it was refused.
func (c *copier) fetch(ctx context.Context, r backlog.Range) (*wire.Copied, error) {
	signer, err := wire.PublicKeyOf(r.Signer)
	if err != nil {
		return nil, err // cannot be: chains of other keys are not remembered
	}
	c.mu.Lock()
	c.asked++
	seq := c.asked
	c.mu.Unlock()
	select {
	case <-c.answers: // of a fetch that was given up
	default:
	}
	msg := &wire.Fetch{Seq: seq, Prefix: r.Prefix, Sender: r.Sender, Start: r.Start, From: r.From, To: r.To, Signer: wire.Signer(signer)}
	if err := c.l.loop.Send(ctx, msg); err != nil {
		return nil, err
	}
	t := time.NewTimer(copyTimeout)
	defer t.Stop()
	select {
	case answer := <-c.answers:
		return answer, nil
	case <-t.C:
		return nil, errNoAnswer
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answered takes in the answer to the fetch under way; nil: it was refused.
func (c *copier) answered(seq uint64, answer *wire.Copied) {
	c.mu.Lock()
	current := c.asked == seq
	c.mu.Unlock()
	if !current {
		return
	}
	select {
	case c.answers <- answer:
	default: // a second answer to one question
	}
}

// keep stores copies whose signatures verify and that are not too old already.
func (c *copier) keep(ctx context.Context, copies []wire.Copy) error {
	p := c.l.p
	now := p.cfg.Now()
	var entries []backlog.Entry
	for _, one := range copies {
		if one.Age >= p.cfg.Limits.Backlog.Age {
			p.cfg.Count(dropCopyOld, 1)
			continue
		}
		e, err := p.cfg.Batches.Read(one.Batch)
		if err != nil {
			p.cfg.Count("copy-refused: "+err.Error(), 1)
			p.log.Warn("a relay node gave a batch that is refused", "relay", c.l.name, "err", err)
			continue
		}
		e.At = now.Add(-one.Age)
		entries = append(entries, e)
	}
	if err := p.cfg.Batches.Append(ctx, entries, "copy"); err != nil {
		return err
	}
	if len(entries) > 0 {
		p.log.Info("batches copied", "relay", c.l.name, "batches", len(entries))
	}
	return nil
}
