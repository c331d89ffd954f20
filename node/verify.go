package node

import (
	"context"

	"conclave/node/verify"
	"conclave/overlay/wire"
)

// ErrCodeChanged is returned by Verify for a code that is not, or not any more, the one that this member computes.
var ErrCodeChanged = verify.ErrCodeChanged

// Trust is what a person found when comparing a code.
type Trust = verify.Trust

// The states of a code.
const (
	Unverified = verify.Unverified
	Verified   = verify.Verified
	Changed    = verify.Changed
)

// Verification is a code to compare over another channel, and what is remembered about it.
type Verification = verify.Verification

// CodeChanged says that the code of a member (or of the group) is not the one that is remembered.
type CodeChanged struct {
	At
	Role        wire.Role // empty: the group
	WasVerified bool
}

// lookAtCodes compares the codes under the present roster with those that are remembered, and tells of changes.
func (e *engine) lookAtCodes() {
	keep, changed := e.codes.Look(e.roster, e.cfg.Now())
	e.keepCodes(keep...)
	for _, c := range changed {
		e.publish(CodeChanged{At: e.at(), Role: c.Role, WasVerified: c.WasVerified})
	}
}

func (e *engine) keepCodes(list ...verify.Record) {
	for _, r := range list {
		e.ledger.Change().Mark(r.Key, r.Value)
		e.ledger.Soon()
	}
}

// Verifications returns the codes to compare, the group's first, then one for each other member, with what is
// remembered of each.
func (n *Node) Verifications(ctx context.Context) ([]Verification, error) {
	var list []Verification
	err := n.call(ctx, func(e *engine) { list = e.codes.List(e.roster) })
	return list, err
}

// Verify remembers that a person has compared a code with the named member (or the group code, for an empty role) and
// found it right, or with false that it is not known to be. The code has to be the present one: ErrCodeChanged otherwise.
func (n *Node) Verify(ctx context.Context, role wire.Role, code string, right bool) error {
	var failed error
	err := n.call(ctx, func(e *engine) {
		var keep verify.Record
		if keep, failed = e.codes.Set(e.roster, role, code, right, e.cfg.Now()); failed == nil {
			e.keepCodes(keep)
		}
	})
	if err != nil {
		return err
	}
	return failed
}
