package node

import (
	"crypto/sha256"
	"time"

	"conclave/node/uplink"
	"conclave/overlay"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// The events of this file are for a debug window: how a thing was done, beside the events that say that it was.

// LinkStep is one step on the way to a link that carries everything.
type LinkStep struct {
	At
	Relay peer.ID
	Step  Step
	// Detail is the technical side of it, in words: addresses, protocols, versions. It holds no secret.
	Detail string
}

// Step names a LinkStep.
type Step = uplink.Step

// The steps of a link, in their usual order.
const (
	StepDialled   = uplink.StepDialled
	StepHandshake = uplink.StepHandshake
	StepTopic     = uplink.StepTopic
	StepReserved  = uplink.StepReserved
	StepNoSlot    = uplink.StepNoSlot
)

// Way is how a share travels.
type Way string

// The ways of a share.
const (
	ByCircuit Way = "circuit" // a stream over a circuit through the relay node
	ByDirect  Way = "direct"  // a stream over a connection of its own
	ByMailbox Way = "mailbox" // left at the relay node, or fetched from it
)

// ShareEvent says that a share, wrapped to its recipient's RSA key, came or went.
type ShareEvent struct {
	At
	Epoch wire.EpochID
	Of    wire.Role // whose share it is
	Peer  wire.Role // whom it goes to, or who handed it over ("?": not in the roster)
	Way   Way
	// Received says that it came; else it went.
	Received bool
	// OK says, of one that went, that the other side or its mailbox holds it durably. It is tried again otherwise.
	OK bool
	// Bytes is the size of the sealed envelope.
	Bytes int
}

// Sealed says that messages of this member were sealed into one batch and published.
type Sealed struct {
	At
	IDs   []wire.MessageID
	Batch wire.BatchID
	Epoch uint64
	Bytes int // of the whole batch
	// Again says that the relay node did not acknowledge the batch in time: it went over the session stream.
	Again bool
}

// Refused says that the relay node will not store messages for now. They stay in the outbox and are tried again.
type Refused struct {
	At
	IDs    []wire.MessageID
	Reason string
}

// shareGone tells what became of letters on their way to one member; others than shares are left out.
func (e *engine) shareGone(way Way, ok bool, letters ...letter) {
	for _, l := range letters {
		if l.item.Kind != wire.KindShare {
			continue
		}
		e.publish(ShareEvent{
			At: e.at(), Epoch: l.parcel.Epoch, Of: l.parcel.Of, Peer: l.parcel.To, Way: way, OK: ok, Bytes: len(l.item.Payload),
		})
	}
}

// shareCame tells that an envelope arrived. Whether it is any good the key agreement says.
func (e *engine) shareCame(way Way, from wire.Role, raw []byte) {
	ev := ShareEvent{At: e.at(), Peer: from, Way: way, Received: true, Bytes: len(raw)}
	if s, err := wire.UnmarshalSigned(raw); err == nil && s.Type == wire.SignedEnvelope {
		if p, err := wire.UnmarshalEnvelope(s.Payload); err == nil {
			if o, err := wire.UnmarshalSigned(p.Opening); err == nil {
				ev.Epoch = sha256.Sum256(o.Payload)
			}
			ev.Of = announcer(p.Announcement)
		}
	}
	e.publish(ev)
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
func (n *Node) wayTo(p peer.ID) Way {
	if overlay.Direct(n.host, p) {
		return ByDirect
	}
	return ByCircuit
}

// flown tells that a batch was published, or given to the relay node again.
func (o *outbox) flown(s *sealed, again bool) {
	if len(s.texts) == 0 {
		return
	}
	o.e.publish(Sealed{At: o.e.at(), IDs: s.messages(), Batch: s.id, Epoch: s.chat.about.Number, Bytes: len(s.data), Again: again})
}

// messages returns the IDs of what a batch holds beside acknowledgements.
func (s *sealed) messages() []wire.MessageID {
	ids := make([]wire.MessageID, len(s.texts))
	for i, m := range s.texts {
		ids[i] = m.ID
	}
	return ids
}

// hurry gives everything that no relay node has acknowledged to the relay node at once.
func (o *outbox) hurry() {
	for _, s := range o.flying {
		s.due = time.Now()
	}
}
