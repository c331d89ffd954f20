package relaynode

import (
	"errors"
	"fmt"

	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/relaynode/news"
	"conclave/relaynode/serve"

	"github.com/libp2p/go-libp2p/core/peer"
)

// roleOf returns the name of a peer in the newest roster, empty for a stranger.
func (n *Node) roleOf(p peer.ID) wire.Role {
	if c := n.roster.Load().Certificate(p); c != nil {
		return c.Role
	}
	return ""
}

// admits reports whether the newest roster contains the peer.
func (n *Node) admits(p peer.ID) bool { return n.roster.Load().Admits(p) }

// TakeRoster offers a signed roster. A newer one is kept on disk, then served: who is no longer in it is disconnected,
// who is newly in it and connected already is disconnected once, so that pubsub greets it anew, and every session is told.
// The roster that is here already is accepted and changes nothing. An older one is refused with pki.ErrRosterOlder, a
// different one of the present version with pki.ErrRosterConflict.
func (n *Node) TakeRoster(envelope []byte) error { return n.takeRoster(envelope, "operator") }

func (n *Node) takeRoster(envelope []byte, from string) error {
	next, before, err := n.roster.Take(envelope, n.cfg.Now())
	switch {
	case errors.Is(err, pki.ErrRosterConflict):
		n.count.inc(rosterConflict)
		n.log.Error("two different rosters have one version; the second is refused", "version", next.Version, "from", from, "have", n.roster.Load().Hash, "refused", next.Hash)
		return err
	case err != nil:
		n.count.inc(rosterRefused)
		return fmt.Errorf("taking a roster: %w", err)
	case before == nil:
		return nil
	}
	n.rosterChanged(before, next, from)
	return nil
}

// offeredRoster takes a newer roster from whoever has it. An older one is answered with the newer: that one needs it.
func (n *Node) offeredRoster(msg *wire.RosterUpdate, from string) serve.Verdict {
	err := n.takeRoster(msg.Envelope, from)
	if err == nil {
		return serve.Verdict{}
	}
	if isOlder(err) {
		return serve.Verdict{Reply: &wire.RosterUpdate{Envelope: n.roster.Load().Envelope}}
	}
	return serve.Verdict{Code: wire.RefusedMalformed, Text: "that roster is not acceptable", Reason: err}
}

// rosterChanged acts on a roster that has just been taken.
func (n *Node) rosterChanged(before, next *pki.Roster, from string) {
	var added, removed []wire.Role
	var gone []peer.ID
	for _, m := range before.Members {
		if !next.Admits(m.Peer) {
			removed = append(removed, m.Role)
			gone = append(gone, m.Peer)
		}
	}
	for _, m := range next.Members {
		if !before.Admits(m.Peer) {
			added = append(added, m.Role)
		}
	}
	n.log.Info("roster taken", "version", next.Version, "from", from, "members", len(next.Members), "added", added, "removed", removed)
	n.warnExpiry(next)
	n.door.RosterChanged(before, next)
	n.tellEverybody(news.Roster)
	n.peers.RosterChanged()
	n.sweeper.forget(gone...)
}

// warnExpiry says in the log that the roster ends soon or has ended.
func (n *Node) warnExpiry(r *pki.Roster) {
	if text := pki.Warning(fmt.Sprintf("roster version %d", r.Version), r.Expires, n.cfg.Now()); text != "" {
		n.log.Warn(text)
	}
}

func isOlder(err error) bool { return errors.Is(err, pki.ErrRosterOlder) }
