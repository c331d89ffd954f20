package door

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

// Rates bound what one peer may ask for, over all its sessions: to reconnect does not refill them. A method takes what it is
// asked for and reports true, if need be after a short wait. It reports false, and takes nothing, when that would be too long.
type Rates struct {
	requests *rate.Limiter // messages
	bytes    *rate.Limiter // deposited and stored
	fetches  *rate.Limiter // bytes fetched
}

// Request takes one request.
func (r *Rates) Request(ctx context.Context) bool { return patiently(ctx, r.requests, 1) }

// Bring takes n bytes that a peer deposits, stores or forwards.
func (r *Rates) Bring(ctx context.Context, n int) bool { return patiently(ctx, r.bytes, n) }

// Fetch takes n bytes that a peer fetches.
func (r *Rates) Fetch(ctx context.Context, n int) bool { return patiently(ctx, r.fetches, n) }

// MemberRates returns the rates of a member.
func (d *Door) MemberRates(p peer.ID) *Rates { return d.rates.get(p, 1) }

// RelayRates returns the rates of another relay node.
func (d *Door) RelayRates(p peer.ID) *Rates { return d.rates.get(p, relayRequests) }

// relayRequests is how many times a member's requests another relay node may make: it passes on those of many. Arbitrary.
const relayRequests = 10

// ratebook keeps the rates of each peer. It holds as many as the roster has peers: nobody else gets that far.
type ratebook struct {
	limits Limits

	mu sync.Mutex
	of map[peer.ID]*Rates // guarded by mu
}

func newRatebook(l Limits) *ratebook { return &ratebook{limits: l, of: make(map[peer.ID]*Rates)} }

// get returns a peer's rates; the first who asks says how many times a member's requests it may make.
func (b *ratebook) get(p peer.ID, requests float64) *Rates {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.of[p]
	if r == nil {
		per := func(perSecond, burstSeconds float64) *rate.Limiter {
			return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond*burstSeconds)))
		}
		r = &Rates{
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
