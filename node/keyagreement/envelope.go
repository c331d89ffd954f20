package keyagreement

import (
	"crypto/rsa"
	"io"

	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

// ErrKeySize is returned for an RSA key that is not of 3072 to 4096 bits.
var ErrKeySize = share.ErrKeySize

// Secret is 32 secret bytes: PRK or Kabc.
type Secret = share.Secret

// Share is what a contributor draws.
type Share = share.Share

// SealEnvelope does what a Wrap asks: it seals the share to the recipient's RSA key, puts it beside its opening and
// announcement, and signs the whole as from. It may run on any goroutine.
func SealEnvelope(random io.Reader, to *rsa.PublicKey, from [32]byte, sign func([]byte) []byte, w Wrap) ([]byte, error) {
	ciphertext, err := share.Seal(random, to, w.Plaintext, w.Label)
	if err != nil {
		return nil, err
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
	plain, ok := share.Open(key, u.Ciphertext, u.Label)
	return Unwrapped{Token: u.Token, Plaintext: plain, OK: ok}
}

// seal signs a payload and returns the whole Signed.
func seal(group wire.GroupID, signer [32]byte, sign func([]byte) []byte, typ wire.SignedType, payload []byte) []byte {
	s := wire.Signed{Type: typ, Signer: signer, Payload: payload}
	copy(s.Signature[:], sign(wire.SignedBytes(group, typ, payload)))
	return s.Marshal()
}
