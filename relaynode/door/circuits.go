package door

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	pbv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
)

// CircuitStats say what the circuit relay does. What goes through a circuit is an encrypted connection between two
// members: the relay node knows its ends and how much there was, and keeps none of it.
type CircuitStats struct {
	Open     int    // circuits
	Reserved int    // members that can be reached over one
	Total    uint64 // circuits since the start
	Bytes    uint64 // relayed since the start, in both directions
}

// circuits watches the circuit relay. The library tells it numbers; who has reserved it learns from the ACL.
type circuits struct {
	open  atomic.Int64
	total atomic.Uint64
	bytes atomic.Uint64

	mu       sync.Mutex
	reserved map[peer.ID]struct{} // guarded by mu; members that reserved and did not go away since
}

var _ relay.MetricsTracer = (*circuits)(nil)

// Tracer returns what is told what the circuit relay does.
func (d *Door) Tracer() relay.MetricsTracer { return d.circuits }

// Reserved reports whether others can reach a peer over a circuit.
func (d *Door) Reserved(p peer.ID) bool { return d.circuits.has(p) }

// Circuits says what the circuit relay does.
func (d *Door) Circuits() CircuitStats { return d.circuits.stats() }

func newCircuits() *circuits { return &circuits{reserved: make(map[peer.ID]struct{})} }

// RelayStatus implements relay.MetricsTracer.
func (c *circuits) RelayStatus(bool) {}

// ConnectionOpened implements relay.MetricsTracer.
func (c *circuits) ConnectionOpened() { c.open.Add(1); c.total.Add(1) }

// ConnectionClosed implements relay.MetricsTracer.
func (c *circuits) ConnectionClosed(time.Duration) { c.open.Add(-1) }

// ConnectionRequestHandled implements relay.MetricsTracer.
func (c *circuits) ConnectionRequestHandled(pbv2.Status) {}

// ReservationAllowed implements relay.MetricsTracer.
func (c *circuits) ReservationAllowed(bool) {}

// ReservationClosed implements relay.MetricsTracer.
func (c *circuits) ReservationClosed(int) {}

// ReservationRequestHandled implements relay.MetricsTracer.
func (c *circuits) ReservationRequestHandled(pbv2.Status) {}

// BytesTransferred implements relay.MetricsTracer.
func (c *circuits) BytesTransferred(n int) { c.bytes.Add(uint64(max(n, 0))) }

// allowed notes a reservation.
func (c *circuits) allowed(p peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved[p] = struct{}{}
}

// left forgets the reservation of a peer whose last connection closed, as the relay does.
func (c *circuits) left(p peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.reserved, p)
}

func (c *circuits) has(p peer.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.reserved[p]
	return ok
}

func (c *circuits) stats() CircuitStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return CircuitStats{
		Open: int(max(c.open.Load(), 0)), Reserved: len(c.reserved), Total: c.total.Load(), Bytes: c.bytes.Load(),
	}
}

// CircuitEnds returns how many ends of circuits a peer's connections hold: those it opened and those that others opened to it.
func CircuitEnds(conns []network.Conn) (count int) {
	for _, c := range conns {
		for _, s := range c.GetStreams() {
			switch dir := s.Stat().Direction; {
			case s.Protocol() == proto.ProtoIDv2Hop && dir == network.DirInbound, s.Protocol() == proto.ProtoIDv2Stop && dir == network.DirOutbound:
				count++
			}
		}
	}
	return count
}
