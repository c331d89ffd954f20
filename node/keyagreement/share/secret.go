package share

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// ErrSecret is returned when somebody marshals a secret.
var ErrSecret = errors.New("a secret does not marshal")

// Secret is 32 secret bytes: PRK or Kabc. It refuses to be printed or marshalled; Bytes is the one way out.
type Secret struct{ b [32]byte }

// Share is what a contributor draws: s (32 bytes) ‖ blind (32 bytes). It refuses to be printed or marshalled; Bytes is the one
// way out.
type Share struct{ b [64]byte }

// Of returns a share of its bytes: s (32) ‖ blind (32).
func Of(b [64]byte) Share { return Share{b} }

// Draw draws a share.
func Draw(random io.Reader) (s Share, err error) {
	_, err = io.ReadFull(random, s.b[:])
	return s, err
}

// SecretOf returns a secret of its bytes.
func SecretOf(b [32]byte) Secret { return Secret{b} }

// Bytes returns a copy of the share.
func (s Share) Bytes() []byte { return append([]byte(nil), s.b[:]...) }

// Bytes returns a copy of the secret.
func (s Secret) Bytes() []byte { return append([]byte(nil), s.b[:]...) }

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool { return subtle.ConstantTimeCompare(s.b[:], o.b[:]) == 1 }

// Equal compares in constant time.
func (s Share) Equal(o Share) bool { return subtle.ConstantTimeCompare(s.b[:], o.b[:]) == 1 }

const redacted = "(secret)"

// Format prints "(secret)" whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// Format prints "(secret)" whatever the verb.
func (Share) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue logs "(secret)".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// LogValue logs "(secret)".
func (Share) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses with ErrSecret, and so does every encoder that asks it.
func (Secret) MarshalText() ([]byte, error) { return nil, ErrSecret }

// MarshalText refuses with ErrSecret, and so does every encoder that asks it.
func (Share) MarshalText() ([]byte, error) { return nil, ErrSecret }

// MarshalBinary refuses with ErrSecret.
func (Secret) MarshalBinary() ([]byte, error) { return nil, ErrSecret }

// MarshalBinary refuses with ErrSecret.
func (Share) MarshalBinary() ([]byte, error) { return nil, ErrSecret }
