package node

import (
	"conclave/node/courier"
	"conclave/node/uplink"
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
type Way = courier.Way

// The ways of a share.
const (
	ByCircuit = courier.ByCircuit
	ByDirect  = courier.ByDirect
	ByMailbox = courier.ByMailbox
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
