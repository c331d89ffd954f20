package node

import (
	"slices"
	"time"

	"conclave/node/keyagreement"
	"conclave/node/uplink"
	"conclave/overlay/batch"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxBroadcasts bounds the control messages that wait for somebody to hear them. The oldest go first: the machine
	// repeats what matters.
	maxBroadcasts = 512
	// depositTimeout is how long the answer to a deposit is waited for.
	depositTimeout = 30 * time.Second
	// depositBytes is how much one deposit carries at most.
	depositBytes = wire.MaxSessionMessage / 2
	// maxMailWaiting bounds the control mail that waits for a relay node.
	maxMailWaiting = 1024
)

// post carries the key agreement: control messages over the topic and into mailboxes, shares over circuits and into
// mailboxes.
type post struct {
	e *engine

	broadcasts []keyagreement.Broadcast
	wrapping   int      // shares that are being wrapped
	mail       []letter // for the next deposit
	deposits   map[uint64]deposit
	circuits   circuits
}

// letter is one item on its way into a mailbox. parcel says which share it is, for a share.
type letter struct {
	item   wire.MailItem
	parcel keyagreement.Parcel
	mailed bool // it goes into the mailbox whatever becomes of its circuit
}

// deposit is one that was not answered yet.
type deposit struct {
	letters []letter
	until   time.Time
}

func newPost(e *engine) post {
	return post{e: e, deposits: make(map[uint64]deposit), circuits: newCircuits(e)}
}

// broadcast queues a control message.
func (p *post) broadcast(b keyagreement.Broadcast) {
	if len(p.broadcasts) >= maxBroadcasts {
		p.broadcasts = p.broadcasts[1:]
	}
	p.broadcasts = append(p.broadcasts, b)
}

// settle sends what the turn gathered.
func (p *post) settle() {
	p.publish()
	if p.wrapping == 0 || len(p.mail) >= wire.MaxMailItems/2 {
		p.deposit()
	}
	p.e.relays.Acknowledge()
}

// publish sends the waiting control messages in as few batches as they fit into. Those for absent members too go into
// batches of their own, which are also left in the mailboxes.
func (p *post) publish() {
	if len(p.broadcasts) == 0 || !p.e.relays.Ready() && !p.e.n.topic.Reaches() {
		return
	}
	waiting := p.broadcasts
	p.broadcasts = nil
	for _, absent := range []bool{false, true} {
		var items [][]byte
		size := wire.BatchOverhead
		for _, b := range waiting {
			if b.Absent != absent {
				continue
			}
			if len(items) == wire.MaxBatchItems || size+wire.BatchItemOverhead+len(b.Raw) > wire.MaxBatch {
				p.send(items, absent)
				items, size = nil, wire.BatchOverhead
			}
			items = append(items, b.Raw)
			size += wire.BatchItemOverhead + len(b.Raw)
		}
		if len(items) > 0 {
			p.send(items, absent)
		}
	}
}

// send publishes one control batch.
func (p *post) send(items [][]byte, absent bool) {
	e := p.e
	data, err := batch.Sign(e.cfg.Identity, e.n.topicName, wire.BatchControl, items)
	if err != nil {
		e.cfg.Log.Error("a control batch cannot be signed", "err", err)
		return
	}
	if err := e.toTopic(data); err != nil {
		e.cfg.Log.Debug("publishing a control batch", "err", err)
	}
	if !absent {
		return
	}
	for _, m := range e.roster.Members {
		if m.Role == e.self || e.members.listens(m.Role) || len(p.mail) >= maxMailWaiting {
			continue
		}
		p.mail = append(p.mail, letter{item: wire.MailItem{To: m.Peer, Kind: wire.KindControl, Payload: data}})
	}
}

// wrap has a share wrapped and then sent.
func (p *post) wrap(w keyagreement.Wrap) {
	e := p.e
	to, ok := e.roster.Member(w.Parcel.To)
	if !ok {
		e.step(keyagreement.ShareFailed{Parcel: w.Parcel})
		return
	}
	ctx, from := e.ctx, [32]byte(identityKey(e.cfg.Identity))
	queued := e.n.pool.addQuick(func() {
		envelope, err := keyagreement.SealEnvelope(e.random, to.RSA, from, e.sign, w)
		e.n.post(ctx, func(e *engine) { e.post.wrapped(w.Parcel, to.Peer, envelope, err) })
	})
	if !queued {
		e.step(keyagreement.ShareFailed{Parcel: w.Parcel})
		return
	}
	p.wrapping++
}

// wrapped sends a share: over a circuit to a member who is present, else by the mailbox. While the circuit has still to be
// made it goes both ways, the mailbox first: making one takes several round trips and handshakes and the mailbox one round
// trip, so it is there much sooner, and the second copy costs its recipient no work.
func (p *post) wrapped(parcel keyagreement.Parcel, to peer.ID, envelope []byte, err error) {
	p.wrapping--
	if err != nil {
		p.e.cfg.Log.Error("a share cannot be wrapped", "to", parcel.To, "err", err)
		p.e.step(keyagreement.ShareFailed{Parcel: parcel})
		return
	}
	l := letter{item: wire.MailItem{To: to, Kind: wire.KindShare, Payload: envelope}, parcel: parcel}
	l.mailed = p.e.relays.Ready() && !p.e.n.connected(to)
	if p.e.members.online[parcel.To] && p.circuits.carry(l) && !l.mailed {
		return
	}
	p.mail = append(p.mail, l)
}

