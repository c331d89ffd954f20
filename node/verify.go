package node

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"
)

// ErrCodeChanged is returned by Verify for a code that is not, or not any more, the one that this member computes.
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

// CodeChanged says that the code of a member (or of the group) is not the one that is remembered.
type CodeChanged struct {
	At
	Role        wire.Role // empty: the group
	WasVerified bool
}

// markPrefix begins the names under which codes are remembered; the group's is the prefix alone.
const markPrefix = "code/"

// mark is what is remembered of one code.
type mark struct {
	Code     string
	Verified bool
	Since    time.Time
	// Before is the code that this one took the place of, while nobody has looked at the new one.
	Before      string `json:",omitempty"`
	WasVerified bool   `json:",omitempty"`
}

// marks are the remembered codes. Owned by the engine.
type marks struct {
	e   *engine
	all map[wire.Role]mark
}

func newMarks(e *engine, stored map[string][]byte) marks {
	m := marks{e: e, all: make(map[wire.Role]mark)}
	for key, value := range stored {
		var one mark
		role, ok := strings.CutPrefix(key, markPrefix)
		if !ok || json.Unmarshal(value, &one) != nil {
			continue // another kind of mark, or of another version: the code counts as not seen before
		}
		m.all[wire.Role(role)] = one
	}
	return m
}

// codes returns the present codes, the group's first, in role order.
func (e *engine) codes() []Verification {
	list := []Verification{{Code: pki.GroupCode(e.cfg.Group)}}
	for _, m := range e.roster.Members {
		if m.Role != e.self {
			list = append(list, Verification{Role: m.Role, Code: pki.PairCode(e.cfg.Group.ID, e.n.self.Certificate, m.Certificate)})
		}
	}
	return list
}

// look compares the present codes with the remembered ones. A new one is remembered; a changed one is told.
func (m *marks) look() {
	for _, v := range m.e.codes() {
		old, known := m.all[v.Role]
		switch {
		case !known:
			m.keep(v.Role, mark{Code: v.Code, Since: m.e.cfg.Now()})
		case old.Code != v.Code:
			before, was := old.Code, old.Verified
			if old.Before != "" { // nobody has looked at the last change either
				before, was = old.Before, old.WasVerified
			}
			m.keep(v.Role, mark{Code: v.Code, Since: m.e.cfg.Now(), Before: before, WasVerified: was})
		}
		if now := m.all[v.Role]; now.Before != "" {
			m.e.publish(CodeChanged{At: m.e.at(), Role: v.Role, WasVerified: now.WasVerified})
		}
	}
}

func (m *marks) keep(role wire.Role, one mark) {
	value, err := json.Marshal(one)
	if err != nil {
		panic("a remembered code does not marshal: " + err.Error()) // it is made of strings and times
	}
	m.all[role] = one
	m.e.ledger.change().Mark(markPrefix+string(role), value)
	m.e.ledger.soon()
}

// list returns the present codes and what is remembered of each.
func (m *marks) list() []Verification {
	list := m.e.codes()
	for i := range list {
		v, known := &list[i], m.all[list[i].Role]
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

// set remembers whether a person has found a code to be right.
func (m *marks) set(role wire.Role, code string, verified bool) error {
	for _, v := range m.e.codes() {
		if v.Role == role && v.Code == code {
			m.keep(role, mark{Code: code, Verified: verified, Since: m.e.cfg.Now()})
			return nil
		}
	}
	return ErrCodeChanged
}

// Verifications returns the codes to compare, the group's first, then one for each other member, with what is
// remembered of each.
func (n *Node) Verifications(ctx context.Context) ([]Verification, error) {
	var list []Verification
	err := n.call(ctx, func(e *engine) { list = e.marks.list() })
	return list, err
}

// Verify remembers that a person has compared a code with the named member (or the group code, for an empty role) and
// found it right, or with false that it is not known to be. The code has to be the present one: ErrCodeChanged otherwise.
func (n *Node) Verify(ctx context.Context, role wire.Role, code string, right bool) error {
	var failed error
	if err := n.call(ctx, func(e *engine) { failed = e.marks.set(role, code, right) }); err != nil {
		return err
	}
	return failed
}
