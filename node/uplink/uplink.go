package uplink

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"sync"
	"time"

	"conclave/overlay/session"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// State is how far the connection to a relay node has come.
type State string

// The states, in their order.
const (
	Connecting    State = "connecting"
	Authenticated State = "authenticated"
	Ready         State = "ready"
	Down          State = "down"
)

// Change says that the connection to a relay node has come further, or is gone.
type Change struct {
	Relay  peer.ID
	State  State
	Reason string
	Conn   *session.Conn // with Authenticated and Ready
}

// Message is what a relay node says. What takes time was done before: batches in it are verified.
type Message struct {
	Relay peer.ID
	wire.Message
	Batches []wire.Batch // of a Fetched: those that a member signed
	Mails   []Mail       // of a Delivery
}

// Mail is one mail: a share, or verified control messages, or neither.
type Mail struct {
	ID      wire.MailID
	From    peer.ID // as the relay node says
	Share   []byte
	Control [][]byte
	Signer  ed25519.PublicKey // of Control
}

// Sink is told what happens, on the supervisors' goroutines, in order for each relay node.
type Sink interface {
	// Changed is told how far a connection is.
	Changed(context.Context, Change)
	// Received is given what a relay node says, and reports false when ctx has ended.
	Received(context.Context, Message) bool
	// Reached is told by which address a relay node was reached, when it is another than before.
	Reached(ctx context.Context, relay peer.ID, by ma.Multiaddr)
	// Skewed is told, once, that a clock is wrong: nobody but a person can put it right.
	Skewed(context.Context, *session.SkewError)
	// Step is told of a step on the way to a connection that carries everything, for a debug window.
	Step(relay peer.ID, s Step, detail string)
}

// Timing is how long a supervisor waits for what. All fields are given.
type Timing struct {
	RedialMin    time.Duration // first wait before a redial
	RedialMax    time.Duration // longest wait before a redial
	DialShort    time.Duration // longest most connection attempts take
	DialTimeout  time.Duration // longest the others take, and a handshake
	ProbeEvery   time.Duration // a session on which nothing came for that long is probed
	ProbeQuick   time.Duration // an unanswered probe ends the session, after something happened to the network
	ProbeTimeout time.Duration // an unanswered probe ends the session
}

// Config is what an Uplink is made of. All fields but Relays, LAN, Routes and Simulated are given.
type Config struct {
	Group       *pki.Group
	Certificate []byte // DER
	Identity    ed25519.PrivateKey
	Nonces      *session.NonceCache
	// Roster returns the one in force.
	Roster func() *pki.Roster
	// TakeRoster is given a roster that a relay node offers.
	TakeRoster func(ctx context.Context, envelope []byte) error
	// Verify returns a batch that a member signed.
	Verify func(data []byte) (wire.Batch, bool)
	// Relays are the addresses of the relay nodes that were named. None means the roster's.
	Relays []ma.Multiaddr
	// LAN says that relay nodes without an address may still be found.
	LAN bool
	// Routes are the addresses by which relay nodes were reached in earlier runs.
	Routes map[peer.ID]ma.Multiaddr
	// TopicHeard returns when something last came over the topic from a peer.
	TopicHeard func(peer.ID) time.Time
	// InFlight returns how many bytes were published and not acknowledged: on a slow line a probe waits behind them.
	InFlight func() int
	// Simulated says that the network is not this machine's, so that the machine's addresses say nothing about it.
	Simulated bool

	Timing Timing
	Now    func() time.Time
	Log    *slog.Logger
	Sink   Sink
}

// named reports whether relay nodes were named, so that the roster's do not count.
func (c *Config) named() bool { return len(c.Relays) > 0 }

// Topic is what is asked of the group's topic.
type Topic interface {
	// Peers returns who is in the topic.
	Peers() []peer.ID
	// Meshed waits until a peer takes part in the topic.
	Meshed(context.Context, peer.ID) error
}

