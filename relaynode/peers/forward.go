package peers

import (
	"context"
	"slices"
	"sync"
	"time"

	"conclave/overlay/backoff"
	"conclave/overlay/wire"
	"conclave/relaynode/pace"
	"conclave/relaynode/serve"

	"github.com/libp2p/go-libp2p/core/peer"
)

// forwarder hands mail that lies here to the relay node at which its recipient is. It stays here until the recipient's
// acknowledgement comes back. Only what members deposited here is ever forwarded, since nothing else is ever stored: so mail
// makes one hop at most, and loops cannot be.
type forwarder struct {
	p   *Peers      // static
	due *pace.Peers // recipients to look at; static

	mu   sync.Mutex
	ways map[peer.ID]*route // guarded by mu: recipients whose mail is being forwarded
}

// route is how one member's mail goes, and what of it was not acknowledged.
type route struct {
	link  *link
	after int64               // place in the mailbox up to which mail was handed to link
	out   map[wire.MailID]int // bytes of what was handed on and not acknowledged
	bytes int                 // sum of out
	until time.Time           // then it is tried again from the beginning, by another relay node if one says it has the member
	tries int
}

func newForwarder(p *Peers) *forwarder {
	return &forwarder{p: p, due: pace.NewPeers(), ways: make(map[peer.ID]*route)}
}

// run forwards until ctx ends.
func (f *forwarder) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		for _, to := range f.due.Take() {
			if err := f.forward(ctx, to); err != nil && ctx.Err() == nil {
				f.p.log.Error("forwarding mail", "to", f.p.roleOf(to), "err", err)
			}
		}
		timer.Reset(f.wait())
		select {
		case <-ctx.Done():
			return
		case <-f.due.Signal:
		case <-timer.C:
			f.again()
		}
	}
}

// wait returns how long nothing has to be tried again.
func (f *forwarder) wait() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	wait := time.Hour
	for _, w := range f.ways {
		if !w.until.IsZero() {
			wait = min(wait, max(0, time.Until(w.until)))
		}
	}
	return wait
}

// again begins anew for the members whose mail was not acknowledged in time.
func (f *forwarder) again() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for to, w := range f.ways {
		if w.until.IsZero() || time.Now().Before(w.until) {
			continue
		}
		f.p.cfg.Count(forwardStalled, max(1, len(w.out)))
		*w = route{out: make(map[wire.MailID]int), tries: w.tries + 1}
		f.due.Add(to)
	}
}

// forward hands on a member's mail as far as the window allows.
func (f *forwarder) forward(ctx context.Context, to peer.ID) error {
	w := f.choose(to)
	for w != nil {
		f.mu.Lock()
		open, after, link := w.bytes < f.p.cfg.Limits.MailPage, w.after, w.link
		f.mu.Unlock()
		if !open {
			return nil
		}
		page, err := f.p.cfg.Mail.Pending(ctx, to, after, wire.MaxMailItems)
		if err != nil || len(page) == 0 {
			return err
		}
		msg := &wire.Forward{}
		f.mu.Lock()
		for _, m := range page {
			one := wire.ForwardedMail{From: m.From, To: to, Kind: m.Kind, Payload: m.Payload}
			msg.Mails = append(msg.Mails, one)
			if id := one.ID(); w.out[id] == 0 {
				w.out[id] = len(m.Payload)
				w.bytes += len(m.Payload)
			}
		}
		w.after = page[len(page)-1].Seq
		w.until = time.Now().Add(backoff.Wait(f.p.cfg.Limits.MailWindow, 32*f.p.cfg.Limits.MailWindow, w.tries))
		f.mu.Unlock()
		if link.conn.Offer(msg) != nil {
			return nil // the link is slow or gone: the wait ends it, or the link's end
		}
		f.p.log.Debug("mail forwarded", "to", f.p.roleOf(to), "relay", link.name, "count", len(page))
	}
	return nil
}

// choose returns the way of a member's mail: none for one that has a session here or is nowhere. When several relay nodes
// say that they have it, each try goes to another.
func (f *forwarder) choose(to peer.ID) *route {
	at := f.p.at(to)
	_, _, member := f.p.cfg.Roster().MemberByPeer(to)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(at) == 0 || !member || f.p.cfg.Members.Heard(to) {
		delete(f.ways, to)
		return nil
	}
	w := f.ways[to]
	if w == nil {
		w = &route{out: make(map[wire.MailID]int)}
		f.ways[to] = w
	}
	if w.link == nil || !slices.Contains(at, w.link) {
		*w = route{link: at[w.tries%len(at)], out: make(map[wire.MailID]int), tries: w.tries}
	}
	return w
}

// collected deletes mail on its recipient's word, which another relay node passes on. It can only have been collected
// there if it was handed there: about anything else the word counts for nothing.
func (f *forwarder) collected(ctx context.Context, l *link, msg *wire.Collected) serve.Verdict {
	ids := f.given(l, msg) // defence: collected-was-given
	if len(ids) < len(msg.IDs) {
		f.p.cfg.Count(dropCollected, len(msg.IDs)-len(ids))
	}
	if len(ids) == 0 {
		return serve.Verdict{}
	}
	if _, err := f.p.cfg.Mail.Acknowledge(ctx, msg.By, ids); err != nil {
		return serve.Verdict{Code: wire.RefusedFailed, Text: "the mailbox failed", Reason: err}
	}
	f.due.Add(msg.By)
	return serve.Verdict{}
}

// given takes off the way of a member's mail what it is said to have collected at a relay node, and returns what of that was
// handed there.
func (f *forwarder) given(l *link, msg *wire.Collected) (ids []wire.MailID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.ways[msg.By]
	if w == nil || w.link != l {
		return nil
	}
	for _, id := range msg.IDs {
		if size, out := w.out[id]; out {
			delete(w.out, id)
			w.bytes -= size
			ids = append(ids, id)
		}
	}
	if len(w.out) == 0 {
		w.until, w.tries = time.Time{}, 0
	}
	return ids
}
