package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
)

// MessageType is the byte that says which message a session or share stream carries next.
type MessageType byte

// The message types (SPEC.md sections 4 and 5). The body that follows each is protobuf, named as in session.proto.
const (
	TypeHello         MessageType = 0x01 // member to relay node, first
	TypeHelloReply    MessageType = 0x02 // relay node to member, second
	TypeFinish        MessageType = 0x03 // member to relay node, third
	TypeRefusal       MessageType = 0x04 // either way, at any time
	TypeRosterUpdate  MessageType = 0x05 // either way
	TypePresence      MessageType = 0x06 // relay node to member
	TypeDeposit       MessageType = 0x10 // member to relay node
	TypeDepositResult MessageType = 0x11 // relay node to member
	TypeDelivery      MessageType = 0x12 // relay node to member
	TypeDeliveryAck   MessageType = 0x13 // member to relay node
	TypeForward       MessageType = 0x14 // relay node to relay node
	TypeCollected     MessageType = 0x15 // relay node to relay node
	TypeStore         MessageType = 0x20 // member to relay node
	TypeStored        MessageType = 0x21 // relay node to member
	TypeHeads         MessageType = 0x22 // relay node to member
	TypeFetch         MessageType = 0x23 // member to relay node
	TypeFetched       MessageType = 0x24 // relay node to member
	TypeCopied        MessageType = 0x25 // relay node to relay node
	TypePing          MessageType = 0x30 // either way
	TypePong          MessageType = 0x31 // either way
	TypeShareMessage  MessageType = 0x40 // member to member, on the share stream
	TypeShareReply    MessageType = 0x41 // member to member, on the share stream
)

// Specification constants of the session and share streams (SPEC.md section 8).
const (
	// SessionVersion is the version of the session protocol that a hello names and signs.
	SessionVersion = 1
	// MaxRosterEnvelope is the largest signed roster in bytes that a message carries.
	MaxRosterEnvelope = 2 << 20
	// MaxCertificate is the largest DER certificate in bytes that a message carries.
	MaxCertificate = 8 << 10
	// MaxHello bounds the body of a hello and of its reply: certificate, roster and 1 KiB for everything else.
	MaxHello = MaxCertificate + MaxRosterEnvelope + 1<<10
	// MaxSessionMessage bounds the body of every other message that has no cap of its own.
	MaxSessionMessage = 1 << 20
	// MaxSmallMessage bounds the body of finish, refusal, ping, pong and share reply.
	MaxSmallMessage = 1 << 10
	// MaxShareEnvelope is the largest share envelope in bytes, in a mailbox as on the share stream.
	MaxShareEnvelope = 8 << 10
	// MaxControlPayload is the largest control batch in bytes that a mailbox takes.
	MaxControlPayload = MaxBatch
	// MaxShareItems is the largest number of envelopes in one share message.
	MaxShareItems = 16
	// MaxMailItems is the largest number of items in one deposit or delivery.
	MaxMailItems = 1024
	// MaxListItems is the largest number of entries in every other list.
	MaxListItems = 8192
	// NonceSize is the length of a handshake nonce in bytes.
	NonceSize = 32
	// MaxRefusalText is the longest text of a refusal in bytes.
	MaxRefusalText = 200
)

// Message is one message of the session or share stream.
type Message interface {
	// Type returns the byte that names the message on the wire.
	Type() MessageType
}

// Nonce is a handshake nonce: 32 random bytes.
type Nonce [NonceSize]byte

// MailID names a mail: a SHA-256 (32 bytes) over sender, recipient, kind and payload. See MailIDOf.
type MailID [32]byte

// String returns the first 8 bytes of the ID in lower-case hex, enough for a log line.
func (m MailID) String() string { return fmt.Sprintf("%x", m[:8]) }

const mailDomain = "conclave mail v1"

// MailIDOf returns the ID of a mail: SHA-256(domain | u16 len(from) | from | u16 len(to) | to | kind | payload).
func MailIDOf(from, to peer.ID, kind Kind, payload []byte) MailID {
	h := sha256.New()
	h.Write([]byte(mailDomain))
	for _, id := range []peer.ID{from, to} {
		var n [2]byte
		binary.BigEndian.PutUint16(n[:], uint16(len(id)))
		h.Write(n[:])
		h.Write([]byte(id))
	}
	h.Write([]byte{byte(kind)})
	h.Write(payload)
	return MailID(h.Sum(nil))
}

// Kind says what a mail carries.
type Kind byte

// The kinds of mail.
const (
	KindShare   Kind = 1 // a share envelope, at most MaxShareEnvelope bytes
	KindControl Kind = 2 // a control batch, at most MaxControlPayload bytes
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case KindShare:
		return "share"
	case KindControl:
		return "control"
	}
	return fmt.Sprintf("kind %d", byte(k))
}

