package overlay

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/observedaddrs"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/tcpreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"

	ma "github.com/multiformats/go-multiaddr"
)

// HostConfig says what host to build.
type HostConfig struct {
	// Identity is the node's Ed25519 key. Required. It becomes the peer ID.
	Identity ed25519.PrivateKey
	// Listen lists TCP, QUIC and WebSocket addresses to listen on; TCP and WebSocket may share a port. Default none:
	// the host only dials. One that cannot be listened on is an error, and closes the host.
	Listen []ma.Multiaddr
	// Announce replaces the addresses that others are told, if not empty.
	Announce []ma.Multiaddr
	// Peers is the size of the roster, members and relay nodes. It sizes every limit. Default 16.
	Peers int
	// Relay makes the host a circuit relay. Default nil: a member's host, which only uses circuits.
	Relay *RelayConfig
	// HolePunch lets two members behind NATs try for a direct connection over their circuit. Default off.
	HolePunch bool
	// Punched is told how such attempts go, on the library's goroutines: it must be quick. Default nil: nobody is.
	Punched func(Punch)
	// Reachable says which addresses others may reach from anywhere. Default nil: public ones. Anything else is for tests.
	Reachable func(ma.Multiaddr) bool
	// Gater may refuse connections. Default nil: none is refused.
	Gater connmgr.ConnectionGater
	// ListenUDP opens the UDP sockets under QUIC. Default nil: the system's. A simulated network puts its own here.
	ListenUDP func(network string, at *net.UDPAddr) (net.PacketConn, error)
	// Registerer takes the library's metrics. Default nil: none are kept.
	Registerer prometheus.Registerer
	// Log is for this package's own lines; the library logs through gologshim. Required.
	Log *slog.Logger
}

// RelayConfig says whom a relay node serves circuits.
type RelayConfig struct {
	// ACL decides. Required: a relay node without one would be open to everybody.
	ACL relay.ACLFilter
	// Tracer is told what the circuit relay does. Default nil: nobody is.
	Tracer relay.MetricsTracer
}

func (c HostConfig) validate() error {
	switch {
	case len(c.Identity) != ed25519.PrivateKeySize:
		return errors.New("a host needs an Ed25519 identity")
	case c.Log == nil:
		return errors.New("a host needs a logger")
	case c.Relay != nil && c.Relay.ACL == nil:
		return errors.New("a relay node's host needs an ACL")
	case c.Peers < 0:
		return errors.New("a host's number of peers cannot be negative")
	}
	return nil
}

// node is a basic host and what has to be closed with it.
type node struct {
	*basichost.BasicHost
	outside *outside           // nil: no holes are punched
	punches *holepunch.Service // nil: likewise
	once    sync.Once
	cleanup []func() error // run in reverse order, after the host itself
	before  []func() error // run first
}

// Close closes relay service, host, transports and peerstore, and returns when they are.
func (n *node) Close() error {
	var errs []error
	n.once.Do(func() {
		for _, f := range n.before {
			errs = append(errs, f())
		}
		if n.BasicHost != nil {
			errs = append(errs, n.BasicHost.Close())
		}
		for i := len(n.cleanup) - 1; i >= 0; i-- {
			errs = append(errs, n.cleanup[i]())
		}
	})
	return errors.Join(errs...)
}

// ListenError is returned by NewHost for an address on which it cannot listen.
type ListenError struct {
	Addr ma.Multiaddr
	Err  error
}

// Error implements error.
func (e *ListenError) Error() string { return fmt.Sprintf("listening on %s: %v", e.Addr, e.Err) }

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// ListenAddr returns the address.
func (e *ListenError) ListenAddr() ma.Multiaddr { return e.Addr }

// NewHost builds and starts a host: TCP, QUIC and WebSocket, Noise and TLS, yamux, circuits, limits sized by the roster.
// It is put together by hand because the root package of libp2p links WebRTC and WebTransport whatever its options say.
// Everything is closed by Host.Close.
func NewHost(cfg HostConfig) (host.Host, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Peers == 0 {
		cfg.Peers = 16
	}
	n := &node{}
	if err := n.build(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("building the host: %w", err), n.Close())
	}
	return n, nil
}

