package courier

import (
	"crypto/ed25519"
	"slices"
	"time"

	"conclave/node/deadline"
	"conclave/node/keyagreement/envelope"
	"conclave/node/keyagreement/event"
	"conclave/overlay/batch"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxBroadcasts bounds the control messages that wait for somebody to hear them. The oldest go first: the key agreement
	// repeats what matters.
	maxBroadcasts = 512
	// depositTimeout is how long the answer to a deposit is waited for.
	depositTimeout = 30 * time.Second
	// depositBytes is how much one deposit carries at most.
	depositBytes = wire.MaxSessionMessage / 2
	// maxMailWaiting bounds the control mail that waits for a relay node.
	maxMailWaiting = 1024
)

// letter is one item on its way into a mailbox. parcel says which share it is, for a share.
type letter struct {
	item   wire.MailItem
	parcel event.Parcel
	mailed bool // it goes into the mailbox whatever becomes of its circuit
}

// deposit is one that was not answered yet.
type deposit struct {
	letters []letter
	until   time.Time
}

// Broadcast queues a control message.
func (c *Courier) Broadcast(b event.Broadcast) {
	if len(c.broadcasts) >= maxBroadcasts {
		c.broadcasts = c.broadcasts[1:]
	}
	c.broadcasts = append(c.broadcasts, b)
}

// Settle sends what has gathered.
func (c *Courier) Settle() {
	c.publish()
	if c.wrapping == 0 || len(c.mail) >= wire.MaxMailItems/2 {
		c.deposit()
	}
	c.cfg.Relays.Acknowledge()
}

// publish sends the waiting control messages in as few batches as they fit into. Those for absent members too go into
// batches of their own, which are also left in the mailboxes.
func (c *Courier) publish() {
	if len(c.broadcasts) == 0 || !c.cfg.Relays.Ready() && !c.topic.Reaches() {
		return
	}
	waiting := c.broadcasts
	c.broadcasts = nil
	for _, absent := range []bool{false, true} {
		var items [][]byte
		size := wire.BatchOverhead
		for _, b := range waiting {
			if b.Absent != absent {
				continue
			}
			if len(items) == wire.MaxBatchItems || size+wire.BatchItemOverhead+len(b.Raw) > wire.MaxBatch {
				c.send(items, absent)
				items, size = nil, wire.BatchOverhead
			}
			items = append(items, b.Raw)
			size += wire.BatchItemOverhead + len(b.Raw)
		}
		if len(items) > 0 {
			c.send(items, absent)
		}
	}
}

// send publishes one control batch.
func (c *Courier) send(items [][]byte, absent bool) {
	data, err := batch.Sign(c.cfg.Identity, c.cfg.TopicName, wire.BatchControl, items)
	if err != nil {
		c.cfg.Log.Error("a control batch cannot be signed", "err", err)
		return
	}
	if err := c.topic.PublishNow(c.ctx, data); err != nil {
		c.cfg.Log.Debug("publishing a control batch", "err", err)
	}
	if !absent {
		return
	}
	for _, m := range c.cfg.Roster().Members {
		if m.Role == c.cfg.Self || c.cfg.Presence.Listens(m.Role) || len(c.mail) >= maxMailWaiting {
			continue
		}
		c.mail = append(c.mail, letter{item: wire.MailItem{To: m.Peer, Kind: wire.KindControl, Payload: data}})
	}
}

// Wrap has a share wrapped and then sent.
func (c *Courier) Wrap(w event.Wrap) {
	to, ok := c.cfg.Roster().Member(w.Parcel.To)
	if !ok {
		c.cfg.Step(event.ShareFailed{Parcel: w.Parcel})
		return
	}
	from := [32]byte(c.cfg.Identity.Public().(ed25519.PublicKey))
	sign := func(message []byte) []byte { return ed25519.Sign(c.cfg.Identity, message) }
	queued := c.pool.addQuick(func() {
		envelope, err := envelope.Seal(c.cfg.Rand, to.RSA, from, sign, w)
		c.cfg.Post(c.ctx, func() { c.wrapped(w.Parcel, to.Peer, envelope, err) })
	})
	if !queued {
		c.cfg.Step(event.ShareFailed{Parcel: w.Parcel})
		return
	}
	c.wrapping++
}

// wrapped sends a share: over a circuit to a member who is present, else by the mailbox. While the circuit has still to be
// made it goes both ways, the mailbox first: making one takes several round trips and handshakes and the mailbox one round
// trip, so it is there much sooner, and the second copy costs its recipient no work.
func (c *Courier) wrapped(parcel event.Parcel, to peer.ID, envelope []byte, err error) {
	c.wrapping--
	if err != nil {
		c.cfg.Log.Error("a share cannot be wrapped", "to", parcel.To, "err", err)
		c.cfg.Step(event.ShareFailed{Parcel: parcel})
		return
	}
	l := letter{item: wire.MailItem{To: to, Kind: wire.KindShare, Payload: envelope}, parcel: parcel}
	l.mailed = c.cfg.Relays.Ready() && !c.connected(to)
	if c.cfg.Presence.Online(parcel.To) && c.carry(l) && !l.mailed {
		return
	}
	c.mail = append(c.mail, l)
}

