package session

import (
	"slices"
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
	peers map[peer.ID]rememberedNonces
}

// rememberedNonces are one peer's, the oldest first: mostly one, for which a map would cost more than it saves.
type rememberedNonces []seenNonce

type seenNonce struct {
	nonce wire.Nonce
	until time.Time
}

// NewNonceCache returns an empty cache.
func NewNonceCache() *NonceCache { return &NonceCache{peers: make(map[peer.ID]rememberedNonces)} }

// Use remembers a nonce. It returns ErrReplay if it is there already, ErrTooMany if the peer has too many.
func (c *NonceCache) Use(p peer.ID, n wire.Nonce, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.peers[p]
	if !ok {
		c.sweep(now)
	}
	known = known.forget(now)
	c.peers[p] = known
	if slices.ContainsFunc(known, func(s seenNonce) bool { return s.nonce == n }) {
		return ErrReplay
	}
	if len(known) >= noncesPerPeer {
		return ErrTooMany
	}
	c.peers[p] = append(known, seenNonce{n, now.Add(nonceMemory)})
	return nil
}

// sweep drops peers of which nothing is remembered any more. It runs when a peer is new, so its cost is bounded by how
// many there are.
func (c *NonceCache) sweep(now time.Time) {
	for p, known := range c.peers {
		if c.peers[p] = known.forget(now); len(c.peers[p]) == 0 {
			delete(c.peers, p)
		}
	}
}

// forget drops what is too old. With a clock that jumped back, what was remembered before stays longer, never shorter.
func (r rememberedNonces) forget(now time.Time) rememberedNonces {
	for len(r) > 0 && now.After(r[0].until) {
		r = r[1:]
	}
	return r
}
