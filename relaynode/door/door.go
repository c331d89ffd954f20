package door

import (
	"log/slog"
	"sync"
	"time"

	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Names under which the door counts what it refuses and closes. They appear in the relay node's status and in logs.
const (
	closeUnadmitted = "connection-not-in-roster"   // a connection closed because its peer is not in the roster
	closeSilent     = "connection-no-handshake"    // a connection closed because its peer did not finish the handshake
	closeRevoked    = "connection-revoked"         // a connection closed because a roster removed its peer
	closeGreet      = "connection-newly-in-roster" // a connection closed because a roster added its peer, which pubsub greets anew then
	closeOlder      = "connection-replaced"        // a connection closed because its peer has a session over a newer one
	denyReserve     = "circuit-reserve"            // a reservation refused by the ACL
	denyConnect     = "circuit-connect"            // a circuit refused by the ACL
)

// Config is what a door has to know of the relay node. Every field is required.
type Config struct {
	// Roster returns the newest roster.
	Roster func() *pki.Roster
	// HasSession reports whether a peer has a session, as a member or as a relay node.
	HasSession func(peer.ID) bool
	// Count counts one more under a name.
	Count func(name string)
	// Log gets what is refused and closed, at Debug: a stranger can trigger it.
	Log *slog.Logger
	// Limits bound what a peer can cost.
	Limits Limits
}

// Limits bound what a peer can cost. None may be zero.
type Limits struct {
	Admission time.Duration // a connection without roster entry or session is closed after
	Requests  float64       // of one peer a second, in the long run (burst: 10 s of it)
	Bytes     float64       // that one peer brings a second, in the long run (burst: 8 s of it)
	Fetches   float64       // bytes that one peer fetches a second, in the long run (burst: 8 s of it)
}

// Network is what the door has to see of the host's connections; network.Network is one.
type Network interface {
	Notify(network.Notifiee)
	Conns() []network.Conn
	ConnsToPeer(peer.ID) []network.Conn
	Peers() []peer.ID
	Connectedness(peer.ID) network.Connectedness
	ClosePeer(peer.ID) error
}

// Door decides who may come in.
type Door struct {
	// static after Watch
	cfg      Config
	network  Network
	rates    *ratebook
	circuits *circuits

	mu     sync.Mutex
	timers map[network.Conn]*time.Timer // guarded by mu
	closed bool                         // guarded by mu
	busy   sync.WaitGroup               // judgements that run
}

// New returns a door. Its ACL and its Tracer are for the host, which Watch is then called with.
func New(cfg Config) *Door {
	return &Door{cfg: cfg, rates: newRatebook(cfg.Limits), circuits: newCircuits(), timers: make(map[network.Conn]*time.Timer)}
}

// Watch begins to watch a host's connections, those that are there already too. It is called once, before any method that
// closes connections.
func (d *Door) Watch(n Network) {
	d.network = n
	n.Notify(&network.NotifyBundle{
		ConnectedF: func(_ network.Network, c network.Conn) { d.watch(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) {
			d.forget(c)
			if p := c.RemotePeer(); n.Connectedness(p) != network.Connected {
				d.circuits.left(p)
			}
		},
	})
	for _, c := range n.Conns() {
		d.watch(c) // came before we listened for it
	}
}

// Close ends every timer and waits for judgements that run.
func (d *Door) Close() {
	d.mu.Lock()
	d.closed = true
	for c, t := range d.timers {
		t.Stop()
		delete(d.timers, c)
	}
	d.mu.Unlock()
	d.busy.Wait()
}

// Refused counts and logs something that a peer asked for and was refused. A stranger can trigger it; therefore it logs at
// Debug only.
func (d *Door) Refused(p peer.ID, what, reason string) {
	d.cfg.Count(reason)
	d.cfg.Log.Debug("refused", "what", what, "reason", reason, "peer", p)
}

func (d *Door) closing(p peer.ID, reason string) {
	d.cfg.Count(reason)
	d.cfg.Log.Debug("closing a connection", "peer", p, "reason", reason)
}
