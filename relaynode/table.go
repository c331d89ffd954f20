package relaynode

import (
	"slices"
	"sync"

	"conclave/relaynode/peers"

	"github.com/libp2p/go-libp2p/core/peer"
)

// table holds the current session of each member. A peer has at most one; a newer one takes an older one's place.
type table struct {
	mu      sync.RWMutex
	current map[peer.ID]*member // guarded by mu
}

func newTable() *table { return &table{current: make(map[peer.ID]*member)} }

// enter makes m the current session of its peer and returns the one that was, or nil.
func (t *table) enter(m *member) *member {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.current[m.peer]
	t.current[m.peer] = m
	return before
}

// leave ends m's time as the current session and reports whether it was that.
func (t *table) leave(m *member) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current[m.peer] != m {
		return false
	}
	delete(t.current, m.peer)
	return true
}

// get returns the current session of a peer, or nil.
func (t *table) get(p peer.ID) *member {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.current[p]
}

// online reports whether a peer has a session.
func (t *table) online(p peer.ID) bool { return t.get(p) != nil }

// peers returns the peers that have a session, sorted.
func (t *table) peers() []peer.ID {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]peer.ID, 0, len(t.current))
	for p := range t.current {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// all returns the current sessions.
func (t *table) all() []*member {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]*member, 0, len(t.current))
	for _, m := range t.current {
		all = append(all, m)
	}
	return all
}

// Heard reports whether a peer has a session and was heard lately.
func (t *table) Heard(p peer.ID) bool {
	m := t.get(p)
	return m != nil && !m.quiet.Load()
}

// Present returns the peers that have a session and were heard lately, sorted.
func (t *table) Present() []peer.ID {
	return slices.DeleteFunc(t.peers(), func(p peer.ID) bool { return !t.Heard(p) })
}

// Session returns the current session of a member, if it has one.
func (t *table) Session(p peer.ID) (peers.Member, bool) {
	m := t.get(p)
	return m, m != nil
}
