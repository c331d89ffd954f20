// Package envelope seals what the key agreement says: signed messages, and shares for one member each (SPEC sections 6.2, 6.5).
//
// It does what an event.Wrap and an event.Unwrap ask, which is private-key or public-key work for other goroutines. It decides
// nothing and keeps nothing. It may be imported by node and its rooms; the relay node must not link it.
package envelope

import (
	"crypto/ed25519"
	"crypto/rsa"
	"io"

	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

// Seal does what a Wrap asks: it seals the share to the recipient's RSA key, puts it beside its opening and announcement, and
// signs the whole as from (an Ed25519 key, 32 bytes). It fails with share.ErrKeySize. It may run on any goroutine.
func Seal(random io.Reader, to *rsa.PublicKey, from [32]byte, sign func([]byte) []byte, w event.Wrap) ([]byte, error) {
	ciphertext, err := share.Seal(random, to, w.Plaintext, w.Label)
	if err != nil {
		return nil, err
	}
	return Around(from, sign, ciphertext, w), nil
}

// Around signs the envelope around a ciphertext.
func Around(from [32]byte, sign func([]byte) []byte, ciphertext []byte, w event.Wrap) []byte {
	e := wire.Envelope{
		Group: w.Group, Suite: wire.SuiteOAEP, Opening: w.Opening, Announcement: w.Announcement,
		To: w.Parcel.To, Ciphertext: ciphertext,
	}
	return Sign(w.Group, from, sign, wire.SignedEnvelope, e.Marshal())
}

// Open does what an Unwrap asks and returns the input that answers it. Every failure is the same answer. It may run on any
// goroutine.
func Open(key *rsa.PrivateKey, u event.Unwrap) event.Unwrapped {
	plain, ok := share.Open(key, u.Ciphertext, u.Label)
	return event.Unwrapped{Token: u.Token, Plaintext: plain, OK: ok}
}

// Sign signs a payload and returns the whole Signed. sign returns the Ed25519 signature (64 bytes) by signer's key.
func Sign(group wire.GroupID, signer [32]byte, sign func([]byte) []byte, typ wire.SignedType, payload []byte) []byte {
	s := wire.Signed{Type: typ, Signer: signer, Payload: payload}
	copy(s.Signature[:], sign(wire.SignedBytes(group, typ, payload)))
	return s.Marshal()
}

// Verify tells whether signature is key's Ed25519 signature over message, 64 bytes.
func Verify(key [32]byte, message, signature []byte) bool {
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(key[:], message, signature)
}
