package lan

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// gate bounds how much is looked at, in all and for each sender.
type gate struct {
	mu      sync.Mutex
	total   *rate.Limiter                // guarded by mu
	senders map[netip.Addr]*rate.Limiter // guarded by mu
	order   []netip.Addr                 // guarded by mu; the oldest first
}

func newGate() *gate {
	return &gate{total: rate.NewLimiter(totalRate, totalBurst), senders: make(map[netip.Addr]*rate.Limiter)}
}

// allow reports whether a packet of that sender is to be looked at.
func (g *gate) allow(from netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := g.senders[from]
	if of == nil {
		if len(g.order) >= maxSenders {
			delete(g.senders, g.order[0])
			g.order = g.order[1:]
		}
		of = rate.NewLimiter(senderRate, senderBurst)
		g.senders[from] = of
		g.order = append(g.order, from)
	}
	now := time.Now()
	return of.AllowN(now, 1) && g.total.AllowN(now, 1)
}
