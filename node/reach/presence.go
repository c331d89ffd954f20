package reach

import (
	"crypto/ed25519"
	"maps"
	"slices"
	"time"

	"conclave/node/deadline"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// heardLately is how long somebody who was heard counts as present, whatever a hint says: hints are told together, a
// little later, and what a member asks for on its arrival is faster.
const heardLately = 2 * time.Second

// signs are what a member's being there was noticed by.
type signs struct {
	heard time.Time // the last
	live  bool      // heard over the topic since it came: so it hears the topic too
}

// Heard notes that something of a member arrived, over the topic or by mail.
func (r *Reach) Heard(signer ed25519.PublicKey, topic bool) {
	if m, ok := r.cfg.Roster().MemberByIdentity(signer); ok {
		s := r.of(m.Role)
		s.heard, s.live = time.Now(), s.live || topic
	}
}

// of returns what is known of a member, to be changed in place.
func (r *Reach) of(role wire.Role) *signs {
	s := r.signs[role]
	if s == nil {
		s = new(signs)
		r.signs[role] = s
	}
	return s
}

// Listens reports whether a member is known to hear the topic. One that is merely said to be there may have its session
// and not the topic yet.
func (r *Reach) Listens(role wire.Role) bool { return r.online[role] && r.of(role).live }

// Hint takes a source's word. A hint that comes before a link is ready waits for it.
func (r *Reach) Hint(source peer.ID, online []peer.ID) {
	r.hints[source] = online
	if r.cfg.Relays.Ready() {
		r.apply()
	}
}

// HintGone forgets what a source said, when others are left.
func (r *Reach) HintGone(source peer.ID) {
	delete(r.hints, source)
	if r.cfg.Relays.Ready() && len(r.hints) > 0 {
		r.apply()
	}
}

// Near is told which members are in the topic without a relay node in between.
func (r *Reach) Near(members []peer.ID) {
	clear(r.near)
	for _, id := range members {
		r.near[id] = true
	}
	r.apply()
}

// RelayUp applies a hint that came early. The Sink hears of everybody.
func (r *Reach) RelayUp() {
	clear(r.stated)
	if len(r.hints)+len(r.near) > 0 {
		r.apply()
	}
}

// RelayDown forgets who was there: nobody can tell any more, except of those who are near. What links that are not ready
// yet said waits for them.
func (r *Reach) RelayDown() {
	if len(r.near) > 0 {
		r.apply()
		return
	}
	r.lookDue = time.Time{}
	for _, s := range r.signs {
		s.live = false
	}
	for _, m := range r.cfg.Roster().Members {
		if r.online[m.Role] {
			delete(r.online, m.Role)
			r.is(m, false)
		}
	}
}

// apply tells what changed.
func (r *Reach) apply() {
	before := r.online
	r.online = make(map[wire.Role]bool, len(before))
	for _, id := range r.sources() {
		if m, _, ok := r.cfg.Roster().MemberByPeer(id); ok && m.Role != r.cfg.Self.Role {
			r.online[m.Role] = true
		}
	}
	for _, m := range r.cfg.Roster().Members {
		if m.Role == r.cfg.Self.Role {
			continue
		}
		now := r.online[m.Role]
		if before[m.Role] && !now {
			r.of(m.Role).live = false
		}
		if before[m.Role] != now {
			r.is(m, now)
		}
		r.state(m.Role, now)
	}
}

// sources returns everybody whom some source sees.
func (r *Reach) sources() []peer.ID {
	seen := slices.Collect(maps.Keys(r.near))
	if r.cfg.Relays.Ready() {
		for _, online := range r.hints {
			seen = append(seen, online...)
		}
	}
	return seen
}

// state says whether a member is there, unless it knows.
func (r *Reach) state(role wire.Role, now bool) {
	if told, ok := r.stated[role]; ok && told == now {
		return
	}
	if until := r.of(role).heard.Add(heardLately); !now && time.Now().Before(until) {
		r.lookDue = deadline.Sooner(r.lookDue, until)
		return
	}
	r.stated[role] = now
	r.cfg.Sink.Present(role, now)
}

// tickPresence looks again at those who were heard.
func (r *Reach) tickPresence() {
	if r.lookDue.IsZero() || time.Now().Before(r.lookDue) {
		return
	}
	r.lookDue = time.Time{}
	r.apply()
}

// Online reports whether a member is there.
func (r *Reach) Online(role wire.Role) bool { return r.online[role] }

// Removed forgets a member who is not in the roster any more.
func (r *Reach) Removed(role wire.Role) { delete(r.online, role) }
