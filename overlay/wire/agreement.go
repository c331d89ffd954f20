package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// SignedType says what the payload of a Signed is. It is part of what the signature covers.
type SignedType uint32

// The types of signed messages (SPEC.md section 6.2).
const (
	SignedRequest      SignedType = 1
	SignedOpening      SignedType = 2
	SignedAnnouncement SignedType = 3
	SignedConfirmation SignedType = 4
	SignedLack         SignedType = 5
	SignedBehind       SignedType = 6
	SignedEnvelope     SignedType = 7
)

// String names the type.
func (t SignedType) String() string {
	names := [...]string{"", "request", "opening", "announcement", "confirmation", "lack", "behind", "envelope"}
	if t == 0 || int(t) >= len(names) {
		return fmt.Sprintf("type %d", uint32(t))
	}
	return names[t]
}

// Specification constants of key agreement messages.
const (
	// MaxSigned is the largest Signed in bytes: an envelope with an opening of MaxMembers contributors fits.
	MaxSigned = 8 << 10
	// MaxContributors is the largest number of contributors of an epoch.
	MaxContributors = 100
	// SuiteOAEP is the suite in which the whole share is under RSA-OAEP-SHA256.
	SuiteOAEP uint32 = 1
	// MaxCiphertext is the largest ciphertext of an envelope in bytes, that of an RSA-4096 key.
	MaxCiphertext = 512

	signedDomain = "conclave signed v1"
)

// ErrAgreement is returned when bytes are not a well-formed message of key agreement in canonical form.
var ErrAgreement = errors.New("not a well-formed key agreement message")

// Signed is one signed message of key agreement. That it parsed says nothing about the signature.
type Signed struct {
	Type      SignedType
	Signer    [32]byte // Ed25519 public key
	Payload   []byte   // a serialized message of Type; the signature covers these very bytes
	Signature [64]byte
}

// SignedBytes returns what a Signed's signature covers: "conclave signed v1" ‖ group 32 B ‖ type u32 ‖ length u32 ‖
// payload, integers big-endian.
func SignedBytes(group GroupID, typ SignedType, payload []byte) []byte {
	b := make([]byte, 0, len(signedDomain)+len(group)+8+len(payload))
	b = append(b, signedDomain...)
	b = append(b, group[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(typ))
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// Request asks for an epoch, or says that its sender takes part in the one that another asked for.
type Request struct {
	Group         GroupID
	RosterVersion uint64
	RosterHash    RosterHash
	Role          Role
	Instance      Instance
	Sequence      uint64 // grows with each request of an instance: max(last + 1, Unix ms)
	Want          bool   // asks for an epoch; otherwise answers another's want
	Known         uint64 // highest opening number its sender knows
}

// Contributor is one of those whose shares make an epoch's key.
type Contributor struct {
	Role     Role
	Instance Instance
}

// Opening begins an epoch. The SHA-256 of its serialized bytes is the epoch's ID.
type Opening struct {
	Group         GroupID
	RosterVersion uint64
	RosterHash    RosterHash
	Number        uint64
	Opener        Role
	Contributors  []Contributor // in role order, the opener among them
	Previous      EpochID       // the epoch its opener used before, zeros for none
	Nonce         [16]byte
}

// Announcement commits its signer to a share of an epoch.
type Announcement struct {
	Group         GroupID
	RosterVersion uint64
	Epoch         EpochID
	Role          Role
	Instance      Instance
	Commitment    [32]byte
}

// Confirmation says that its signer holds the key of a session. It can be judged without the key, but for the MAC.
type Confirmation struct {
	Group         GroupID
	Epoch         EpochID
	Role          Role
	Transcript    Transcript
	Announcements [][32]byte // SHA-256 of each announcement's bytes, in role order
	MAC           [32]byte
}

// Lack says which contributors' shares of an epoch its signer is missing, or, with none named, that it has heard of the
// epoch and not seen its opening.
type Lack struct {
	Group   GroupID
	Epoch   EpochID
	Role    Role
	Of      []Role // in role order, or none: the opening is missing
	Attempt uint32 // 0 at first
}

// Behind tells a member that it sends in a session under a start number that was used before.
type Behind struct {
	Group      GroupID
	Transcript Transcript
	Role       Role   // who is told
	Start      uint32 // the highest start number seen
}

// Envelope carries one contributor's share to one member. Its signer is whoever wrapped it.
type Envelope struct {
	Group        GroupID
	Suite        uint32
	Opening      []byte // Signed, as its opener made it
	Announcement []byte // Signed, as the contributor made it
	To           Role
	Ciphertext   []byte
}

// Less tells whether role r comes before o in role order, which is the order of their bytes.
func (r Role) Less(o Role) bool { return r < o }
