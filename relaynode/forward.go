package relaynode

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

// maxForeign is how many mails of other relay nodes wait for one member's acknowledgement. What comes on top is not handed
// on; it stays where it lies and is forwarded again.
const maxForeign = 4096

// forwarder hands mail that lies here to the relay node at which its recipient is. It stays here until the recipient's
// acknowledgement comes back. Only what members deposited here is ever forwarded, since nothing else is ever stored: so mail
// makes one hop at most, and loops cannot be.
type forwarder struct {
	n    *Node     // static
	bell pace.Bell // rung when due is not empty

	mu   sync.Mutex
	due  map[peer.ID]struct{} // guarded by mu: recipients to look at
	ways map[peer.ID]*way     // guarded by mu: recipients whose mail is being forwarded
}

// way is how one member's mail goes, and what of it was not acknowledged.
type way struct {
	link  *peerLink
	after int64               // place in the mailbox up to which mail was handed to link
	out   map[wire.MailID]int // bytes of what was handed on and not acknowledged
	bytes int                 // sum of out
	until time.Time           // then it is tried again from the beginning, by another relay node if one says it has the member
	tries int
}

func newForwarder(n *Node) *forwarder {
	return &forwarder{n: n, bell: pace.NewBell(), due: make(map[peer.ID]struct{}), ways: make(map[peer.ID]*way)}
}

// wake has the mail of these members looked at.
func (f *forwarder) wake(recipients ...peer.ID) {
	if len(recipients) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range recipients {
		f.due[p] = struct{}{}
	}
	f.bell.Ring()
}

// run forwards until ctx ends.
func (f *forwarder) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		for _, to := range f.take() {
			if err := f.forward(ctx, to); err != nil && ctx.Err() == nil {
				f.n.log.Error("forwarding mail", "to", f.n.roleOf(to), "err", err)
			}
		}
		timer.Reset(f.wait())
		select {
		case <-ctx.Done():
			return nil
		case <-f.bell:
		case <-timer.C:
			f.again()
		}
	}
}

func (f *forwarder) take() []peer.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []peer.ID
	for p := range f.due {
		all = append(all, p)
	}
	clear(f.due)
	return all
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
		f.n.count.add(forwardStalled, max(1, len(w.out)))
		*w = way{out: make(map[wire.MailID]int), tries: w.tries + 1}
		f.due[to] = struct{}{}
	}
}

// forward hands on a member's mail as far as the window allows.
func (f *forwarder) forward(ctx context.Context, to peer.ID) error {
	w := f.choose(to)
	for w != nil {
		f.mu.Lock()
		open, after, link := w.bytes < f.n.cfg.Limits.MailPage, w.after, w.link
		f.mu.Unlock()
		if !open {
			return nil
		}
		page, err := f.n.mail.Pending(ctx, to, after, wire.MaxMailItems)
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
		w.until = time.Now().Add(backoff.Wait(f.n.cfg.Limits.MailWindow, 32*f.n.cfg.Limits.MailWindow, w.tries))
		f.mu.Unlock()
		if link.conn.Offer(msg) != nil {
			return nil // the link is slow or gone: the wait ends it, or the link's end
		}
		f.n.log.Debug("mail forwarded", "to", f.n.roleOf(to), "relay", link.name, "count", len(page))
	}
	return nil
}

// choose returns the way of a member's mail: none for one that has a session here or is nowhere. When several relay nodes
// say that they have it, each try goes to another.
func (f *forwarder) choose(to peer.ID) *way {
	at := f.n.peering.at(to)
	_, _, member := f.n.roster.Load().MemberByPeer(to)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(at) == 0 || !member || f.n.table.heard(to) {
		delete(f.ways, to)
		return nil
	}
	w := f.ways[to]
	if w == nil {
		w = &way{out: make(map[wire.MailID]int)}
		f.ways[to] = w
	}
	if w.link == nil || !slices.Contains(at, w.link) {
		*w = way{link: at[w.tries%len(at)], out: make(map[wire.MailID]int), tries: w.tries}
	}
	return w
}

