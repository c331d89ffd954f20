package verify

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"
)

// ErrCodeChanged is returned by Set for a code that is not, or not any more, the one that this member computes.
var ErrCodeChanged = errors.New("the code is not the one that this member computes")

// Trust is what a person found when comparing a code.
type Trust string

// The states of a code.
const (
	// Unverified: nobody has compared this code yet.
	Unverified Trust = "unverified"
	// Verified: somebody has compared it and found the same on the other side.
	Verified Trust = "verified"
	// Changed: it is not the code that was here before, so somebody's keys are not the ones they were.
	Changed Trust = "changed"
)

// Verification is a code to compare over another channel, and what is remembered about it.
type Verification struct {
	// Role is the member to compare it with; empty is the group code, which everybody has.
	Role  wire.Role
	Code  string
	Trust Trust
	// Since is when it was verified, or when it was first seen.
	Since time.Time
	// Before is the code that was here before, with Changed, and WasVerified says that it had been compared.
	Before      string
	WasVerified bool
}

// Record is something to remember under a key until the next start.
type Record struct {
	Key   string
	Value []byte
}

// Change says that the code of a member (or, for an empty role, of the group) is not the one that is remembered.
type Change struct {
	Role        wire.Role
	WasVerified bool
}

// keyPrefix begins the keys under which codes are remembered; the group's is the prefix alone.
const keyPrefix = "code/"

// memory is what is remembered of one code.
type memory struct {
	Code     string
	Verified bool
	Since    time.Time
	// Before is the code that this one took the place of, while nobody has looked at the new one.
	Before      string `json:",omitempty"`
	WasVerified bool   `json:",omitempty"`
}

// Book holds the remembered codes of one member. See New.
type Book struct {
	group *pki.Group
	self  *pki.Certificate
	all   map[wire.Role]memory // by the other member; the group's under the empty role
}

// New returns the book of the member with that certificate. stored are the records of earlier runs; others among them are
// left out.
func New(group *pki.Group, self *pki.Certificate, stored map[string][]byte) *Book {
	b := &Book{group: group, self: self, all: make(map[wire.Role]memory)}
	for key, value := range stored {
		var one memory
		role, ok := strings.CutPrefix(key, keyPrefix)
		if !ok || json.Unmarshal(value, &one) != nil {
			continue // another kind of record, or of another version: the code counts as not seen before
		}
		b.all[wire.Role(role)] = one
	}
	return b
}

// codes returns the present codes, the group's first, in role order.
func (b *Book) codes(r *pki.Roster) []Verification {
	list := []Verification{{Code: pki.GroupCode(b.group)}}
	for _, m := range r.Members {
		if m.Role != b.self.Role {
			list = append(list, Verification{Role: m.Role, Code: b.Pair(m)})
		}
	}
	return list
}

// Pair returns the code to compare with another member.
func (b *Book) Pair(m pki.Member) string { return pki.PairCode(b.group.ID, b.self, m.Certificate) }

// Look compares the present codes with the remembered ones. It returns what is to be remembered from now on, and the codes
// that are not the ones which somebody has last looked at.
func (b *Book) Look(r *pki.Roster, now time.Time) (keep []Record, changed []Change) {
	for _, v := range b.codes(r) {
		old, known := b.all[v.Role]
		switch {
		case !known:
			keep = append(keep, b.keep(v.Role, memory{Code: v.Code, Since: now}))
		case old.Code != v.Code: // defence: code-changed
			before, was := old.Code, old.Verified
			if old.Before != "" { // nobody has looked at the last change either
				before, was = old.Before, old.WasVerified
			}
			keep = append(keep, b.keep(v.Role, memory{Code: v.Code, Since: now, Before: before, WasVerified: was}))
		}
		if m := b.all[v.Role]; m.Before != "" {
			changed = append(changed, Change{Role: v.Role, WasVerified: m.WasVerified})
		}
	}
	return keep, changed
}

// List returns the present codes, the group's first, then one for each other member, with what is remembered of each.
func (b *Book) List(r *pki.Roster) []Verification {
	list := b.codes(r)
	for i := range list {
		v, known := &list[i], b.all[list[i].Role]
		v.Trust, v.Since, v.Before, v.WasVerified = Unverified, known.Since, known.Before, known.WasVerified
		switch {
		case known.Before != "":
			v.Trust = Changed
		case known.Verified:
			v.Trust = Verified
		}
	}
	return list
}

// Set notes whether a person has found a code to be right. The code has to be the present one: ErrCodeChanged otherwise.
func (b *Book) Set(r *pki.Roster, role wire.Role, code string, right bool, now time.Time) (Record, error) {
	for _, v := range b.codes(r) {
		if v.Role == role && v.Code == code { // defence: code-present
			return b.keep(role, memory{Code: code, Verified: right, Since: now}), nil
		}
	}
	return Record{}, ErrCodeChanged
}

func (b *Book) keep(role wire.Role, m memory) Record {
	value, err := json.Marshal(m)
	if err != nil {
		panic("a remembered code does not marshal: " + err.Error()) // it is made of strings and times
	}
	b.all[role] = m
	return Record{Key: keyPrefix + string(role), Value: value}
}
