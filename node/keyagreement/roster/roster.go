// Package roster is what the key agreement sees of a verified roster: who is a member, and with which keys.
//
// It verifies nothing: its owner did. It may be imported by the key agreement.
package roster

import (
	"slices"
	"strings"
	"time"

	"conclave/overlay/wire"
)

// Member is what the key agreement knows of one member of a roster.
type Member struct {
	// Role is the member's name in the group.
	Role wire.Role
	// Identity is the member's Ed25519 public key (32 bytes), the one its peer ID embeds.
	Identity [32]byte
	// Unwrap is the SHA-256 of the DER SubjectPublicKeyInfo of the member's RSA key. A member of the same name and
	// identity whose RSA key differs is another reader: the roster that changed it removed the old one.
	Unwrap [32]byte
}

// Roster is the slim view of a verified roster.
type Roster struct {
	// Version only grows.
	Version uint64
	// Hash names this very roster.
	Hash wire.RosterHash
	// Expires is when this roster stops starting epochs.
	Expires time.Time
	// Members are all members in role order, this one among them.
	Members []Member
}

// View is a roster with its index.
type View struct {
	Roster
	Index map[wire.Role]int // of each member
	Saved bool              // the snapshot is among the records
}

// New returns the view of a roster.
func New(r Roster) *View {
	r.Members = slices.Clone(r.Members)
	slices.SortFunc(r.Members, func(a, b Member) int { return strings.Compare(string(a.Role), string(b.Role)) })
	v := &View{Roster: r, Index: make(map[wire.Role]int, len(r.Members))}
	for i, m := range r.Members {
		v.Index[m.Role] = i
	}
	return v
}

// Key tells whether key is the identity of role in this roster.
func (v *View) Key(role wire.Role, key [32]byte) bool {
	i, ok := v.Index[role]
	return ok && v.Members[i].Identity == key
}

// Holds tells whether this roster has the very same member.
func (v *View) Holds(m Member) bool {
	i, ok := v.Index[m.Role]
	return ok && v.Members[i] == m
}

// Removes tells whether a member of the older roster is not, or not with the same keys, in this one.
func (v *View) Removes(older *View) bool {
	if v == older || v.Hash == older.Hash {
		return false
	}
	return slices.ContainsFunc(older.Members, func(m Member) bool { return !v.Holds(m) })
}

// RoleOf names the member that has a key; "" if none has.
func (v *View) RoleOf(key [32]byte) wire.Role {
	for i := range v.Members {
		if v.Members[i].Identity == key {
			return v.Members[i].Role
		}
	}
	return ""
}

// Answers tells whether self answers for others when asker asks for something at an attempt, from 0: none at first, then one,
// two, four and so on in role order and from the front again, so that everybody is reached soon and few answer twice.
func (v *View) Answers(self, asker wire.Role, attempt uint32) bool {
	if attempt == 0 {
		return false
	}
	index := v.Index[self]
	if v.Index[asker] < index {
		index--
	}
	others := len(v.Members) - 1
	size := 1 << min(attempt-1, 16)
	return (index-(size-1)%others+others)%others < size
}
