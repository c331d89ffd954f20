package node

import (
	"conclave/node/keyagreement"
	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/peer"
)

// presence is who is said to be connected to the relay node. It decides which way is tried first, never more.
type presence struct {
	e      *engine
	online map[wire.Role]bool
	last   []peer.ID // the last hint
	hinted bool      // there was one since the link came up
}

func newPresence(e *engine) presence { return presence{e: e, online: make(map[wire.Role]bool)} }

// hint takes the relay node's word. A hint that comes before the link is ready waits for it.
func (p *presence) hint(online []peer.ID) {
	p.last, p.hinted = online, true
	if p.e.links.ready() {
		p.apply(false)
	}
}

// relayUp applies a hint that came early.
func (p *presence) relayUp() {
	if p.hinted {
		p.apply(true)
	}
}

// relayDown forgets who was there: nobody can tell any more.
func (p *presence) relayDown() {
	p.hinted, p.last = false, nil
	for _, m := range p.e.roster.Members {
		if p.online[m.Role] {
			delete(p.online, m.Role)
			p.e.publish(Peer{At: p.e.at(), Role: m.Role})
		}
	}
}

// apply tells the machine and the screens what changed; with all, the machine hears of everybody.
func (p *presence) apply(all bool) {
	e := p.e
	now := make(map[wire.Role]bool, len(p.last))
	for _, id := range p.last {
		if m, _, ok := e.roster.MemberByPeer(id); ok && m.Role != e.self {
			now[m.Role] = true
		}
	}
	before := p.online
	p.online = now
	for _, m := range e.roster.Members {
		if m.Role == e.self || !all && before[m.Role] == now[m.Role] {
			continue
		}
		if before[m.Role] != now[m.Role] {
			e.publish(Peer{At: e.at(), Role: m.Role, Online: now[m.Role], Path: e.pathTo(m, now[m.Role])})
		}
		if now[m.Role] {
			e.step(keyagreement.Online{Role: m.Role})
		} else {
			e.step(keyagreement.Offline{Role: m.Role})
		}
	}
}

// pathTo returns how a member is reached.
func (e *engine) pathTo(m pki.Member, online bool) Path {
	switch {
	case !online:
		return ""
	case overlay.Direct(e.n.host, m.Peer):
		return Direct
	}
	return ViaRelay
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
		RosterExpires: e.roster.Expires, Links: e.links.list(), Waiting: e.n.in.count(),
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
			s.Online = e.members.online[m.Role]
			s.Path = e.pathTo(m, s.Online)
			s.PairCode = pki.PairCode(e.cfg.Group.ID, e.n.self.Certificate, m.Certificate)
		}
		w.Members = append(w.Members, s)
	}
	return w
}