// remail leaves in the mailbox what could not be brought, unless it went there at once.
func (c *Courier) remail(letters []letter) {
	for _, l := range letters {
		if !l.mailed {
			c.mail = append(c.mail, l)
		}
	}
}

// Unwrap has an envelope opened; the key agreement gets the answer.
func (c *Courier) Unwrap(u event.Unwrap) {
	queued := c.pool.add(func() {
		answer := c.cfg.Open(u)
		c.cfg.Post(c.ctx, func() { c.cfg.Step(answer) })
	})
	if !queued {
		c.cfg.Step(event.Unwrapped{Token: u.Token})
	}
}

// deposit leaves what waits in mailboxes, everything in as few requests as it fits into.
func (c *Courier) deposit() {
	if !c.cfg.Relays.Ready() {
		if slices.ContainsFunc(c.mail, func(l letter) bool { return l.item.Kind == wire.KindShare }) {
			c.undeliverable()
		}
		return
	}
	for len(c.mail) > 0 {
		n, size := 0, 0
		for n < len(c.mail) && n < wire.MaxMailItems && (n == 0 || size+len(c.mail[n].item.Payload) <= depositBytes) {
			size += len(c.mail[n].item.Payload)
			n++
		}
		m := &wire.Deposit{Seq: c.cfg.Relays.Number()}
		for _, l := range c.mail[:n] {
			m.Items = append(m.Items, l.item)
		}
		if !c.cfg.Relays.Offer(m) {
			c.undeliverable()
			return
		}
		c.deposits[m.Seq] = deposit{c.mail[:n:n], time.Now().Add(depositTimeout)}
		c.mail = c.mail[n:]
	}
	c.mail = nil
}

// undeliverable gives the waiting shares back to the key agreement, which wraps them again later, and keeps the control mail
// for the next relay node.
func (c *Courier) undeliverable() {
	waiting := c.mail
	c.mail = nil
	c.returned(waiting)
}

func (c *Courier) returned(letters []letter) {
	for _, l := range letters {
		switch {
		case l.item.Kind == wire.KindShare:
			c.cfg.Step(event.ShareFailed{Parcel: l.parcel})
		case len(c.mail) < maxMailWaiting:
			c.mail = append(c.mail, l)
		}
	}
}

// Deposited takes in the relay node's answer to a deposit.
func (c *Courier) Deposited(r *wire.DepositResult) {
	d, ok := c.deposits[r.Seq]
	if !ok || len(r.Verdicts) != len(d.letters) {
		return
	}
	delete(c.deposits, r.Seq)
	for i, l := range d.letters {
		v := r.Verdicts[i]
		if !v.Accepted() {
			c.cfg.Log.Warn("the relay node refuses mail", "to", c.roleOf(l.item.To), "kind", l.item.Kind, "verdict", v)
		}
		switch {
		case l.item.Kind != wire.KindShare:
		case v.Accepted():
			c.gone(ByMailbox, true, l)
			c.cfg.Step(event.MailStored{Parcel: l.parcel})
		default:
			c.gone(ByMailbox, false, l)
			c.cfg.Step(event.ShareFailed{Parcel: l.parcel})
		}
	}
}

// Refused takes back a deposit that the relay node did not look at.
func (c *Courier) Refused(seq uint64) {
	if d, ok := c.deposits[seq]; ok {
		delete(c.deposits, seq)
		c.returned(d.letters)
	}
}

// RelayDown takes back everything that the main relay node, which is gone, did not answer.
func (c *Courier) RelayDown() {
	for seq := range c.deposits {
		c.Refused(seq)
	}
}

// Tick takes back deposits that were never answered.
func (c *Courier) Tick() {
	now := time.Now()
	for seq, d := range c.deposits {
		if !now.Before(d.until) {
			c.Refused(seq)
		}
	}
	c.tickCircuits(now)
}

// Deadline returns when Tick has something to do; zero: not before something happens.
func (c *Courier) Deadline() (due time.Time) {
	for _, d := range c.deposits {
		due = deadline.Sooner(due, d.until)
	}
	return deadline.Sooner(due, c.circuits.check)
}

// Mail is one mail: a share, or control messages whose batch verified, or neither.
type Mail struct {
	ID      wire.MailID
	From    peer.ID // as the relay node says
	Share   []byte
	Control [][]byte
	Signer  ed25519.PublicKey // of Control
}

// Delivered takes in mail. acknowledge is called for each that is not needed again.
func (c *Courier) Delivered(mails []Mail, acknowledge func(wire.MailID)) {
	for _, m := range mails {
		done := func() { acknowledge(m.ID) }
		switch {
		case m.Share != nil:
			if ref := c.refs.add(done); ref != 0 {
				c.came(ByMailbox, c.roleOf(m.From), m.Share)
				c.cfg.Step(event.Envelope{Ref: ref, Raw: m.Share})
			}
		case len(m.Control) > 0:
			c.cfg.Presence.Heard(m.Signer)
			left := len(m.Control)
			for _, raw := range m.Control {
				ref := c.refs.add(func() {
					if left--; left == 0 {
						done()
					}
				})
				if ref != 0 {
					c.cfg.Step(event.Control{Ref: ref, Raw: raw})
				}
			}
		default:
			done() // nothing that anybody could use
		}
	}
}
