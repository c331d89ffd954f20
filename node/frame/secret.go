package frame

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
)

// redacted is what a secret shows of itself.
const redacted = "[secret]"

// errMarshal is returned by every text encoding of a secret.
var errMarshal = errors.New("a secret is not for marshaling")

// PRK is a session's pseudorandom key (32 bytes), from which all of its keys follow. It does not print and does not
// marshal.
type PRK struct{ k key }

// NewPRK copies a PRK from its 32 bytes. The caller clears them.
func NewPRK(b []byte) (PRK, error) {
	if len(b) != len(key{}) {
		return PRK{}, fmt.Errorf("a PRK has %d bytes, not %d", len(key{}), len(b))
	}
	return PRK{k: key(b)}, nil
}

// Equal reports in constant time whether two PRKs are the same.
func (p PRK) Equal(q PRK) bool { return subtle.ConstantTimeCompare(p.k[:], q.k[:]) == 1 }

// Clear overwrites the PRK.
func (p *PRK) Clear() { clear(p.k[:]) }

// Format prints a placeholder, whatever the verb.
func (p PRK) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue logs a placeholder.
func (p PRK) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText fails: a PRK is not for marshaling.
func (p PRK) MarshalText() ([]byte, error) { return nil, errMarshal }

// key is 32 secret bytes: a root, a chain, an AES key or a MAC key.
type key [32]byte

// Format prints a placeholder, whatever the verb.
func (k key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue logs a placeholder.
func (k key) LogValue() slog.Value { return slog.StringValue(redacted) }

// messageKeys are the two keys of one frame.
type messageKeys struct{ aes, mac key }

// Format prints a placeholder, whatever the verb: fmt does not ask fields that it cannot see.
func (m messageKeys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// clear overwrites both keys.
func (m *messageKeys) clear() { *m = messageKeys{} }

// Checkpoint is a session's state at one moment, to be written durably. It is secret as the keys that it holds are, and
// does not print.
type Checkpoint struct {
	state   []byte
	session *Session
	changes uint64
}

// Bytes returns the state, for Restore.
func (c Checkpoint) Bytes() []byte { return c.state }

// Format prints a placeholder, whatever the verb.
func (c Checkpoint) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue logs a placeholder.
func (c Checkpoint) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText fails: a state is not for marshaling as text.
func (c Checkpoint) MarshalText() ([]byte, error) { return nil, errMarshal }

// Format prints the session's name and nothing else, whatever the verb.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "session %s", s.prefix) }

// LogValue logs the session's name.
func (s *Session) LogValue() slog.Value { return slog.StringValue("session " + s.prefix.String()) }
