package node

import (
	"context"
	"errors"
	"fmt"

	"conclave/node/keyagreement"
	"conclave/overlay/wire"
	"conclave/pki"
)

// takeRoster takes a newer roster, from whomever it comes: the authority signed it. It is on disk before anything else
// is done with it. One that is here already is no error; an older or a contradicting one is.
func (n *Node) takeRoster(ctx context.Context, envelope []byte) error {
	next, replaced, err := n.roster.Take(envelope, n.cfg.Now())
	if errors.Is(err, pki.ErrRosterConflict) {
		n.cfg.Log.Error("two different rosters have one version; somebody signs more than one", "version", next.Version)
		n.hub.publish(Problem{
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
	e.step(keyagreement.RosterIs{Roster: rosterView(next)})
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
