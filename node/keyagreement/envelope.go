package keyagreement

import (
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"conclave/overlay/wire"
)

// ErrKeySize is returned for an RSA key that is not of 3072 to 4096 bits.
var ErrKeySize = errors.New("an RSA key must have 3072 to 4096 bits")

// SealEnvelope does what a Wrap asks: it seals the share to the recipient's RSA key (RSA-OAEP-SHA256 with the label),
// puts it beside its opening and announcement, and signs the whole as from. It may run on any goroutine.
func SealEnvelope(random io.Reader, to *rsa.PublicKey, from [32]byte, sign func([]byte) []byte, w Wrap) ([]byte, error) {
	if bits := to.N.BitLen(); bits < 3072 || bits > 4096 {
		return nil, ErrKeySize
	}
	ciphertext, err := rsa.EncryptOAEP(sha256.New(), random, to, w.Plaintext.b[:], w.Label)
	if err != nil {
		return nil, fmt.Errorf("wrapping a share: %w", err)
	}
	return w.envelope(from, sign, ciphertext), nil
}

// envelope signs the envelope around a ciphertext.
func (w Wrap) envelope(from [32]byte, sign func([]byte) []byte, ciphertext []byte) []byte {
	e := wire.Envelope{
		Group: w.group, Suite: wire.SuiteOAEP, Opening: w.Opening, Announcement: w.Announcement,
		To: w.Parcel.To, Ciphertext: ciphertext,
	}
	return seal(w.group, from, sign, wire.SignedEnvelope, e.Marshal())
}

// OpenEnvelope does what an Unwrap asks and returns the input that answers it. Every failure is the same answer. It may
// run on any goroutine.
func OpenEnvelope(key *rsa.PrivateKey, u Unwrap) Unwrapped {
	answer := Unwrapped{Token: u.Token}
	if bits := key.N.BitLen(); bits < 3072 || bits > 4096 {
		return answer
	}
	plain, err := rsa.DecryptOAEP(sha256.New(), nil, key, u.Ciphertext, u.Label)
	if err != nil || len(plain) != len(answer.Plaintext.b) {
		return answer
	}
	answer.Plaintext.b, answer.OK = [64]byte(plain), true
	clear(plain)
	return answer
}

// seal signs a payload and returns the whole Signed.
func seal(group wire.GroupID, signer [32]byte, sign func([]byte) []byte, typ wire.SignedType, payload []byte) []byte {
	s := wire.Signed{Type: typ, Signer: signer, Payload: payload}
	copy(s.Signature[:], sign(wire.SignedBytes(group, typ, payload)))
	return s.Marshal()
}
