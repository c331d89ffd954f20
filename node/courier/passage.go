package courier

import (
	"crypto/sha256"

	"conclave/overlay"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// gone tells what became of letters on their way to one member; others than shares are left out.
func (c *Courier) gone(way Way, ok bool, letters ...letter) {
	for _, l := range letters {
		if l.item.Kind != wire.KindShare {
			continue
		}
		c.cfg.Passed(Passage{
			Epoch: l.parcel.Epoch, Of: l.parcel.Of, Peer: l.parcel.To, Way: way, OK: ok, Bytes: len(l.item.Payload),
		})
	}
}

// came tells that an envelope arrived. Whether it is any good the key agreement says.
func (c *Courier) came(way Way, from wire.Role, raw []byte) {
	ev := Passage{Peer: from, Way: way, Received: true, Bytes: len(raw)}
	if s, err := wire.UnmarshalSigned(raw); err == nil && s.Type == wire.SignedEnvelope {
		if p, err := wire.UnmarshalEnvelope(s.Payload); err == nil {
			if o, err := wire.UnmarshalSigned(p.Opening); err == nil {
				ev.Epoch = sha256.Sum256(o.Payload)
			}
			ev.Of = announcer(p.Announcement)
		}
	}
	c.cfg.Passed(ev)
}

// announcer returns who made an announcement, as it says itself.
func announcer(raw []byte) wire.Role {
	s, err := wire.UnmarshalSigned(raw)
	if err != nil || s.Type != wire.SignedAnnouncement {
		return ""
	}
	a, err := wire.UnmarshalAnnouncement(s.Payload)
	if err != nil {
		return ""
	}
	return a.Role
}

// wayTo returns how streams to a peer go at this moment.
func (c *Courier) wayTo(p peer.ID) Way {
	if overlay.Direct(c.host, p) {
		return ByDirect
	}
	return ByCircuit
}
