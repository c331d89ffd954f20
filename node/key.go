package node

import (
	"encoding/hex"
	"log/slog"
)

// Key is a session key Kabc on its way to a screen. Printing, logging and marshalling it yield a placeholder.
type Key struct{ bytes [32]byte }

// redacted is what a Key prints as.
const redacted = "Kabc(hidden)"

// Reveal returns the key as 64 hex digits, for a demonstration that shows it on purpose.
func (k Key) Reveal() string { return hex.EncodeToString(k.bytes[:]) }

// String returns a placeholder.
func (k Key) String() string { return redacted }

// GoString returns a placeholder.
func (k Key) GoString() string { return redacted }

// LogValue returns a placeholder.
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a placeholder.
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
