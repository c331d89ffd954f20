//go:build linux

package netlab

import (
	"testing"
	"time"
)

// messages is how many the members of a row exchange.
const messages = 100

// row is one kind of network of the matrix.
type row struct {
	name      string
	options   []Option
	kind      NAT
	double    bool          // a second router stands behind each first
	shared    bool          // A and B are behind one router
	spoil     func(*Router) // what is wrong with each router
	link      func(*Host)   // what is wrong with each member's link
	relayAt   []string      // the relay node's addresses in the roster, without its IP; nil for the default
	relayArgs []string
}

var matrix = []row{
	{name: "endpoint-independent NAT", kind: EndpointIndependent},
	{name: "full cone NAT", kind: FullCone},
	{name: "address-and-port-dependent NAT", kind: AddressAndPortDependent},
	{name: "double NAT", kind: EndpointIndependent, double: true},
	{name: "A and B behind the same NAT", kind: EndpointIndependent, shared: true},
	{name: "UDP blocked", kind: EndpointIndependent, spoil: (*Router).BlockUDP},
	{
		name: "only TCP 443 open (WebSocket)", kind: EndpointIndependent, spoil: func(r *Router) { r.AllowOnlyTCP(443) },
		relayAt:   []string{"/tcp/4001", "/udp/4001/quic-v1", "/tcp/443/ws"},
		relayArgs: []string{"--listen", "/ip4/0.0.0.0/tcp/4001", "--listen", "/ip4/0.0.0.0/udp/4001/quic-v1", "--listen", "/ip4/0.0.0.0/tcp/443/ws"},
	},
	{name: "IPv6 only", kind: EndpointIndependent, options: []Option{IPv6Only()}},
	{name: "5 % loss each way", kind: EndpointIndependent, link: func(h *Host) { h.Lose(5) }},
	{name: "20 % loss each way", kind: EndpointIndependent, link: func(h *Host) { h.Lose(20) }},
	{name: "64 kbit/s uplink", kind: EndpointIndependent, spoil: func(r *Router) { r.Uplink("64kbit") }},
}

func matrixTable() *table {
	b := &table{name: "matrix", head: []string{"network of A, B and C", "works", "path between members", "relay node over", "time to key", "latency p50", "p95"}}
	for _, r := range matrix {
		b.rows = append(b.rows, r.name)
	}
	return b
}

// In each kind of network A, B and C agree on a key of all three and exchange a hundred messages: none is lost, none comes
// twice, and those of one sender come in order.
func TestMatrix(t *testing.T) {
	Require(t)
	b := matrixTable()
	t.Run("networks", func(t *testing.T) {
		for _, r := range matrix {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				b.fill(r.name, "no", "", "", "", "", "") // until it has run to its end
				cells := r.run(t)
				if !t.Failed() {
					b.fill(r.name, append([]string{"yes"}, cells...)...)
				}
			})
		}
	})
	b.print(t)
}

// run builds the network, has the members talk in it, and returns what the table says of it.
func (r row) run(t *testing.T) []string {
	lab := New(t, r.options...)
	var first *Router
	c := muster(t, lab, r.relayAt, []string{"A", "B", "C"}, func(role string) *Segment {
		if r.shared && role == "B" {
			return first.LAN
		}
		router := lab.Router("home-"+role, lab.Public(), r.kind)
		if r.double {
			router = lab.Router("inner-"+role, router.LAN, r.kind)
		}
		if r.spoil != nil {
			r.spoil(router)
		}
		if first == nil {
			first = router
		}
		return router.LAN
	})
	for _, h := range c.hosts {
		if r.link != nil {
			r.link(h)
		}
		h.CountTraffic(c.group.Relay.Addr())
	}
	c.group.StartRelay(r.relayArgs...)
	key := c.start(90 * time.Second)
	took := c.exchange(messages, 100*time.Millisecond, time.Minute)
	c.complete()
	return []string{c.path("A"), c.relayOver(), short(key), short(took.Quantile(0.5)), short(took.Quantile(0.95))}
}

// relayOver returns by which transports the members reach the relay node.
func (c *crew) relayOver() string {
	var tcp, udp int
	for _, h := range c.hosts {
		if got := h.Traffic(); got.UDP > got.TCP {
			udp++
		} else {
			tcp++
		}
	}
	switch {
	case udp == 0:
		return "TCP"
	case tcp == 0:
		return "QUIC"
	}
	return "TCP and QUIC"
}