// collected deletes mail on its recipient's word, which another relay node passes on. It can only have been collected
// there if it was handed there: about anything else the word counts for nothing.
func (f *forwarder) collected(ctx context.Context, l *peerLink, msg *wire.Collected) serve.Verdict {
	var ids []wire.MailID
	f.mu.Lock()
	if f.n.cfg.defences.noForwardCheck {
		ids = msg.IDs
	} else if w := f.ways[msg.By]; w != nil && w.link == l {
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
	}
	f.mu.Unlock()
	if len(ids) < len(msg.IDs) {
		f.n.count.add(dropCollected, len(msg.IDs)-len(ids))
	}
	if len(ids) == 0 {
		return serve.Verdict{}
	}
	if _, err := f.n.mail.Acknowledge(ctx, msg.By, ids); err != nil {
		return serve.Verdict{Code: wire.RefusedFailed, Text: "the mailbox failed", Reason: err}
	}
	f.wake(msg.By)
	return serve.Verdict{}
}

// forwarded hands mail that lies at another relay node to members that are here. None of it is stored: who deposited it
// is that relay node's word, and a store could be filled with it.
func (n *Node) forwarded(ctx context.Context, l *peerLink, mails []wire.ForwardedMail) {
	size := 0
	for _, m := range mails {
		size += len(m.Payload)
	}
	if !l.loop.Rates.Bring(ctx, size) {
		n.count.add(dropForward, len(mails))
		return
	}
	roster := n.roster.Load()
	for first := 0; first < len(mails); {
		to, group := mails[first].To, []wire.Mail(nil)
		for first < len(mails) && mails[first].To == to {
			m := mails[first]
			first++
			if _, _, ok := roster.MemberByPeer(m.From); !ok || len(m.Payload) > m.Kind.MaxPayload() {
				n.count.inc(dropForward)
				continue
			}
			group = append(group, wire.Mail{From: m.From, Kind: m.Kind, Payload: m.Payload})
		}
		if m := n.table.get(to); m == nil || len(group) == 0 || !m.handForeign(l, group) {
			n.count.add(dropForward, len(group))
		}
	}
}

// foreign is the mail of other relay nodes that was handed to a member and not acknowledged: where to pass its word on.
type foreign struct {
	mu sync.Mutex
	at map[wire.MailID]*peerLink // guarded by mu
}

// handForeign hands on mail that lies at another relay node, if there is room.
func (m *member) handForeign(l *peerLink, mails []wire.Mail) bool {
	m.foreign.mu.Lock()
	if len(m.foreign.at)+len(mails) > maxForeign {
		m.foreign.mu.Unlock()
		return false
	}
	if m.foreign.at == nil {
		m.foreign.at = make(map[wire.MailID]*peerLink)
	}
	for _, mail := range mails {
		m.foreign.at[wire.MailIDOf(mail.From, m.peer, mail.Kind, mail.Payload)] = l
	}
	m.foreign.mu.Unlock()
	if m.conn.Offer(&wire.Delivery{Mails: mails}) != nil {
		return false
	}
	m.n.log.Debug("mail of another relay node handed on", "to", m.role, "relay", l.name, "count", len(mails))
	return true
}

// collectForeign passes a member's acknowledgement on to the relay nodes where that mail lies.
func (m *member) collectForeign(ids []wire.MailID) {
	by := make(map[*peerLink][]wire.MailID)
	m.foreign.mu.Lock()
	for _, id := range ids {
		if l := m.foreign.at[id]; l != nil {
			by[l] = append(by[l], id)
			delete(m.foreign.at, id)
		}
	}
	m.foreign.mu.Unlock()
	for l, own := range by {
		for part := range slices.Chunk(own, wire.MaxMailItems) {
			_ = l.conn.Offer(&wire.Collected{By: m.peer, IDs: part}) // lost, it is forwarded and acknowledged again
		}
	}
}
