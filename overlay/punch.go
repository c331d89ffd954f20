package overlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/host/observedaddrs"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	identifypb "github.com/libp2p/go-libp2p/p2p/protocol/identify/pb"
	"github.com/libp2p/go-msgio/pbio"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Punch is one step on the way to a direct connection, as the library's hole punching tells it. Both sides get them.
type Punch struct {
	Peer peer.ID
	Step PunchStep
	// Err says why the step failed; it is empty if it did not.
	Err string
}

// PunchStep names a step of a hole punch.
type PunchStep string

// The steps.
const (
	PunchDial     PunchStep = "direct dial"           // an attempt without a hole ended
	PunchExchange PunchStep = "exchange of addresses" // it failed
	PunchBegins   PunchStep = "hole punch begins"     // both sides dial at once now
	PunchEnds     PunchStep = "hole punch"            // they have
)

// punchTracer passes on what the library tells.
type punchTracer func(Punch)

// Trace implements holepunch.EventTracer.
func (f punchTracer) Trace(e *holepunch.Event) {
	switch evt := e.Evt.(type) {
	case *holepunch.DirectDialEvt:
		f(Punch{Peer: e.Remote, Step: PunchDial, Err: evt.Error})
	case *holepunch.StartHolePunchEvt:
		f(Punch{Peer: e.Remote, Step: PunchBegins})
	case *holepunch.EndHolePunchEvt:
		f(Punch{Peer: e.Remote, Step: PunchEnds, Err: evt.Error})
	case *holepunch.ProtocolErrorEvt:
		f(Punch{Peer: e.Remote, Step: PunchExchange, Err: evt.Error})
	}
}

func punchOptions(cfg HostConfig) []holepunch.Option {
	options := []holepunch.Option{holepunch.DirectDialTimeout(punchTimeout)}
	if cfg.Punched != nil {
		options = append(options, holepunch.WithTracer(punchTracer(cfg.Punched)))
	}
	return options
}

// outside knows by which addresses others see this host: what the library finds out, which takes part in the
// connections that there are, and what Probe found out beside them.
type outside struct {
	*observedaddrs.Manager
	reachable func(ma.Multiaddr) bool // nil: public addresses are

	mu     sync.Mutex
	probed map[string]ma.Multiaddr // guarded by mu; by network: "ip4" or "ip6"
}

// Addrs implements basichost.ObservedAddrsManager. One observer is enough here: a relay node that lies about an address
// makes members of its group dial there, which proves itself wrong at once, and nothing else.
func (o *outside) Addrs(observers int) []ma.Multiaddr {
	addrs := o.Manager.Addrs(observers)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.probed {
		if !slices.ContainsFunc(addrs, a.Equal) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// counts says whether an address can be reached from anywhere.
func (o *outside) counts(a ma.Multiaddr) bool {
	if o.reachable != nil {
		return o.reachable(a)
	}
	return manet.IsPublicAddr(a)
}

func (o *outside) saw(network string, a ma.Multiaddr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a == nil {
		delete(o.probed, network)
	} else {
		o.probed[network] = a
	}
}

// ErrNoProbe is returned by Probe when it cannot find out anything: the host does not punch holes, or no relay node is known
// to speak QUIC.
var ErrNoProbe = errors.New("no address to ask from outside")

// Probe finds out by which UDP address a relay node sees this host, for hole punching: the connections that there are run
// over TCP as a rule, and a NAT forgets what is not used. It opens a QUIC connection beside them from the port that the host
// listens on, asks, and closes it.
func Probe(ctx context.Context, h host.Host, relay peer.AddrInfo) error {
	n, ok := h.(*node)
	if !ok || n.outside == nil {
		return ErrNoProbe
	}
	s, ok := h.Network().(*swarm.Swarm)
	if !ok {
		return ErrNoProbe
	}
	failed := []error{ErrNoProbe}
	for _, a := range ma.Unique(append(slices.Clone(relay.Addrs), h.Peerstore().Addrs(relay.ID)...)) {
		network := a.Protocols()[0].Name
		if _, err := a.ValueForProtocol(ma.P_QUIC_V1); err != nil || !n.outside.counts(a) || network != "ip4" && network != "ip6" {
			continue // who is on a private network does not see the other side of a NAT
		}
		seen, err := probe(ctx, s.TransportForDialing(a), a, relay.ID)
		n.outside.saw(network, seen)
		if err == nil {
			return nil
		}
		failed = append(failed, fmt.Errorf("asking %s: %w", a, err))
	}
	return errors.Join(failed...)
}

// probe asks the peer at one address how it sees this host.
func probe(ctx context.Context, t transport.Transport, a ma.Multiaddr, p peer.ID) (ma.Multiaddr, error) {
	if t == nil {
		return nil, ErrNoProbe
	}
	c, err := t.Dial(ctx, a, p)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s, err := c.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	if err := Negotiate(ctx, s, identify.ID); err != nil {
		return nil, err
	}
	var m identifypb.Identify
	if err := pbio.NewDelimitedReader(s, maxIdentify).ReadMsg(&m); err != nil {
		return nil, err
	}
	return ma.NewMultiaddrBytes(m.GetObservedAddr())
}

// Outside returns the addresses at which others may reach this host from anywhere, as far as it knows. Without one
// there is no hole to punch.
func Outside(h host.Host) []ma.Multiaddr {
	n, ok := h.(*node)
	if !ok || n.outside == nil {
		return nil
	}
	return n.seenAt()
}

// seenAt is Outside for the library's hole punching.
func (n *node) seenAt() []ma.Multiaddr {
	return slices.DeleteFunc(ma.Unique(append(n.AllAddrs(), n.outside.Addrs(1)...)), func(a ma.Multiaddr) bool { return !n.outside.counts(a) })
}

// Called reports whether that peer has opened a circuit to this host. Then it is this host that begins to punch.
func Called(h host.Host, p peer.ID) bool {
	return slices.ContainsFunc(h.Network().ConnsToPeer(p), func(c network.Conn) bool {
		return c.Stat().Direction == network.DirInbound && IsCircuit(c.RemoteMultiaddr())
	})
}

// PunchHole makes a direct connection to a peer that has opened a circuit to this host, by hole punching if need be. It
// returns when there is one, when the library has given up, or when ctx ends; then the attempt goes on for a while.
func PunchHole(ctx context.Context, h host.Host, p peer.ID) error {
	n, ok := h.(*node)
	if !ok || n.punches == nil || !slices.Contains(h.Mux().Protocols(), holepunch.Protocol) {
		return ErrNoProbe // the library has not seen an address yet
	}
	done := make(chan error, 1)
	go func() { done <- n.punches.DirectConnect(p) }() // ends at the latest with the host
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Near says whether an address is on a network that this machine is on itself: loopback, link-local, private, or of one of
// its interfaces' networks.
func Near(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	if err != nil || IsCircuit(a) {
		return false
	}
	if ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addrs, func(own net.Addr) bool {
		n, ok := own.(*net.IPNet)
		return ok && n.Contains(ip)
	})
}

// Watch asks over a connection again and again whether the other side is still there, and closes the connection when
// there is no answer in time: a path that is gone without a word would otherwise be shown, and used, for half a minute.
// It returns when the connection is closed.
func Watch(ctx context.Context, c network.Conn) error {
	defer c.Close()
	for {
		if err := pingOnce(ctx, c); err != nil {
			return fmt.Errorf("watching a connection: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchEvery):
		}
	}
}
