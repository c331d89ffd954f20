package keyagreement

import (
	"io"

	"conclave/node/keyagreement/limits"
	"conclave/node/keyagreement/roster"
	"conclave/overlay/wire"
)

// Member is what the machine knows of one member of a roster.
type Member = roster.Member

// Roster is the slim view of a verified roster.
type Roster = roster.Roster

// Config is what a machine is made from. All fields without a stated default are required.
type Config struct {
	// Group is the group's ID.
	Group wire.GroupID
	// Self is this member's role.
	Self wire.Role
	// Instance names this run: 16 random bytes drawn at this process start, never stored and used again.
	Instance wire.Instance
	// Roster is the newest roster held.
	Roster Roster
	// Sign returns the Ed25519 signature (64 bytes) by this member's identity key.
	Sign func(message []byte) []byte
	// Verify tells whether signature is key's over message; default Ed25519.
	Verify func(key [32]byte, message, signature []byte) bool
	// Rand gives shares, blinds and nonces; default crypto/rand.
	Rand io.Reader
	// Records is everything persisted earlier, by key; the machine keeps no reference to it.
	Records map[string][]byte
	// Limits are the numbers of SPEC.md section 6; the zero value takes DefaultLimits.
	Limits limits.Limits
}
