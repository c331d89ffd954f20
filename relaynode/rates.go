package relaynode

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// maxPatience is how long a request that comes too fast is held back before it is refused instead. Arbitrary: long enough
// that a burst is smoothed, short enough that a probe behind it is still answered in time.
const maxPatience = 2 * time.Second

// rates bound what one peer may ask for, over all its sessions: to reconnect does not refill them.
type rates struct {
	requests *rate.Limiter // messages
	bytes    *rate.Limiter // deposited and stored
	fetches  *rate.Limiter // bytes fetched
}

// ratebook keeps the rates of each peer. It holds as many as the roster has members: nobody else gets that far.
type ratebook struct {
	limits Limits

	mu sync.Mutex
	of map[peer.ID]*rates // guarded by mu
}

func newRatebook(l Limits) *ratebook { return &ratebook{limits: l, of: make(map[peer.ID]*rates)} }

// peerRequests is how many times a member's requests another relay node may make: it passes on those of many. Arbitrary.
const peerRequests = 10

func (b *ratebook) get(p peer.ID) *rates { return b.scaled(p, 1) }

// peer returns the rates of another relay node.
func (b *ratebook) peer(p peer.ID) *rates { return b.scaled(p, peerRequests) }

func (b *ratebook) scaled(p peer.ID, requests float64) *rates {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.of[p]
	if r == nil {
		per := func(perSecond, burstSeconds float64) *rate.Limiter {
			return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond*burstSeconds)))
		}
		r = &rates{
			requests: per(b.limits.Requests*requests, 10),
			bytes:    per(b.limits.Bytes, 8),
			fetches:  per(b.limits.Fetches, 8),
		}
		b.of[p] = r
	}
	return r
}

// keep forgets every peer that is not wanted any more.
func (b *ratebook) keep(wanted func(peer.ID) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.of {
		if !wanted(p) {
			delete(b.of, p)
		}
	}
}

// patiently takes n from the limiter, waiting for it up to maxPatience. It reports false when that is not enough, and
// then takes nothing.
func patiently(ctx context.Context, l *rate.Limiter, n int) bool {
	if n > l.Burst() {
		n = l.Burst() // a single request that is larger than the burst costs all of it
	}
	r := l.ReserveN(time.Now(), n)
	wait := r.Delay()
	if wait == 0 {
		return true
	}
	if wait > maxPatience {
		r.Cancel()
		return false
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
