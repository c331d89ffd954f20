package node

import (
	"crypto/ed25519"
	"maps"
	"slices"
	"time"

	"conclave/node/deadline"
	"conclave/node/keyagreement"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/peer"
)

// heardLately is how long somebody who was heard counts as present, whatever a hint says: hints are told together, a
// little later, and what a member asks for on its arrival is faster.
const heardLately = 2 * time.Second

// presence is who is there: whom a relay node says that it sees, and whoever is in the topic over a connection of its own. It
// decides which way is tried first, never more.
type presence struct {
	e      *engine
	online map[wire.Role]bool
	hints  map[peer.ID][]peer.ID // the last hint of each source
	told   map[wire.Role]bool
	near   map[peer.ID]bool // members in the topic over a connection of their own: no relay node is needed for them
	signs  map[wire.Role]*signs
	due    time.Time // when somebody who was heard is to be looked at again
}

// signs are what a member's being there was noticed by.
type signs struct {
	heard time.Time // the last
	live  bool      // heard over the topic since it came: so it hears the topic too
}

func newPresence(e *engine) presence {
	return presence{
		e: e, online: make(map[wire.Role]bool), told: make(map[wire.Role]bool), signs: make(map[wire.Role]*signs),
		hints: make(map[peer.ID][]peer.ID), near: make(map[peer.ID]bool),
	}
}

// hears notes that something of a member arrived, over the topic or by mail.
func (p *presence) hears(signer ed25519.PublicKey, topic bool) {
	if m, ok := p.e.roster.MemberByIdentity(signer); ok {
		s := p.of(m.Role)
		s.heard, s.live = time.Now(), s.live || topic
	}
}

// of returns what is known of a member, to be changed in place.
func (p *presence) of(role wire.Role) *signs {
	s := p.signs[role]
	if s == nil {
		s = new(signs)
		p.signs[role] = s
	}
	return s
}

// listens reports whether a member is known to hear the topic. One that is merely said to be there may have its session
// and not the topic yet.
func (p *presence) listens(role wire.Role) bool { return p.online[role] && p.of(role).live }

// hint takes a source's word. A hint that comes before a link is ready waits for it.
func (p *presence) hint(source peer.ID, online []peer.ID) {
	p.hints[source] = online
	if p.e.relays.Ready() {
		p.apply()
	}
}

// gone forgets what a source said, when others are left.
func (p *presence) gone(source peer.ID) {
	delete(p.hints, source)
	if p.e.relays.Ready() && len(p.hints) > 0 {
		p.apply()
	}
}

// nearAre is told which members are in the topic without a relay node in between.
func (p *presence) nearAre(members []peer.ID) {
	clear(p.near)
	for _, id := range members {
		p.near[id] = true
	}
	p.apply()
}

// relayUp applies a hint that came early. The machine hears of everybody.
func (p *presence) relayUp() {
	clear(p.told)
	if len(p.hints)+len(p.near) > 0 {
		p.apply()
	}
}

// relayDown forgets who was there: nobody can tell any more, except of those who are near. What links that are not ready
// yet said waits for them.
func (p *presence) relayDown() {
	if len(p.near) > 0 {
		p.apply()
		return
	}
	p.due = time.Time{}
	for _, s := range p.signs {
		s.live = false
	}
	for _, m := range p.e.roster.Members {
		if p.online[m.Role] {
			delete(p.online, m.Role)
			p.e.paths.is(m, false)
		}
	}
}

// apply tells the machine and the screens what changed.
func (p *presence) apply() {
	e := p.e
	before := p.online
	p.online = make(map[wire.Role]bool, len(before))
	for _, id := range p.sources() {
		if m, _, ok := e.roster.MemberByPeer(id); ok && m.Role != e.self {
			p.online[m.Role] = true
		}
	}
	for _, m := range e.roster.Members {
		if m.Role == e.self {
			continue
		}
		now := p.online[m.Role]
		if before[m.Role] && !now {
			p.of(m.Role).live = false
		}
		if before[m.Role] != now {
			e.paths.is(m, now)
		}
		p.tell(m.Role, now)
	}
}

// sources returns everybody whom some source sees.
func (p *presence) sources() []peer.ID {
	seen := slices.Collect(maps.Keys(p.near))
	if p.e.relays.Ready() {
		for _, online := range p.hints {
			seen = append(seen, online...)
		}
	}
	return seen
}

// tell tells the machine whether a member is there, unless it knows.
func (p *presence) tell(role wire.Role, now bool) {
	if told, ok := p.told[role]; ok && told == now {
		return
	}
	if until := p.of(role).heard.Add(heardLately); !now && time.Now().Before(until) {
		p.due = deadline.Sooner(p.due, until)
		return
	}
	p.told[role] = now
	if now {
		p.e.step(keyagreement.Online{Role: role})
	} else {
		p.e.step(keyagreement.Offline{Role: role})
	}
}

// tick looks again at those who were heard.
func (p *presence) tick() {
	if p.due.IsZero() || time.Now().Before(p.due) {
		return
	}
	p.due = time.Time{}
	p.apply()
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
			s.Online = e.members.online[m.Role]
			way := e.paths.to(m, s.Online)
			s.Path, s.Reason = way.path, way.reason
			s.PairCode = e.codes.Pair(m)
		}
		w.Members = append(w.Members, s)
	}
	return w
}