// MaxPayload returns the largest payload of the kind in bytes, 0 for an unknown kind.
func (k Kind) MaxPayload() int {
	switch k {
	case KindShare:
		return MaxShareEnvelope
	case KindControl:
		return MaxControlPayload
	}
	return 0
}

// Verdict is a relay node's answer to one deposited item or stored batch.
type Verdict byte

// The verdicts. Stored and duplicate mean that the item is durable; the others that it is not held.
const (
	VerdictStored           Verdict = 1 // durable now
	VerdictDuplicate        Verdict = 2 // was durable already
	VerdictOverSenderQuota  Verdict = 3 // this sender's mail to this recipient fills its quota
	VerdictOverMailboxQuota Verdict = 4 // the recipient's mailbox is full
	VerdictOverStoreQuota   Verdict = 5 // the relay node's store is full
	VerdictTooLarge         Verdict = 6 // the payload is over its kind's cap
	VerdictUnknownRecipient Verdict = 7 // the recipient is not in the relay node's roster
	VerdictMalformed        Verdict = 8 // not a batch, or not one of this sender
	VerdictTryLater         Verdict = 9 // the store failed; nothing is known about the item
)

// Accepted says whether the item is durable at the relay node.
func (v Verdict) Accepted() bool { return v == VerdictStored || v == VerdictDuplicate }

var verdictNames = [...]string{
	VerdictStored: "stored", VerdictDuplicate: "duplicate", VerdictOverSenderQuota: "over the sender's quota",
	VerdictOverMailboxQuota: "over the mailbox's quota", VerdictOverStoreQuota: "over the store's quota", VerdictTooLarge: "too large",
	VerdictUnknownRecipient: "unknown recipient", VerdictMalformed: "malformed", VerdictTryLater: "try later",
}

// String names the verdict.
func (v Verdict) String() string {
	if v == 0 || int(v) >= len(verdictNames) {
		return fmt.Sprintf("verdict %d", byte(v))
	}
	return verdictNames[v]
}

// RefusalCode says why a request or a handshake is refused.
type RefusalCode byte

// The refusal codes.
const (
	RefusedSkew      RefusalCode = 1 // the hello's time is more than 60 s from the refuser's clock, which TimeMs gives
	RefusedReplay    RefusalCode = 2 // the nonce was seen before
	RefusedProfile   RefusalCode = 3 // the certificate is not acceptable
	RefusedLimit     RefusalCode = 4 // a rate or size limit
	RefusedMalformed RefusalCode = 5 // a request that means nothing
	RefusedFailed    RefusalCode = 6 // the relay node failed; try later
	RefusedReplaced  RefusalCode = 7 // a newer session of the same member took this one's place
)

// String names the code.
func (c RefusalCode) String() string {
	switch c {
	case RefusedSkew:
		return "clock skew"
	case RefusedReplay:
		return "replayed nonce"
	case RefusedProfile:
		return "certificate refused"
	case RefusedLimit:
		return "over a limit"
	case RefusedMalformed:
		return "malformed request"
	case RefusedFailed:
		return "failed, try later"
	case RefusedReplaced:
		return "replaced by a newer session"
	}
	return fmt.Sprintf("code %d", byte(c))
}

// Hello opens the handshake, member to relay node. It is signed; an unknown field is refused.
type Hello struct {
	Protocol      uint32 // SessionVersion
	Nonce         Nonce  // the member's
	TimeMs        int64  // the member's clock, Unix milliseconds
	RosterVersion uint64 // the version of the member's roster
	Certificate   []byte // DER, at most MaxCertificate
	Roster        []byte // optional: the member's roster envelope, at most MaxRosterEnvelope
	Signature     []byte // 64 bytes, by the member's identity key
}

// HelloReply answers a hello, relay node to member. It is signed; an unknown field is refused.
type HelloReply struct {
	Protocol      uint32     // SessionVersion
	Nonce         Nonce      // the relay node's
	TimeMs        int64      // the relay node's clock, Unix milliseconds
	RosterVersion uint64     // the version of the relay node's roster
	Certificate   []byte     // DER, at most MaxCertificate
	Roster        []byte     // optional: the relay node's roster envelope, when it is newer than the hello's
	Database      DatabaseID // the relay node's database
	Signature     []byte     // 64 bytes, by the relay node's identity key; covers the member's nonce too
}

// Finish ends the handshake, member to relay node: a signature over both nonces.
type Finish struct {
	Signature []byte // 64 bytes, by the member's identity key
}

// Refusal says that a request, or with Seq 0 the handshake or the whole session, is refused.
type Refusal struct {
	Seq    uint64
	Code   RefusalCode
	Text   string // at most MaxRefusalText bytes, for people
	TimeMs int64  // the refuser's clock with RefusedSkew, else 0
}

// RosterUpdate carries a newer roster, either way.
type RosterUpdate struct {
	Envelope []byte // at most MaxRosterEnvelope
}

// Presence lists the roster's members that have a session with the relay node now. It is a hint.
type Presence struct {
	Online []peer.ID
}

