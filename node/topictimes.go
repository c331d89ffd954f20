package node

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// topicTimes remembers when something last came over the topic from each peer.
type topicTimes struct {
	born time.Time
	all  sync.Map // peer.ID to *atomic.Int64: when, after born

	// Owned by the topic's event loop: of whom the last message came, and their entry in all.
	last   peer.ID
	lastAt *atomic.Int64
}

// note notes that something came. Only the topic's event loop calls it.
func (h *topicTimes) note(from peer.ID) {
	if from != h.last {
		at, _ := h.all.LoadOrStore(from, new(atomic.Int64))
		h.last, h.lastAt = from, at.(*atomic.Int64)
	}
	h.lastAt.Store(int64(time.Since(h.born)))
}

// at returns when something last came from a peer, from any goroutine; zero: never.
func (h *topicTimes) at(from peer.ID) time.Time {
	at, known := h.all.Load(from)
	if !known {
		return time.Time{}
	}
	return h.born.Add(time.Duration(at.(*atomic.Int64).Load()))
}
