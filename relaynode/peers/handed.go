package peers

import (
	"context"
	"slices"
	"sync"

	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// maxHanded is how many mails of other relay nodes wait for one member's acknowledgement. What comes on top is not handed
// on; it stays where it lies and is forwarded again.
const maxHanded = 4096

// forwarded hands mail that lies at another relay node to members that are here. None of it is stored: who deposited it
// is that relay node's word, and a store could be filled with it.
func (l *link) forwarded(ctx context.Context, mails []wire.ForwardedMail) {
	size := 0
	for _, m := range mails {
		size += len(m.Payload)
	}
	if !l.loop.Rates.Bring(ctx, size) {
		l.p.cfg.Count(dropForward, len(mails))
		return
	}
	roster := l.p.cfg.Roster()
	for first := 0; first < len(mails); {
		to, group := mails[first].To, []wire.Mail(nil)
		for first < len(mails) && mails[first].To == to {
			m := mails[first]
			first++
			if _, _, ok := roster.MemberByPeer(m.From); !ok || len(m.Payload) > m.Kind.MaxPayload() {
				l.p.cfg.Count(dropForward, 1)
				continue
			}
			group = append(group, wire.Mail{From: m.From, Kind: m.Kind, Payload: m.Payload})
		}
		if m, here := l.p.cfg.Members.Session(to); !here || len(group) == 0 || !l.handOn(m, to, group) {
			l.p.cfg.Count(dropForward, len(group))
		}
	}
}

// handOn hands mail that lies at this relay node to a member that is here, if there is room.
func (l *link) handOn(m Member, to peer.ID, mails []wire.Mail) bool {
	if !m.Handed().add(l, to, mails) || m.Offer(&wire.Delivery{Mails: mails}) != nil {
		return false
	}
	l.p.log.Debug("mail of another relay node handed on", "to", l.p.roleOf(to), "relay", l.name, "count", len(mails))
	return true
}

// ForeignMail is the mail of other relay nodes that was handed on in one member's session and not acknowledged: where to pass its
// word on. The zero value is ready for use.
type ForeignMail struct {
	mu sync.Mutex
	at map[wire.MailID]*link // guarded by mu
}

// add notes mail that a relay node has for a member, and reports whether there is room.
func (h *ForeignMail) add(l *link, to peer.ID, mails []wire.Mail) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.at)+len(mails) > maxHanded {
		return false
	}
	if h.at == nil {
		h.at = make(map[wire.MailID]*link)
	}
	for _, mail := range mails {
		h.at[wire.MailIDOf(mail.From, to, mail.Kind, mail.Payload)] = l
	}
	return true
}

// Acknowledge passes a member's acknowledgement on to the relay nodes where that mail lies.
func (h *ForeignMail) Acknowledge(by peer.ID, ids []wire.MailID) {
	at := make(map[*link][]wire.MailID)
	h.mu.Lock()
	for _, id := range ids {
		if l := h.at[id]; l != nil {
			at[l] = append(at[l], id)
			delete(h.at, id)
		}
	}
	h.mu.Unlock()
	for l, own := range at {
		for part := range slices.Chunk(own, wire.MaxMailItems) {
			_ = l.conn.Offer(&wire.Collected{By: by, IDs: part}) // lost, it is forwarded and acknowledged again
		}
	}
}