// MailItem is one item to leave in a member's mailbox.
type MailItem struct {
	To      peer.ID
	Kind    Kind
	Payload []byte
}

// Deposit leaves items in mailboxes.
type Deposit struct {
	Seq   uint64 // chosen by the member, repeated in the result
	Items []MailItem
}

// DepositResult answers a deposit once every accepted item is durable.
type DepositResult struct {
	Seq      uint64
	Verdicts []Verdict  // one for each item, in the deposit's order
	Database DatabaseID // where they are durable
}

// Mail is one item from the recipient's mailbox.
type Mail struct {
	ID      MailID // not on the wire: whoever receives a delivery computes it with MailIDOf
	From    peer.ID
	Kind    Kind
	Payload []byte
}

// Delivery hands mail to its recipient, oldest first.
type Delivery struct {
	Mails []Mail
}

// DeliveryAck tells the relay node to delete mail that the recipient holds durably.
type DeliveryAck struct {
	IDs []MailID
}

// Store gives batches to the relay node, which stores them and publishes on the topic those that it did not know.
type Store struct {
	Batches [][]byte
}

// RefusedBatch is one batch that is not stored.
type RefusedBatch struct {
	ID      BatchID
	Verdict Verdict
}

// Stored acknowledges batches of this member, from the topic or from a Store, that are durable.
type Stored struct {
	IDs     []BatchID
	Refused []RefusedBatch
}

// Signer is the Ed25519 key (32 bytes) whose signature a batch carries. A frame's header is a claim, and any member may
// sign a batch whose frames claim another's index: heads and fetches name the signer, so that such a batch neither hides
// nor invents another's frames.
type Signer [32]byte

// Head says which frames of one sender's start in one session, as one signer sent them, the backlog holds.
type Head struct {
	Prefix    Prefix // of the session's transcript
	Sender    uint16 // index in role order
	Start     uint32
	Low, High uint32 // the lowest and highest counter held
	Signer    Signer
}

// Heads lists what the backlog holds: all of it, or what changed.
type Heads struct {
	Heads []Head
	Full  bool
}

// Fetch asks for the batches that hold a range of counters of one sender's start.
type Fetch struct {
	Seq      uint64
	Prefix   Prefix
	Sender   uint16
	Start    uint32
	From, To uint32 // counters, both included
	Signer   Signer // only batches of this signer
}

// Fetched answers a fetch. More says that the range goes on after the last batch given.
type Fetched struct {
	Seq     uint64
	Batches [][]byte
	More    bool
}

// Ping asks for a Pong with the same nonce.
type Ping struct{ Nonce uint64 }

// Pong answers a Ping.
type Pong struct{ Nonce uint64 }

// ShareMessage hands share envelopes from one member to another.
type ShareMessage struct {
	Items [][]byte // 1 to MaxShareItems envelopes of at most MaxShareEnvelope bytes
}

// ShareReply says how many envelopes of the ShareMessage, counted from its first, the recipient holds durably.
type ShareReply struct {
	Accepted uint32
}

// Type returns TypeHello.
func (*Hello) Type() MessageType { return TypeHello }

// Type returns TypeHelloReply.
func (*HelloReply) Type() MessageType { return TypeHelloReply }

// Type returns TypeFinish.
func (*Finish) Type() MessageType { return TypeFinish }

// Type returns TypeRefusal.
func (*Refusal) Type() MessageType { return TypeRefusal }

// Type returns TypeRosterUpdate.
func (*RosterUpdate) Type() MessageType { return TypeRosterUpdate }

// Type returns TypePresence.
func (*Presence) Type() MessageType { return TypePresence }

// Type returns TypeDeposit.
func (*Deposit) Type() MessageType { return TypeDeposit }

// Type returns TypeDepositResult.
func (*DepositResult) Type() MessageType { return TypeDepositResult }

// Type returns TypeDelivery.
func (*Delivery) Type() MessageType { return TypeDelivery }

// Type returns TypeDeliveryAck.
func (*DeliveryAck) Type() MessageType { return TypeDeliveryAck }

// Type returns TypeStore.
func (*Store) Type() MessageType { return TypeStore }

// Type returns TypeStored.
func (*Stored) Type() MessageType { return TypeStored }

// Type returns TypeHeads.
func (*Heads) Type() MessageType { return TypeHeads }

// Type returns TypeFetch.
func (*Fetch) Type() MessageType { return TypeFetch }

// Type returns TypeFetched.
func (*Fetched) Type() MessageType { return TypeFetched }

// Type returns TypePing.
func (*Ping) Type() MessageType { return TypePing }

// Type returns TypePong.
func (*Pong) Type() MessageType { return TypePong }

// Type returns TypeShareMessage.
func (*ShareMessage) Type() MessageType { return TypeShareMessage }

// Type returns TypeShareReply.
func (*ShareReply) Type() MessageType { return TypeShareReply }
