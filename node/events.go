package node

import (
	"time"

	"conclave/node/reach"
	"conclave/node/uplink"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Event is something that a screen may want to show. The concrete types are those of this file; a type switch over
// them is how one is read. Every one carries the time at which this member learned of it.
type Event interface {
	// When returns the time at which the event happened here.
	When() time.Time
}

// At is the time of an event; every event embeds it.
type At struct{ Time time.Time }

// When returns the time at which the event happened here.
func (a At) When() time.Time { return a.Time }

// SessionKey says that an epoch is complete here: this member holds its Kabc.
type SessionKey struct {
	At
	Epoch        uint64
	ID           wire.EpochID
	Transcript   wire.Transcript
	Fingerprint  string
	Contributors []wire.Role
	// Resumed is set for a session that was found in the state file, not agreed on by this process.
	Resumed bool
	// Key is Kabc itself. It prints as a placeholder; Reveal is for the demonstration that asks for it.
	Key Key
}

// Using says under which session this member sends from now on.
type Using struct {
	At
	Epoch      uint64
	Transcript wire.Transcript
}

// Held says that sending waits for a new epoch, because a member that could read the present one was removed.
type Held struct{ At }

// Confirmed says that a member has proved to hold an epoch's key.
type Confirmed struct {
	At
	Epoch uint64
	ID    wire.EpochID
	Role  wire.Role
}

// Message is a chat message of another member. Those of one sender come in the order in which they were sent.
type Message struct {
	At
	From  wire.Role
	ID    wire.MessageID
	Text  string
	Sent  time.Time
	Epoch uint64
	// Late is set when the message arrived after it had been reported as part of a Gap.
	Late bool
}

// State says how far a message of this member has come.
type State string

// The states of a sent message, in their order.
const (
	// Queued: it is in this member's outbox, on disk, or already with a relay node.
	Queued State = "queued"
	// Relayed: a relay node has stored it durably.
	Relayed State = "relay"
	// Delivered: the members named in By have shown it.
	Delivered State = "delivered"
)

// Sent says that a message of this member has come further.
type Sent struct {
	At
	ID    wire.MessageID
	State State
	// By lists, with Delivered, all who have acknowledged so far, in role order.
	By []wire.Role
	// Text is the message itself, with Queued only.
	Text string
}

// Path is how a member is reached.
type Path = reach.Path

// The paths.
const (
	ViaRelay = reach.ViaRelay
	Direct   = reach.Direct
	ViaLAN   = reach.ViaLAN
)

// Peer says that a member came or went, as far as a relay node tells or a connection of its own shows, or that it is
// reached in another way than before.
type Peer struct {
	At
	Role   wire.Role
	Online bool
	Path   Path
	// Reason says why it is reached so: what made the direct connection possible, or what keeps it from being made.
	Reason string
}

// LinkState is how far the connection to a relay node has come.
type LinkState = uplink.State

// The states of a link.
const (
	Connecting    = uplink.Connecting
	Authenticated = uplink.Authenticated
	Ready         = uplink.Ready
	Down          = uplink.Down
)

// Link says that the connection to a relay node changed.
type Link struct {
	At
	Relay  peer.ID
	State  LinkState
	Reason string
}

// Gap says that messages of a member are missing and cannot be fetched any more.
type Gap struct {
	At
	From  wire.Role
	Epoch uint64
	// Frames is how many frames are missing. Not every frame is a message; some are acknowledgements.
	Frames uint64
}

// RosterChanged says that a newer roster is in force.
type RosterChanged struct {
	At
	Version uint64
	Expires time.Time
	Added   []wire.Role
	Removed []wire.Role
}

// Evidence says that a member signed two announcements for one epoch, which only a cheat does.
type Evidence struct {
	At
	Role wire.Role
}

// Problem is something that a person should know of and that no other event says.
type Problem struct {
	At
	Text string
	Hint string
}

// Note is a line for a debug window: what the key agreement and the carriers do.
type Note struct {
	At
	Text string
}

// Lagged says that this subscription was too slow: the named number of events was dropped before the next one.
type Lagged struct {
	At
	Events uint64
}
