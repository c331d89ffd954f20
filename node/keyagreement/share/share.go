// Package share is the cryptography of the key agreement: what a contributor draws, commits to and seals, and what all shares
// together make (SPEC section 6.5).
//
//	share s ‖ blind ──► commitment, announced first
//	      │ RSA-OAEP to each member, bound by a label to group, roster, epoch, contributor and recipient
//	      ▼
//	all shares of an epoch ──XOR──► Kabc ──HKDF──► PRK ──► confirm key, fingerprint, every frame key
//
// It decides nothing and keeps nothing. Secrets refuse to be printed or marshalled. It may be imported by node and its rooms;
// the relay node must not link it.
package share

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"conclave/overlay/wire"
)

// One label for each use of a hash or key (SPEC.md section 6.5).
const (
	labelCommitment  = "conclave commitment v1"
	labelShare       = "conclave share v1"
	labelTranscript  = "conclave transcript v1"
	labelConfirm     = "conclave confirm v1"
	labelFingerprint = "conclave fingerprint v1"
)

// peerIDPrefix is what comes before the Ed25519 key (32 bytes) in a libp2p peer ID: an identity multihash (0x00, 36
// bytes) of the protobuf {type 1, key}.
const peerIDPrefix = "\x00\x24\x08\x01\x12\x20"

// ErrKeySize is returned for an RSA key that is not of 3072 to 4096 bits.
var ErrKeySize = errors.New("an RSA key must have 3072 to 4096 bits")

func appendRole(b []byte, r wire.Role) []byte { return append(append(b, byte(len(r))), r...) }

// Commitment returns c_i = SHA-256(label ‖ epoch ‖ role ‖ s ‖ blind), 32 bytes.
func Commitment(epoch wire.EpochID, role wire.Role, s Share) [32]byte {
	b := append(make([]byte, 0, 192), labelCommitment...)
	b = appendRole(append(b, epoch[:]...), role)
	sum := sha256.Sum256(append(b, s.b[:]...))
	clear(b[:cap(b)])
	return sum
}

// Label returns the OAEP label: it binds group, roster, epoch, contributor and recipient.
func Label(group wire.GroupID, roster wire.RosterHash, epoch wire.EpochID, of, to wire.Role) []byte {
	b := append(make([]byte, 0, 192), labelShare...)
	b = append(append(append(b, group[:]...), roster[:]...), epoch[:]...)
	return appendRole(appendRole(b, of), to)
}

// Announced is one contributor's part of a transcript.
type Announced struct {
	Identity [32]byte // Ed25519 public key
	wire.Announcement
}

// Transcript returns SHA-256(label ‖ length u32 ‖ opening ‖ for each contributor in role order: role, peer ID, instance,
// commitment), 32 bytes.
func Transcript(opening []byte, contributors []Announced) wire.Transcript {
	b := append(make([]byte, 0, 256+len(opening)+128*len(contributors)), labelTranscript...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(opening)))
	b = append(b, opening...)
	for i := range contributors {
		a := &contributors[i]
		b = append(appendRole(b, a.Role), peerIDPrefix...)
		b = append(b, a.Identity[:]...)
		b = append(append(b, a.Instance[:]...), a.Commitment[:]...)
	}
	return sha256.Sum256(b)
}

// Derive returns Kabc, the XOR of all shares, and PRK = HKDF-Extract(salt = transcript, ikm = Kabc ‖ s_1 ‖ … ‖ s_n), 32 bytes
// each. The single shares are in the input so that a member who sends last and forces the XOR gains nothing.
func Derive(t wire.Transcript, shares []Share) (kabc, prk Secret) {
	ikm := make([]byte, 32, 32*(1+len(shares)))
	for i := range shares {
		s := shares[i].b[:32]
		for j, v := range s {
			ikm[j] ^= v
		}
		ikm = append(ikm, s...)
	}
	copy(kabc.b[:], ikm)
	out, err := hkdf.Extract(sha256.New, ikm, t[:])
	if err != nil {
		panic("share: hkdf: " + err.Error()) // SHA-256 and 32 bytes: cannot happen
	}
	copy(prk.b[:], out)
	clear(ikm)
	clear(out)
	return kabc, prk
}

// expand returns n bytes of PRK's expansion under a label.
func expand(prk Secret, label string, n int) []byte {
	out, err := hkdf.Expand(sha256.New, prk.b[:], label, n)
	if err != nil {
		panic("share: hkdf: " + err.Error()) // SHA-256 and at most 32 bytes: cannot happen
	}
	return out
}

// Fingerprint returns 16 hex digits: 8 bytes of PRK's expansion under a label of its own.
func Fingerprint(prk Secret) string { return hex.EncodeToString(expand(prk, labelFingerprint, 8)) }

// ConfirmKey returns the key (32 bytes) with which members show each other that they hold PRK.
func ConfirmKey(prk Secret) Secret { return Secret{[32]byte(expand(prk, labelConfirm, 32))} }

// ConfirmMAC returns HMAC-SHA256(confirm key, transcript ‖ role), 32 bytes.
func ConfirmMAC(key Secret, t wire.Transcript, role wire.Role) (out [32]byte) {
	h := hmac.New(sha256.New, key.b[:])
	h.Write(t[:])
	h.Write([]byte(role))
	h.Sum(out[:0])
	return out
}

// Seal seals a share to a member's RSA key: RSA-OAEP with SHA-256 and a Label (RFC 8017, section 7.1). It may run on any
// goroutine.
func Seal(random io.Reader, to *rsa.PublicKey, s Share, label []byte) ([]byte, error) {
	if bits := to.N.BitLen(); bits < 3072 || bits > 4096 {
		return nil, ErrKeySize
	}
	ciphertext, err := rsa.EncryptOAEP(sha256.New(), random, to, s.b[:], label)
	if err != nil {
		return nil, fmt.Errorf("wrapping a share: %w", err)
	}
	return ciphertext, nil
}

// Open opens what Seal sealed. Every failure is the same answer. It may run on any goroutine.
func Open(key *rsa.PrivateKey, ciphertext, label []byte) (s Share, ok bool) {
	if bits := key.N.BitLen(); bits < 3072 || bits > 4096 {
		return s, false
	}
	plain, err := rsa.DecryptOAEP(sha256.New(), nil, key, ciphertext, label)
	if err != nil || len(plain) != len(s.b) {
		return s, false
	}
	s.b = [64]byte(plain)
	clear(plain)
	return s, true
}
