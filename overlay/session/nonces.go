package session

import (
	"sync"
	"time"

	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// noncesPerPeer is how many handshakes of one peer are remembered at once. Nothing is ever forgotten early to make
// room: a peer that begins more is refused until its oldest are forgotten, and no peer's take another's place. Arbitrary.
const noncesPerPeer = 256

// nonceMemory is how long a nonce is remembered: a hello is acceptable from 60 s before its time to 60 s after, and
// one second more covers rounding.
const nonceMemory = 2*MaxSkew + time.Second

// NonceCache remembers handshake nonces as long as a replayed handshake could pass the check of its time. It is safe
// for any number of goroutines: of several that bring one nonce exactly one wins. Give it only nonces whose signature
// and peer have been checked, so that strangers cannot fill it.
type NonceCache struct {
	mu    sync.Mutex // guards peers
	peers map[peer.ID]*peerNonces
}

type peerNonces struct {
	seen  map[wire.Nonce]struct{}
	order []seenNonce // oldest first
}

type seenNonce struct {
	nonce wire.Nonce
	until time.Time
}

// NewNonceCache returns an empty cache.
func NewNonceCache() *NonceCache { return &NonceCache{peers: make(map[peer.ID]*peerNonces)} }

// Use remembers a nonce. It returns ErrReplay if it is there already, ErrTooMany if the peer has too many.
func (c *NonceCache) Use(p peer.ID, n wire.Nonce, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.peers[p]
	if known == nil {
		c.sweep(now)
		known = &peerNonces{seen: make(map[wire.Nonce]struct{})}
		c.peers[p] = known
	}
	known.forget(now)
	if _, ok := known.seen[n]; ok {
		return ErrReplay
	}
	if len(known.order) >= noncesPerPeer {
		return ErrTooMany
	}
	known.seen[n] = struct{}{}
	known.order = append(known.order, seenNonce{n, now.Add(nonceMemory)})
	return nil
}

// sweep drops peers of which nothing is remembered any more. It runs when a peer is new, so its cost is bounded by how
// many there are.
func (c *NonceCache) sweep(now time.Time) {
	for p, known := range c.peers {
		if known.forget(now); len(known.order) == 0 {
			delete(c.peers, p)
		}
	}
}

// forget drops what is too old. With a clock that jumped back, what was remembered before stays longer, never shorter.
func (k *peerNonces) forget(now time.Time) {
	i := 0
	for i < len(k.order) && now.After(k.order[i].until) {
		delete(k.seen, k.order[i].nonce)
		i++
	}
	k.order = k.order[i:]
}