func (n *node) build(cfg HostConfig) error {
	key, err := crypto.UnmarshalEd25519PrivateKey(cfg.Identity)
	if err != nil {
		return err
	}
	bus := eventbus.NewBus()
	limits, err := resourceManager(cfg.Peers, cfg.Registerer)
	if err != nil {
		return err
	}
	quicManager, err := newQUIC(cfg, limits)
	if err != nil {
		return errors.Join(err, limits.Close())
	}
	n.cleanup = append(n.cleanup, quicManager.Close)
	sw, err := newSwarm(cfg, key, bus, limits)
	if err != nil {
		return errors.Join(err, limits.Close())
	}
	up, err := addTransports(sw, key, cfg, limits, quicManager)
	if err != nil {
		return errors.Join(err, sw.Close(), limits.Close())
	}
	if err := n.addHost(cfg, sw, bus); err != nil {
		return errors.Join(err, sw.Close(), limits.Close())
	}
	if err := circuit.AddTransport(n.BasicHost, up); err != nil {
		return err
	}
	for _, a := range cfg.Listen {
		if err := sw.Listen(a); err != nil {
			return &ListenError{Addr: a, Err: err}
		}
	}
	n.BasicHost.Start()
	return n.addRelay(cfg)
}

func (n *node) addHost(cfg HostConfig, sw *swarm.Swarm, bus event.Bus) error {
	opts := &basichost.HostOpts{
		EventBus: bus, EnablePing: true, UserAgent: userAgent,
		EnableMetrics: cfg.Registerer != nil, PrometheusRegisterer: cfg.Registerer,
	}
	if len(cfg.Announce) > 0 {
		opts.AddrsFactory = func([]ma.Multiaddr) []ma.Multiaddr { return cfg.Announce }
	}
	if cfg.HolePunch {
		observed, err := observedaddrs.NewManager(bus, sw)
		if err != nil {
			return err
		}
		observed.Start(sw)
		n.before = append(n.before, observed.Close)
		n.outside = &outside{Manager: observed, probed: make(map[string]ma.Multiaddr), reachable: cfg.Reachable}
		opts.ObservedAddrsManager = n.outside
	}
	h, err := basichost.NewHost(sw, opts)
	n.BasicHost = h
	if err != nil || !cfg.HolePunch {
		return err
	}
	// Not the basic host's own: that one can be neither asked to punch nor shown addresses that are not public.
	n.punches, err = holepunch.NewService(n.BasicHost, n.BasicHost.IDService(), n.seenAt, punchOptions(cfg)...)
	if err != nil {
		return err
	}
	n.before = append(n.before, n.punches.Close)
	return nil
}

func (n *node) addRelay(cfg HostConfig) error {
	if cfg.Relay == nil {
		return nil
	}
	options := []relay.Option{
		relay.WithResources(relayResources(cfg.Peers)), relay.WithInfiniteLimits(), relay.WithACL(cfg.Relay.ACL),
		relay.WithReservationAddressFilter(func(ma.Multiaddr) bool { return true }),
	}
	if cfg.Relay.Tracer != nil {
		options = append(options, relay.WithMetricsTracer(cfg.Relay.Tracer))
	}
	service, err := relay.New(n.BasicHost, options...)
	if err != nil {
		return fmt.Errorf("starting the circuit relay: %w", err)
	}
	n.before = append(n.before, service.Close)
	return nil
}

func newSwarm(cfg HostConfig, key crypto.PrivKey, bus event.Bus, limits network.ResourceManager) (*swarm.Swarm, error) {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	store, err := newPeerstore(id, key)
	if err != nil {
		return nil, err
	}
	opts := []swarm.Option{
		swarm.WithResourceManager(limits), swarm.WithDialRanker(rankDials), swarm.WithDialTimeout(dialTimeout),
		// A group dials so few addresses that a statistic of failures would only keep it from coming back.
		swarm.WithUDPBlackHoleSuccessCounter(nil), swarm.WithIPv6BlackHoleSuccessCounter(nil),
	}
	if cfg.Gater != nil {
		opts = append(opts, swarm.WithConnectionGater(cfg.Gater))
	}
	if cfg.Registerer != nil {
		opts = append(opts, swarm.WithMetricsTracer(swarm.NewMetricsTracer(swarm.WithRegisterer(cfg.Registerer))))
	}
	sw, err := swarm.NewSwarm(id, store, bus, opts...)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return sw, nil
}

