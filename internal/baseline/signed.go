package baseline

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
)

// Signer is a member that signs what it publishes and verifies what it receives, in line and with nothing else: what a
// signature costs where it is made and checked. It is about twice what a loop of signatures shows, because between two
// messages the caches are used for other things.
type Signer struct {
	member  *Member
	key     ed25519.PrivateKey
	trusted map[string]bool // public keys
}

// ErrSignature is returned by Signer.Receive.
var ErrSignature = errors.New("a message is not signed by a member")

// Signers returns the members of a star as signers that trust each other.
func (s *Star) Signers() ([]*Signer, error) {
	trusted := make(map[string]bool)
	var all []*Signer
	for _, m := range s.Members {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("making a signer: %w", err)
		}
		trusted[string(public)] = true
		all = append(all, &Signer{member: m, key: key, trusted: trusted})
	}
	return all, nil
}

// Publish sends data ‖ public key (32 bytes) ‖ signature (64 bytes) to all other members.
func (s *Signer) Publish(ctx context.Context, data []byte) error {
	message := append(append([]byte{}, data...), s.key.Public().(ed25519.PublicKey)...)
	return s.member.Publish(ctx, append(message, ed25519.Sign(s.key, message)...))
}

// Receive returns the data of the next message of another member, once its signature is verified.
func (s *Signer) Receive(ctx context.Context) ([]byte, error) {
	message, err := s.member.Receive(ctx)
	if err != nil {
		return nil, err
	}
	end := len(message) - ed25519.SignatureSize
	if end < ed25519.PublicKeySize {
		return nil, ErrSignature
	}
	public := ed25519.PublicKey(message[end-ed25519.PublicKeySize : end])
	if !s.trusted[string(public)] || !ed25519.Verify(public, message[:end], message[end:]) {
		return nil, ErrSignature
	}
	return message[:end-ed25519.PublicKeySize], nil
}
