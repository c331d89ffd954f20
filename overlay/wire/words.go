package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// GroupID names a group: the SHA-256 (32 bytes) of the DER SubjectPublicKeyInfo of the group's CA key.
type GroupID [32]byte

// Instance names one run of a member: 16 random bytes drawn at each process start.
type Instance [16]byte

// EpochID names an epoch: the SHA-256 (32 bytes) of its opening's payload.
type EpochID [32]byte

// Transcript names a session, that is a completed epoch's keys: a SHA-256 (32 bytes) over the opening and every
// announcement of the epoch.
type Transcript [32]byte

// RosterHash is the SHA-256 (32 bytes) of a roster's signed payload.
type RosterHash [32]byte

// MessageID names a chat message, whatever frame or epoch carries it: 16 random bytes.
type MessageID [16]byte

// ShortID names one of a sender's last messages to those who know whose it is: the first 4 bytes of its message ID. A sender
// draws IDs of which they differ.
type ShortID [ShortIDSize]byte

// ShortIDSize is the size of a ShortID in bytes.
const ShortIDSize = 4

// BatchID names a batch: the SHA-256 (32 bytes) of all its bytes, the signature included.
type BatchID [32]byte

// DatabaseID names a relay node's database: 16 random bytes drawn when it is created.
type DatabaseID [16]byte

// String returns the ID in lower-case hex.
func (g GroupID) String() string { return hex.EncodeToString(g[:]) }

// String returns the instance in lower-case hex.
func (i Instance) String() string { return hex.EncodeToString(i[:]) }

// String returns the ID in lower-case hex.
func (e EpochID) String() string { return hex.EncodeToString(e[:]) }

// String returns the transcript in lower-case hex.
func (t Transcript) String() string { return hex.EncodeToString(t[:]) }

// String returns the hash in lower-case hex.
func (h RosterHash) String() string { return hex.EncodeToString(h[:]) }

// String returns the ID in lower-case hex.
func (m MessageID) String() string { return hex.EncodeToString(m[:]) }

// Short returns the message's short ID.
func (m MessageID) Short() ShortID { return ShortID(m[:ShortIDSize]) }

// String returns the ID in lower-case hex.
func (b BatchID) String() string { return hex.EncodeToString(b[:]) }

// String returns the ID in lower-case hex.
func (d DatabaseID) String() string { return hex.EncodeToString(d[:]) }

// Prefix is the part of a transcript that a frame header carries: its first 8 bytes.
type Prefix [8]byte

// Prefix returns the transcript's first 8 bytes, by which a frame names its session.
func (t Transcript) Prefix() Prefix { return Prefix(t[:8]) }

// String returns the prefix in lower-case hex.
func (p Prefix) String() string { return hex.EncodeToString(p[:]) }

// BatchIDOf returns the ID of a whole batch.
func BatchIDOf(batch []byte) BatchID { return sha256.Sum256(batch) }

// Role is a member's name inside a group: 1 to 32 ASCII letters, digits, '-', '_' or '.', beginning with a letter or
// digit. Two roles of one group differ by more than case.
type Role string

// MaxRole is the longest role in bytes.
const MaxRole = 32

// ErrRole is returned when a text is not a Role.
var ErrRole = errors.New("a role is 1 to 32 letters a to z or A to Z (no accents), digits, '-', '_' or '.', beginning with a letter or digit")

// ParseRole returns s as a Role, or ErrRole.
func ParseRole(s string) (Role, error) {
	if len(s) == 0 || len(s) > MaxRole {
		return "", ErrRole
	}
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || bytes.IndexByte([]byte("-_."), c) < 0) {
			return "", ErrRole
		}
	}
	return Role(s), nil
}

// ErrPeerID is returned for a peer ID that does not embed an Ed25519 public key.
var ErrPeerID = errors.New("the peer ID does not embed an Ed25519 key")

// PeerIDOf returns the libp2p peer ID that embeds an Ed25519 public key (32 bytes).
func PeerIDOf(key ed25519.PublicKey) (peer.ID, error) {
	pub, err := crypto.UnmarshalEd25519PublicKey(key)
	if err != nil {
		return "", fmt.Errorf("reading an Ed25519 key: %w", err)
	}
	return peer.IDFromPublicKey(pub)
}

// PublicKeyOf returns the Ed25519 public key (32 bytes) that a peer ID embeds, or ErrPeerID.
func PublicKeyOf(id peer.ID) (ed25519.PublicKey, error) {
	pub, err := id.ExtractPublicKey()
	if err != nil || pub.Type() != crypto.Ed25519 {
		return nil, ErrPeerID
	}
	raw, err := pub.Raw()
	if err != nil {
		return nil, ErrPeerID
	}
	return raw, nil
}