func newPeerstore(id peer.ID, key crypto.PrivKey) (peerstore.Peerstore, error) {
	store, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(store.AddPrivKey(id, key), store.AddPubKey(id, key.GetPublic())); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// addTransports gives the swarm TCP and WebSocket (Noise before TLS: it takes less memory per idle connection) and QUIC.
func addTransports(sw *swarm.Swarm, key crypto.PrivKey, cfg HostConfig, limits network.ResourceManager, manager *quicreuse.ConnManager) (transport.Upgrader, error) {
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	n, err := noise.New(noise.ID, key, muxers)
	if err != nil {
		return nil, err
	}
	t, err := libp2ptls.New(libp2ptls.ID, key, muxers)
	if err != nil {
		return nil, err
	}
	up, err := upgrader.New([]sec.SecureTransport{n, t}, muxers, nil, limits, cfg.Gater)
	if err != nil {
		return nil, err
	}
	var shared *tcpreuse.ConnMgr // looks at the first bytes of a connection to tell TCP from WebSocket
	if slices.ContainsFunc(cfg.Listen, IsWebSocket) {
		shared = tcpreuse.NewConnMgr(cfg.HolePunch, up)
	}
	overTCP, err := tcp.NewTCPTransport(up, limits, shared, tcpOptions(cfg)...)
	if err != nil {
		return nil, err
	}
	overWS, err := websocket.New(up, limits, shared)
	if err != nil {
		return nil, err
	}
	overQUIC, err := libp2pquic.NewTransport(key, manager, nil, cfg.Gater, limits)
	if err != nil {
		return nil, err
	}
	return up, errors.Join(sw.AddTransport(overTCP), sw.AddTransport(overWS), sw.AddTransport(overQUIC))
}

// tcpOptions shares a port only where hole punching needs it: otherwise a second process that listens on the same port
// would silently be given some of the first one's connections, where it should fail.
func tcpOptions(cfg HostConfig) []tcp.Option {
	if cfg.HolePunch {
		return nil
	}
	return []tcp.Option{tcp.DisableReuseport()}
}

// newQUIC returns the manager of the QUIC sockets. Its two keys are derived from the identity, as libp2p does.
func newQUIC(cfg HostConfig, limits network.ResourceManager) (*quicreuse.ConnManager, error) {
	reset, err := hkdf.Key(sha256.New, cfg.Identity, nil, "libp2p quic stateless reset key", len(quic.StatelessResetKey{}))
	if err != nil {
		return nil, err
	}
	token, err := hkdf.Key(sha256.New, cfg.Identity, nil, "libp2p quic token generator key", len(quic.TokenGeneratorKey{}))
	if err != nil {
		return nil, err
	}
	var sockets []quicreuse.Option
	if cfg.ListenUDP != nil {
		sockets = append(sockets, quicreuse.OverrideListenUDP(cfg.ListenUDP),
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return noRoutes{}, nil }))
	}
	return quicreuse.NewConnManager(quic.StatelessResetKey(reset), quic.TokenGeneratorKey(token), append(sockets,
		quicreuse.ConnContext(func(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
			addr, err := quicreuse.ToQuicMultiaddr(info.RemoteAddr, quic.Version1)
			if err != nil {
				addr = nil // the resource manager decides about a connection from nowhere
			}
			scope, err := limits.OpenConnection(network.DirInbound, false, addr)
			if err != nil {
				return ctx, err
			}
			ctx = network.WithConnManagementScope(ctx, scope)
			context.AfterFunc(ctx, scope.Done)
			return ctx, nil
		}),
		quicreuse.VerifySourceAddress(func(addr net.Addr) bool { return limits.VerifySourceAddress(addr) }))...)
}

// noRoutes prefers no address to send from: the system's routes say nothing about sockets that are not the system's.
type noRoutes struct{}

// PreferredSourceIPForDestination implements quicreuse.SourceIPSelector.
func (noRoutes) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return net.IPv4zero, nil
}
