package keyagreement

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

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

func appendRole(b []byte, r wire.Role) []byte { return append(append(b, byte(len(r))), r...) }

// commitment returns c_i = SHA-256(label ‖ epoch ‖ role ‖ s ‖ blind).
func commitment(epoch wire.EpochID, role wire.Role, share Share) [32]byte {
	b := append(make([]byte, 0, 192), labelCommitment...)
	b = appendRole(append(b, epoch[:]...), role)
	sum := sha256.Sum256(append(b, share.b[:]...))
	clear(b[:cap(b)])
	return sum
}

// shareLabel returns the OAEP label: it binds group, roster, epoch, contributor and recipient.
func shareLabel(group wire.GroupID, roster wire.RosterHash, p Parcel) []byte {
	b := append(make([]byte, 0, 192), labelShare...)
	b = append(append(append(b, group[:]...), roster[:]...), p.Epoch[:]...)
	return appendRole(appendRole(b, p.Of), p.To)
}

// part is what is known of one contributor of an epoch.
type part struct {
	raw  []byte            // the signed announcement
	ann  wire.Announcement // and what it says
	hash [32]byte          // SHA-256 of its payload
	// share is here and matches the commitment when have is set.
	share Share
	have  bool
}

// transcript returns SHA-256(label ‖ length u32 ‖ opening ‖ for each contributor in role order: role, peer ID, instance,
// commitment).
func transcript(opening []byte, members []Member, parts []part) wire.Transcript {
	b := append(make([]byte, 0, 256+len(opening)+128*len(parts)), labelTranscript...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(opening)))
	b = append(b, opening...)
	for i := range parts {
		a := &parts[i].ann
		b = append(appendRole(b, a.Role), peerIDPrefix...)
		b = append(b, members[i].Identity[:]...)
		b = append(append(b, a.Instance[:]...), a.Commitment[:]...)
	}
	return sha256.Sum256(b)
}

// deriveKey returns Kabc, the XOR of all shares, and PRK = HKDF-Extract(salt = transcript, ikm = Kabc ‖ s_1 ‖ … ‖ s_n).
// The single shares are in the input so that a member who sends last and forces the XOR gains nothing.
func deriveKey(t wire.Transcript, parts []part) (kabc, prk Secret) {
	ikm := make([]byte, 32, 32*(1+len(parts)))
	for i := range parts {
		s := parts[i].share.b[:32]
		for j, v := range s {
			ikm[j] ^= v
		}
		ikm = append(ikm, s...)
	}
	copy(kabc.b[:], ikm)
	out, err := hkdf.Extract(sha256.New, ikm, t[:])
	if err != nil {
		panic("keyagreement: hkdf: " + err.Error()) // SHA-256 and 32 bytes: cannot happen
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
		panic("keyagreement: hkdf: " + err.Error()) // SHA-256 and at most 32 bytes: cannot happen
	}
	return out
}

func fingerprint(prk Secret) string { return hex.EncodeToString(expand(prk, labelFingerprint, 8)) }

func confirmKey(prk Secret) Secret { return Secret{[32]byte(expand(prk, labelConfirm, 32))} }

// confirmMAC returns HMAC-SHA256(confirm key, transcript ‖ role).
func confirmMAC(key Secret, t wire.Transcript, role wire.Role) (out [32]byte) {
	h := hmac.New(sha256.New, key.b[:])
	h.Write(t[:])
	h.Write([]byte(role))
	h.Sum(out[:0])
	return out
}
