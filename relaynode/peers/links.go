package peers

import (
	"cmp"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// get returns the session with a relay node, or nil.
func (p *Peers) get(id peer.ID) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.links[id]
}

// all returns the sessions in the order of peer IDs.
func (p *Peers) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*link, 0, len(p.links))
	for _, l := range p.links {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *link) int { return cmp.Compare(a.peer, b.peer) })
	return all
}

// enter makes l the session with its relay node. It returns the one whose place it took, if any, or false when l is not
// to be: of two that both sides began at once, the one stays that the side with the lesser peer ID began. Both see it so.
func (p *Peers) enter(l *link) (before *link, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before = p.links[l.peer]
	lesser := p.host.ID() < l.peer
	if before != nil && before.dialled == lesser && l.dialled != lesser && time.Since(before.began) < youngLink {
		return nil, false
	}
	p.links[l.peer] = l
	return before, true
}

// leave ends l's time and reports whether it was the session with its relay node.
func (p *Peers) leave(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links[l.peer] != l {
		return false
	}
	delete(p.links, l.peer)
	return true
}

// at returns the relay nodes that say that a member is there.
func (p *Peers) at(member peer.ID) []*link {
	return slices.DeleteFunc(p.all(), func(l *link) bool { return !l.has(member) })
}