// Network is what connections are made on: it is there once Run is called.
type Network struct {
	Host      host.Host
	Topic     Topic
	TopicName string
}

// Uplink holds the supervisors, one for each relay node: those that were named, or else those of the roster, and those that
// were found on the local network. Its methods may be called from any goroutine.
type Uplink struct {
	cfg   Config // static
	watch *netWatch
	net   Network // static once Run was called

	mu    sync.Mutex
	start func(func())                   // runs a function on a goroutine that Run waits for; nil before and after; guarded by mu
	ctx   context.Context                // of Run; guarded by mu
	all   map[peer.ID]*supervisor        // guarded by mu
	stops map[peer.ID]context.CancelFunc // guarded by mu
}

// New returns an Uplink that connects once it runs.
func New(cfg Config) *Uplink {
	return &Uplink{
		cfg: cfg, watch: newNetWatch(cfg.Now, cfg.Simulated), all: make(map[peer.ID]*supervisor), stops: make(map[peer.ID]context.CancelFunc),
	}
}

// Check returns why the addresses that were named cannot be used.
func (u *Uplink) Check() error {
	_, err := u.cfg.relayAddrs()
	return err
}

// Run keeps the relay nodes connected until ctx ends, and returns when every goroutine has ended.
func (u *Uplink) Run(ctx context.Context, net Network) error {
	known, err := u.cfg.relayAddrs()
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	group.Go(func() { u.watch.run(ctx) })
	u.open(ctx, net, group.Go, known)
	<-ctx.Done()
	u.close()
	group.Wait()
	return nil
}

// open begins the supervisors of the relay nodes that are known at the start.
func (u *Uplink) open(ctx context.Context, net Network, start func(func()), known map[peer.ID][]ma.Multiaddr) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ctx, u.net, u.start = ctx, net, start
	for id, addrs := range known {
		if len(addrs) > 0 || !u.cfg.LAN {
			u.begin(newSupervisor(u, id, addrs))
		}
	}
}

// close begins no more supervisors.
func (u *Uplink) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.start = nil
}

// begin runs a supervisor. The caller holds mu.
func (u *Uplink) begin(s *supervisor) {
	ctx, stop := context.WithCancel(u.ctx)
	u.all[s.relay], u.stops[s.relay] = s, stop
	u.start(func() { s.run(ctx) })
}

// Learn gives a relay node's addresses, each ending in /p2p/<peer ID>, to its supervisor, which is begun if there is none.
func (u *Uplink) Learn(id peer.ID, addrs []ma.Multiaddr) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s := u.all[id]; s != nil {
		s.found.set(addrs)
	} else if u.start != nil {
		s = newSupervisor(u, id, nil)
		s.found.set(addrs)
		u.begin(s)
	}
}

// Follow acts on a newer roster, unless relay nodes were named: supervisors of relay nodes that are not in it any more end,
// and those of new ones begin.
func (u *Uplink) Follow(roster *pki.Roster) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.start == nil || u.cfg.named() {
		return
	}
	for id := range u.all {
		if _, ok := roster.Relay(id); !ok {
			u.stops[id]()
			delete(u.all, id)
			delete(u.stops, id)
		}
	}
	for id, addrs := range withOuter(rosterRelays(roster)) {
		if u.all[id] == nil && len(addrs) > 0 {
			u.begin(newSupervisor(u, id, addrs))
		}
	}
}

// Doubt has the session with a relay node begin anew, because the topic does not carry what it should have.
func (u *Uplink) Doubt(id peer.ID) {
	if s := u.supervisor(id); s != nil {
		select {
		case s.doubt <- struct{}{}:
		default:
		}
	}
}

// Addresses returns where a relay node may be, each ending in /p2p/<peer ID>.
func (u *Uplink) Addresses(id peer.ID) []ma.Multiaddr {
	if s := u.supervisor(id); s != nil {
		return s.addresses()
	}
	return nil
}

func (u *Uplink) supervisor(id peer.ID) *supervisor {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all[id]
}
