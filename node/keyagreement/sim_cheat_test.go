package keyagreement

import (
	"crypto/sha256"
	"math"
	"time"

	"conclave/node/keyagreement/envelope"
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

// cheatKind is how a member cheats.
type cheatKind int

const (
	honest       cheatKind = iota
	equivocating           // announces one share to some and another to the others, and worse
	storming               // opens and asks without end
	mute                   // asks without end and never contributes
)

// altWorld is what an equivocating member tells some of the others.
type altWorld struct {
	share share.Share
	raw   []byte
	to    map[wire.Role]bool
}

func hash256(b []byte) [32]byte { return sha256.Sum256(b) }

func (n *node) signAs(typ wire.SignedType, payload []byte) []byte {
	return envelope.Sign(n.w.group, n.member.Identity, func(b []byte) []byte { return simSign(n.member.Identity, b) }, typ, payload)
}

// cheatBroadcast may replace what a cheat's machine publishes; true if it did.
func (n *node) cheatBroadcast(o event.Broadcast) bool {
	w := n.w
	s, err := wire.UnmarshalSigned(o.Raw)
	if err != nil {
		return false
	}
	switch {
	case n.cheat == mute:
		return s.Type == wire.SignedAnnouncement || s.Type == wire.SignedConfirmation || s.Type == wire.SignedOpening
	case n.cheat == storming:
		n.history = append(n.history, o.Raw)
		return false
	case s.Type == wire.SignedAnnouncement && s.Signer == n.member.Identity && w.chance(0.6):
		p, _ := wire.UnmarshalAnnouncement(s.Payload)
		if n.alt[p.Epoch] != nil {
			return false
		}
		a := &altWorld{to: map[wire.Role]bool{}}
		a.share, _ = share.Draw(w.bytes)
		p.Commitment = share.Commitment(p.Epoch, n.role, a.share)
		a.raw = n.signAs(wire.SignedAnnouncement, p.Marshal())
		n.alt[p.Epoch] = a
		w.oracle.split[p.Epoch] = true
		w.fault("equivocation")
		for _, to := range w.nodes {
			if to == n {
				continue
			}
			raw := o.Raw
			if w.chance(0.5) {
				a.to[to.role] = true
				raw = a.raw
			}
			if to.linked && to.m != nil {
				w.carry(to, raw)
			} else {
				w.post(to.role, raw, false)
			}
		}
		return true
	case s.Type == wire.SignedConfirmation && s.Signer == n.member.Identity:
		n.cheatConfirmation(s)
		return w.chance(0.5)
	}
	return false
}

// cheatConfirmation confirms without the key, in its own name and in others'.
func (n *node) cheatConfirmation(s wire.Signed) {
	w := n.w
	p, _ := wire.UnmarshalConfirmation(s.Payload)
	if w.chance(0.3) {
		w.fault("confirmation with a wrong MAC")
		_, _ = w.bytes.Read(p.Transcript[:])
		q := p
		for t, x := range w.oracle.keys { // somebody's transcript that this member may not hold
			if x.ID == p.Epoch {
				q.Transcript = t
			}
		}
		q.MAC[0] ^= 1
		w.publish(n, event.Broadcast{Raw: n.signAs(wire.SignedConfirmation, q.Marshal())})
	}
	if w.chance(0.5) {
		other := w.nodes[w.rng.IntN(len(w.nodes))]
		e := n.m.byID[p.Epoch]
		if other == n || e == nil || e.session == nil {
			return
		}
		// It holds the key, so the MAC is right; the signature it cannot make.
		w.fault("forged confirmation")
		q := wire.Confirmation{
			Group: p.Group, Epoch: p.Epoch, Role: other.role, Transcript: e.session.transcript, Announcements: p.Announcements,
			MAC: share.ConfirmMAC(e.session.confirm, e.session.transcript, other.role),
		}
		forged := wire.Signed{Type: wire.SignedConfirmation, Signer: other.member.Identity, Payload: q.Marshal()}
		w.publish(n, event.Broadcast{Raw: forged.Marshal()})
	}
}

// cheatWrap may change or drop a share on its way.
func (n *node) cheatWrap(o *event.Wrap) bool {
	w := n.w
	if n.cheat == mute {
		return true
	}
	if n.cheat != equivocating || o.Parcel.Of != n.role {
		return false
	}
	if a := n.alt[o.Parcel.Epoch]; a != nil && a.to[o.Parcel.To] {
		o.Plaintext, o.Announcement = a.share, a.raw
	} else if w.chance(0.15) {
		w.fault("share against its commitment")
		bad := [64]byte(o.Plaintext.Bytes())
		bad[0] ^= 1
		o.Plaintext = share.Of(bad)
	} else if w.chance(0.1) {
		w.fault("share withheld")
		return true
	}
	return false
}

// storm does one more thing that nobody asked for.
func (n *node) storm() {
	w := n.w
	if n.m == nil || !n.linked || !w.relayUp || n.m.self < 0 {
		return
	}
	switch pick := w.rng.IntN(10); {
	case n.cheat == mute || pick < 2:
		w.fault("request storm")
		n.m.Now = n.clock()
		n.m.sendRequest(true)
		for _, o := range n.m.take() {
			if b, ok := o.(event.Broadcast); ok {
				w.publish(n, b)
			}
		}
	case pick < 8:
		n.stormOpening(pick)
	case len(n.history) > 0:
		w.fault("replay")
		w.publish(n, event.Broadcast{Raw: n.history[w.rng.IntN(len(n.history))]})
	}
}

// stormOpening publishes one or two openings that answer no request.
func (n *node) stormOpening(pick int) {
	w := n.w
	r := n.roster
	p := wire.Opening{
		Group: w.group, RosterVersion: r.Version, RosterHash: r.Hash, Number: uint64(n.clock().UnixMilli()), Opener: n.role,
	}
	old := w.chance(0.3)
	if old {
		w.fault("opening for a past instance")
	}
	for _, m := range r.Members {
		past := w.oracle.instances[m.Role]
		if len(past) == 0 || m.Role != n.role && w.chance(0.2) {
			continue
		}
		at := len(past) - 1
		if old && m.Role != n.role {
			at = w.rng.IntN(len(past))
		}
		p.Contributors = append(p.Contributors, wire.Contributor{Role: m.Role, Instance: past[at]})
	}
	switch {
	case pick == 2:
		w.fault("number far ahead")
		p.Number += uint64(time.Hour.Milliseconds())
	case pick == 3 && w.chance(0.2):
		w.fault("number far ahead")
		p.Number = math.MaxUint64
	case pick < 6:
		w.fault("number at the limit")
		p.Number = max(p.Number+uint64(30*time.Second.Milliseconds()), n.m.highest+1)
	}
	twice := pick == 5
	for range 2 {
		_, _ = w.bytes.Read(p.Nonce[:])
		raw := n.signAs(wire.SignedOpening, p.Marshal())
		w.fault("opening storm")
		w.publish(n, event.Broadcast{Raw: raw})
		n.later(0, func() { n.input(event.Control{Raw: raw}) })
		if !twice {
			return
		}
		w.fault("two openings of one number")
		if len(p.Contributors) > 2 && w.chance(0.5) {
			for i, c := range p.Contributors {
				if c.Role != n.role {
					p.Contributors = append(p.Contributors[:i:i], p.Contributors[i+1:]...)
					break
				}
			}
		}
	}
}
