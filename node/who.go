package node

import (
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/peer"
)

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
		RosterExpires: e.roster.Expires, Links: e.linkList(), Waiting: e.n.in.count(),
	}
	var confirmed map[wire.Role]bool
	if ch := e.chats.using; ch != nil {
		w.Epoch, w.Fingerprint = ch.about.Number, ch.about.Fingerprint
		confirmed = e.chats.by[ch.about.Transcript]
	}
	for _, m := range e.roster.Members {
		s := MemberStatus{Role: m.Role, Confirmed: confirmed[m.Role]}
		if m.Role == e.self {
			s.Online, s.Confirmed = true, e.chats.using != nil
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
