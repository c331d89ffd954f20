// Package event is the door of the key agreement: what happens to its machine, and what it wants done.
//
// An Input says what happened, an Output what is to be done. They are plain values. What their order means, and what has to be
// durable before what, is said on the page of package keyagreement.
//
// It may be imported by node and its rooms.
package event

import (
	"fmt"
	"io"
	"time"

	"conclave/node/keyagreement/roster"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

// Parcel names one share on its way: contributor Of's share of an epoch, to member To.
type Parcel struct {
	Epoch wire.EpochID
	Of    wire.Role
	To    wire.Role
}

// Session is a completed epoch's keys and who made them.
type Session struct {
	// Number, ID and RosterVersion are the opening's.
	Number        uint64
	ID            wire.EpochID
	RosterVersion uint64
	// Transcript names the session.
	Transcript wire.Transcript
	// Contributors are those whose shares are in the key, in role order.
	Contributors []wire.Role
	// Members are all members of the epoch's roster in role order; a sender index of a frame points into it.
	Members []roster.Member
	// PRK is what every key of the session is expanded from.
	PRK share.Secret
	// Key is Kabc, the XOR of all shares: shown where a demonstration asks for it, never used as a key.
	Key share.Secret
	// Fingerprint is 16 hex digits, an expansion of PRK with a label of its own.
	Fingerprint string
}

// An Input is something that happened: one of the types below that say so.
type Input interface{ input() }

type (
	// Tick says that time passed; the driver gives one at Deadline.
	Tick struct{}
	// Control is a signed control message from the topic, the mailbox or a peer.
	Control struct {
		// Ref comes back in a Settled when this message needs no second delivery; 0 asks for none.
		Ref uint64
		Raw []byte
	}
	// Envelope is a share envelope from a share stream or the mailbox.
	Envelope struct {
		// Ref comes back in a Settled when this message needs no second delivery; 0 asks for none.
		Ref uint64
		Raw []byte
	}
	// Unwrapped answers an Unwrap: what envelope.Open returns.
	Unwrapped struct {
		Token     uint64
		Plaintext share.Share
		OK        bool
	}
	// RosterIs brings a newer verified roster.
	RosterIs struct{ Roster roster.Roster }
	// RelayUp says that a relay node is connected and authenticated, and names its database. The driver follows it with
	// Online for every member in the first presence hint and Offline for every other.
	RelayUp struct{ Database wire.DatabaseID }
	// RelayDown says that the relay node is gone.
	RelayDown struct{}
	// MailStored says that the mailbox holds a parcel durably.
	MailStored struct{ Parcel Parcel }
	// ShareDelivered says that the recipient itself took a parcel.
	ShareDelivered struct{ Parcel Parcel }
	// ShareFailed says that a parcel could be neither delivered nor stored now; the machine tries again later.
	ShareFailed struct{ Parcel Parcel }
	// Rekey asks for a new epoch: /rekey, or too many frames under the present one.
	Rekey struct{}
	// StartBehind says that this member's start number in a session is behind what it used before: its disk is an old one.
	StartBehind struct{ Transcript wire.Transcript }
	// SawBehind says that Role sends in a session under a start number lower than Start, which it used before. The driver
	// says so when the frames have verified; the machine tells the group.
	SawBehind struct {
		Transcript wire.Transcript
		Role       wire.Role
		Start      uint32
	}
	// Online is a hint that a member is reachable. Nothing about safety rests on it.
	Online struct{ Role wire.Role }
	// Offline is a hint that a member is away.
	Offline struct{ Role wire.Role }
)

// An Output is something to be done: one of the types below that say so.
type Output interface{ output() }

type (
	// Persist stores Value under Key. The value may hold secrets.
	Persist struct {
		Key   string
		Value []byte
	}
	// Erase removes a key for good.
	Erase struct{ Key string }
	// Broadcast publishes a signed control message on the topic and, when Absent, leaves it in the mailboxes of members
	// who are away.
	Broadcast struct {
		Raw    []byte
		Absent bool
	}
	// Wrap asks for a share to be sealed (envelope.Seal) and brought to Parcel.To: by stream if that member answers, else
	// by the mailbox. The driver answers with ShareDelivered, MailStored or ShareFailed.
	Wrap struct {
		Parcel       Parcel
		Plaintext    share.Share
		Label        []byte // OAEP label: group, roster hash, epoch, Of, To
		Opening      []byte // goes into the envelope as it is
		Announcement []byte // goes into the envelope as it is

		Group wire.GroupID // goes into the envelope
	}
	// Unwrap asks for an envelope to be opened (envelope.Open); the answer is an Unwrapped with the same token.
	Unwrap struct {
		Token      uint64
		Ciphertext []byte
		Label      []byte
	}
	// Completed brings a session's keys, once: the driver derives the frame state from them in the same transaction.
	Completed struct{ Session Session }
	// Use names the session to send under from now on.
	Use struct{ Transcript wire.Transcript }
	// Hold says that there is no session to send under: messages queue.
	Hold struct{}
	// Forget says that a session's keys are to be erased.
	Forget struct{ Transcript wire.Transcript }
	// Confirmed says that a member holds a session's key.
	Confirmed struct {
		Epoch      wire.EpochID
		Transcript wire.Transcript
		Role       wire.Role
	}
	// Evidence is two announcements signed by one member for one epoch: that member cheats.
	Evidence struct {
		Role wire.Role
		A, B []byte
	}
	// NeedRoster asks the driver to fetch a roster of at least this version.
	NeedRoster struct{ Version uint64 }
	// OfferRoster asks the driver to send the newest roster to a member that has an older one.
	OfferRoster struct{ To wire.Role }
	// ToldBehind says that By claims this member's start number in a session is below Start. The driver compares and
	// gives StartBehind if it is true.
	ToldBehind struct {
		Transcript wire.Transcript
		Start      uint32
		By         wire.Role
	}
	// Settled says that the input of this Ref needs no second delivery: a mailbox may be told to delete it.
	Settled struct{ Ref uint64 }
	// Note is a line for the debug view; it holds no secret.
	Note struct {
		Text string
		Role wire.Role // whom it is about, or empty
	}
)

func (Tick) input()           {}
func (Control) input()        {}
func (Envelope) input()       {}
func (Unwrapped) input()      {}
func (RosterIs) input()       {}
func (RelayUp) input()        {}
func (RelayDown) input()      {}
func (MailStored) input()     {}
func (ShareDelivered) input() {}
func (ShareFailed) input()    {}
func (Rekey) input()          {}
func (StartBehind) input()    {}
func (SawBehind) input()      {}
func (Online) input()         {}
func (Offline) input()        {}

func (Persist) output()     {}
func (Erase) output()       {}
func (Broadcast) output()   {}
func (Wrap) output()        {}
func (Unwrap) output()      {}
func (Completed) output()   {}
func (Use) output()         {}
func (Hold) output()        {}
func (Forget) output()      {}
func (Confirmed) output()   {}
func (Evidence) output()    {}
func (NeedRoster) output()  {}
func (OfferRoster) output() {}
func (ToldBehind) output()  {}
func (Settled) output()     {}
func (Note) output()        {}

// Format prints the key and hides the value, which may hold secrets, whatever the verb.
func (p Persist) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "persist "+p.Key) }

// EpochView is what a debug window may show of an epoch. It holds no share, no key and nothing made from one but the
// commitments, which hide the shares behind random blinds, and the transcript.
type EpochView struct {
	Number        uint64
	ID            wire.EpochID
	Previous      wire.EpochID // zeros for none
	Opener        wire.Role
	RosterVersion uint64
	Seen          time.Time // when its opening came here first
	Parts         []PartView
	// Complete says that the session of this epoch is here, named by Transcript.
	Complete   bool
	Transcript wire.Transcript
	Completed  time.Time
	Confirmed  []wire.Role // who has proved to hold the key, in role order
	// GivenUp says that a contributor was silent for too long: nobody here waits for this epoch any more.
	GivenUp bool
	// Erased says that the shares are gone, because everybody has the key.
	Erased bool
}

// PartView is one contributor's part of an epoch.
type PartView struct {
	Role       wire.Role
	Instance   wire.Instance
	Announced  bool
	Commitment [32]byte // zeros until announced
	// Share says that the contributor's share is or was here and matches its commitment.
	Share bool
}