// remail leaves in the mailbox what could not be brought, unless it went there at once.
func (p *post) remail(letters []letter) {
	for _, l := range letters {
		if !l.mailed {
			p.mail = append(p.mail, l)
		}
	}
}

// unwrap has an envelope opened; the machine gets the answer.
func (p *post) unwrap(u keyagreement.Unwrap) {
	e, ctx := p.e, p.e.ctx
	queued := e.n.pool.add(func() {
		if f := e.cfg.faults.unwrap; f != nil {
			f(u)
		}
		answer := keyagreement.OpenEnvelope(e.cfg.RSA, u)
		e.n.post(ctx, func(e *engine) { e.step(answer) })
	})
	if !queued {
		e.step(keyagreement.Unwrapped{Token: u.Token})
	}
}

// deposit leaves what waits in mailboxes, everything in as few requests as it fits into.
func (p *post) deposit() {
	if !p.e.relays.Ready() {
		if slices.ContainsFunc(p.mail, func(l letter) bool { return l.item.Kind == wire.KindShare }) {
			p.undeliverable()
		}
		return
	}
	for len(p.mail) > 0 {
		n, size := 0, 0
		for n < len(p.mail) && n < wire.MaxMailItems && (n == 0 || size+len(p.mail[n].item.Payload) <= depositBytes) {
			size += len(p.mail[n].item.Payload)
			n++
		}
		m := &wire.Deposit{Seq: p.e.relays.Number()}
		for _, l := range p.mail[:n] {
			m.Items = append(m.Items, l.item)
		}
		if !p.e.relays.Offer(m) {
			p.undeliverable()
			return
		}
		p.deposits[m.Seq] = deposit{p.mail[:n:n], time.Now().Add(depositTimeout)}
		p.mail = p.mail[n:]
	}
	p.mail = nil
}

// undeliverable gives the waiting shares back to the machine, which wraps them again later, and keeps the control mail
// for the next relay node.
func (p *post) undeliverable() {
	waiting := p.mail
	p.mail = nil
	p.returned(waiting)
}

func (p *post) returned(letters []letter) {
	for _, l := range letters {
		switch {
		case l.item.Kind == wire.KindShare:
			p.e.step(keyagreement.ShareFailed{Parcel: l.parcel})
		case len(p.mail) < maxMailWaiting:
			p.mail = append(p.mail, l)
		}
	}
}

// deposited takes in the relay node's answer to a deposit.
func (p *post) deposited(r *wire.DepositResult) {
	d, ok := p.deposits[r.Seq]
	if !ok || len(r.Verdicts) != len(d.letters) {
		return
	}
	delete(p.deposits, r.Seq)
	for i, l := range d.letters {
		v := r.Verdicts[i]
		if !v.Accepted() {
			p.e.cfg.Log.Warn("the relay node refuses mail", "to", p.e.roleOf(l.item.To), "kind", l.item.Kind, "verdict", v)
		}
		switch {
		case l.item.Kind != wire.KindShare:
		case v.Accepted():
			p.e.shareGone(ByMailbox, true, l)
			p.e.step(keyagreement.MailStored{Parcel: l.parcel})
		default:
			p.e.shareGone(ByMailbox, false, l)
			p.e.step(keyagreement.ShareFailed{Parcel: l.parcel})
		}
	}
}

// refused takes back a deposit that the relay node did not look at.
func (p *post) refused(seq uint64) {
	if d, ok := p.deposits[seq]; ok {
		delete(p.deposits, seq)
		p.returned(d.letters)
	}
}

// down takes back everything that the main link, which is gone, did not answer.
func (p *post) down() {
	for seq := range p.deposits {
		p.refused(seq)
	}
}

// tick takes back deposits that were never answered.
func (p *post) tick() {
	now := time.Now()
	for seq, d := range p.deposits {
		if !now.Before(d.until) {
			p.refused(seq)
		}
	}
	p.circuits.tick(now)
}

func (p *post) deadline() (due time.Time) {
	for _, d := range p.deposits {
		due = sooner(due, d.until)
	}
	return sooner(due, p.circuits.deadline())
}

// delivered takes in mail: shares and control batches, which the link has verified. It is acknowledged to the relay node
// that delivered it.
func (p *post) delivered(by *uplink.Relay, mails []uplink.Mail) {
	for _, m := range mails {
		done := func() { by.Acknowledge(m.ID) }
		switch {
		case m.Share != nil:
			if ref := p.e.refs.add(done); ref != 0 {
				p.e.shareCame(ByMailbox, p.e.roleOf(m.From), m.Share)
				p.e.step(keyagreement.Envelope{Ref: ref, Raw: m.Share})
			}
		case len(m.Control) > 0:
			p.e.members.hears(m.Signer, false)
			left := len(m.Control)
			for _, raw := range m.Control {
				ref := p.e.refs.add(func() {
					if left--; left == 0 {
						done()
					}
				})
				if ref != 0 {
					p.e.step(keyagreement.Control{Ref: ref, Raw: raw})
				}
			}
		default:
			done() // nothing that anybody could use
		}
	}
}
