package pace

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Peers is a set of peers that many fill and one empties. Its bell is rung when there is something to take.
type Peers struct {
	Signal // rung by Add, and by whoever wants the one to look anyway

	mu  sync.Mutex
	set map[peer.ID]struct{} // guarded by mu
}

// NewPeers returns an empty set.
func NewPeers() *Peers { return &Peers{Signal: NewBell(), set: make(map[peer.ID]struct{})} }

// Add puts peers into the set, and rings if there are any.
func (s *Peers) Add(peers ...peer.ID) {
	if len(peers) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range peers {
		s.set[p] = struct{}{}
	}
	s.Ring()
}

// Take empties the set and returns what was in it.
func (s *Peers) Take() []peer.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []peer.ID
	for p := range s.set {
		all = append(all, p)
	}
	clear(s.set)
	return all
}
