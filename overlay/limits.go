package overlay

import (
	"net/netip"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/prometheus/client_golang/prometheus"
)

// strangers is how many connections a host has room for beside those of the roster. Arbitrary.
const strangers = 128

// resourceManager returns limits that hold a roster of that many peers even when all of them sit behind one address
// (the library's defaults allow eight connections and one new one in five seconds from there).
func resourceManager(peers int, reg prometheus.Registerer) (network.ResourceManager, error) {
	subnet := []rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: 4*peers + 16}}
	subnet6 := []rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: 4*peers + 16}, {PrefixLength: 48, ConnCount: 8*peers + 64}}
	opts := []rcmgr.Option{
		rcmgr.WithLimitPerSubnet(subnet, subnet6),
		rcmgr.WithConnRateLimiters(connRate(peers)),
	}
	if reg == nil {
		opts = append(opts, rcmgr.WithMetricsDisabled())
	} else {
		rcmgr.MustRegisterWith(reg)
	}
	limits := sized(peers).Build(rcmgr.DefaultLimits.Scale(1<<30, 0))
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits), opts...)
}

// connRate lets a whole roster behind one address reconnect at once, and goes on at a roster each minute.
func connRate(peers int) *rate.Limiter {
	limit := rate.Limit{RPS: 2 + float64(peers)/30, Burst: 4*peers + 32}
	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: limit}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: limit}},
			GracePeriod:      rateGrace,
		},
	}
}

// sized gives every scope room for the roster and a fixed margin for strangers.
func sized(peers int) rcmgr.PartialLimitConfig {
	conns := rcmgr.LimitVal(4*peers + strangers)
	perPeer := rcmgr.LimitVal(8*peers + 256) // a member's circuits, both ends of each, and everything else
	memory := rcmgr.LimitVal64(256<<20 + int64(peers)*(8<<20))
	all := limitsOf(rcmgr.LimitVal(40*peers+2048), memory)
	all.Conns, all.ConnsInbound, all.ConnsOutbound, all.FD = conns, conns, conns, conns+64
	transient := limitsOf(rcmgr.LimitVal(4*peers+256), 64<<20)
	transient.Conns, transient.ConnsInbound, transient.ConnsOutbound, transient.FD = conns, conns, conns, conns
	peer := limitsOf(perPeer, 64<<20)
	peer.Conns, peer.ConnsInbound, peer.ConnsOutbound, peer.FD = 16, 16, 16, 16
	circuits := limitsOf(rcmgr.LimitVal(32*peers+512), memory)
	circuitsOfPeer := limitsOf(rcmgr.LimitVal(4*peers+64), 32<<20)
	chatter := limitsOf(rcmgr.LimitVal(8*peers+256), 64<<20)
	chatterOfPeer := limitsOf(32, 16<<20)
	return rcmgr.PartialLimitConfig{
		System: all, Transient: transient, PeerDefault: peer,
		ServiceDefault: limitsOf(rcmgr.LimitVal(8*peers+256), memory), ServicePeerDefault: limitsOf(128, 32<<20),
		ProtocolDefault: limitsOf(rcmgr.LimitVal(8*peers+256), memory), ProtocolPeerDefault: limitsOf(128, 32<<20),
		Service:      map[string]rcmgr.ResourceLimits{relay.ServiceName: circuits, identify.ServiceName: chatter, ping.ServiceName: chatter},
		ServicePeer:  map[string]rcmgr.ResourceLimits{relay.ServiceName: circuitsOfPeer, identify.ServiceName: chatterOfPeer, ping.ServiceName: chatterOfPeer},
		Protocol:     map[protocol.ID]rcmgr.ResourceLimits{proto.ProtoIDv2Hop: circuits, proto.ProtoIDv2Stop: circuits},
		ProtocolPeer: map[protocol.ID]rcmgr.ResourceLimits{proto.ProtoIDv2Hop: circuitsOfPeer, proto.ProtoIDv2Stop: circuitsOfPeer},
	}
}

// limitsOf bounds streams (each way and together) and memory, and nothing else.
func limitsOf(streams rcmgr.LimitVal, memory rcmgr.LimitVal64) rcmgr.ResourceLimits {
	return rcmgr.ResourceLimits{Streams: streams, StreamsInbound: streams, StreamsOutbound: streams, Memory: memory}
}

// relayResources sizes the relay service. The defaults refuse the ninth member behind one NAT, also with infinite
// limits, and count both ends of a circuit against 16.
func relayResources(peers int) relay.Resources {
	r := relay.DefaultResources()
	r.Limit = nil // own relay node, members only: no limit on time and bytes, so that a circuit is not "limited"
	r.MaxReservations = 2*peers + 16
	r.MaxReservationsPerIP = 2*peers + 16
	r.MaxReservationsPerASN = 2*peers + 16
	r.MaxCircuits = 2*peers + 16
	return r
}
