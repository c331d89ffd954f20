package node

import (
	"context"
	"errors"
	"fmt"

	"conclave/node/delivery"
	"conclave/node/keyagreement/event"
	"conclave/node/verify"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/peer"
)

// takeRoster takes a newer roster, from whomever it comes: the authority signed it. It is on disk before anything else
// is done with it. One that is here already is no error; an older or a contradicting one is.
func (n *Node) takeRoster(ctx context.Context, envelope []byte) error {
	next, replaced, err := n.roster.Take(envelope, n.cfg.Now())
	if errors.Is(err, pki.ErrRosterConflict) {
		n.cfg.Log.Error("two different rosters have one version; somebody signs more than one", "version", next.Version)
		n.hub.Publish(Problem{
			At: At{n.cfg.Now()}, Text: fmt.Sprintf("there are two different rosters with version %d", next.Version),
			Hint: "ask whoever keeps the group's CA key",
		})
	}
	if err != nil || replaced == nil {
		return err
	}
	if !n.post(ctx, func(e *engine) { e.rosterIs(next) }) {
		return ctx.Err()
	}
	n.uplink.Follow(n.roster.Load())
	return nil
}

// rosterIs gives a roster that is in force to the machine and tells what it changes.
func (e *engine) rosterIs(next *pki.Roster) {
	if next.Version <= e.roster.Version {
		return // a newer one overtook it
	}
	old := e.roster
	e.roster = next
	added, removed := difference(old, next)
	e.cfg.Log.Info("newer roster", "version", next.Version, "added", added, "removed", removed)
	e.publish(RosterChanged{At: e.at(), Version: next.Version, Expires: next.Expires, Added: added, Removed: removed})
	for _, m := range old.Members {
		if !next.Admits(m.Peer) {
			e.reach.Removed(m.Role)
			_ = e.n.host.Network().ClosePeer(m.Peer)
		}
	}
	for _, m := range next.Members {
		if !old.Admits(m.Peer) && m.Peer != e.n.self.Peer {
			_ = e.n.host.Network().ClosePeer(m.Peer) // pubsub greets a peer only at connection
		}
	}
	if _, _, ok := next.MemberByPeer(e.n.self.Peer); !ok {
		e.publish(Problem{At: e.at(), Text: "this member was removed from the group", Hint: "ask whoever keeps the group's CA key"})
	}
	e.offerRoster("")
	e.lookAtCodes()
	e.deliver(delivery.Roster{Members: len(next.Members)})
	e.step(event.RosterIs{Roster: rosterView(next)})
}

// difference returns who is new and who is gone. A member with another identity is both.
func difference(old, next *pki.Roster) (added, removed []wire.Role) {
	for _, m := range next.Members {
		if _, _, ok := old.MemberByPeer(m.Peer); !ok {
			added = append(added, m.Role)
		}
	}
	for _, m := range old.Members {
		if _, _, ok := next.MemberByPeer(m.Peer); !ok {
			removed = append(removed, m.Role)
		}
	}
	return added, removed
}

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

// roleOf names a peer for a log line.
func (e *engine) roleOf(id peer.ID) wire.Role {
	if m, _, ok := e.roster.MemberByPeer(id); ok {
		return m.Role
	}
	return "?"
}

// who returns how things stand.
func (e *engine) who() Who {
	w := Who{
		Self: e.self, Group: e.cfg.Group.Name, GroupCode: pki.GroupCode(e.cfg.Group), RosterVersion: e.roster.Version,
		RosterExpires: e.roster.Expires, Links: e.linkList(), Waiting: e.n.in.Count(),
	}
	var confirmed map[wire.Role]bool
	if ch := e.sessions.using; ch != nil {
		w.Epoch, w.Fingerprint = ch.about.Number, ch.about.Fingerprint
		confirmed = ch.confirmed
	}
	for _, m := range e.roster.Members {
		s := MemberStatus{Role: m.Role, Confirmed: confirmed[m.Role]}
		if m.Role == e.self {
			s.Online, s.Confirmed = true, e.sessions.using != nil
		} else {
			s.Online = e.reach.Online(m.Role)
			way := e.reach.Way(m)
			s.Path, s.Reason = way.Path, way.Reason
			s.PairCode = e.codes.Pair(m)
		}
		w.Members = append(w.Members, s)
	}
	return w
}

// offerRoster hands the roster to a member that is near, or with nobody named to all that are.
func (e *engine) offerRoster(to wire.Role) {
	for id, v := range e.near {
		if to == "" || e.roleOf(id) == to {
			v.Offer(&wire.RosterUpdate{Envelope: e.roster.Envelope})
		}
	}
}
