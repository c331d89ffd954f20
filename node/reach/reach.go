package reach

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"conclave/node/deadline"
	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Path is how a member is reached.
type Path string

// The paths.
const (
	// ViaRelay: everything runs through a relay node.
	ViaRelay Path = "relay"
	// Direct: there is a connection without a relay node in between; what is sent goes both ways.
	Direct Path = "direct"
	// ViaLAN: the same, on a network that both are on.
	ViaLAN Path = "lan"
)

// Way is a path and the reason why a member is reached so.
type Way struct {
	Path   Path
	Reason string
}

// Relays are the relay nodes that this member is connected to.
type Relays interface {
	// Ready reports whether one takes requests.
	Ready() bool
	// Carriers returns those that carry circuits, with their addresses.
	Carriers() []peer.AddrInfo
}

// Circuits are the circuits to other members, which others use too.
type Circuits interface {
	// Hold keeps a circuit for hole punching, and reports whether there is one or room for it.
	Hold(peer.ID) bool
	// LetGo ends Hold.
	LetGo(peer.ID)
}

// Sink is told what changes, on the owner's goroutine.
type Sink interface {
	// Present is told whether a member is there.
	Present(role wire.Role, online bool)
	// Path is told how a member is reached, or that it is gone.
	Path(role wire.Role, online bool, way Way)
}

// Timing is how long a Reach waits for what. All fields are given.
type Timing struct {
	PunchAfter    time.Duration // from somebody's coming to the first attempt to reach them directly
	PunchRetry    time.Duration // wait after a failed one, doubled each time
	PunchRetryMax time.Duration // longest such wait
}

// Config is what a Reach is made of. All fields are given.
type Config struct {
	Self pki.Member
	// Roster returns the one that the owner's goroutine acts on, and InForce the newest, on any goroutine.
	Roster, InForce func() *pki.Roster
	Relays          Relays
	Circuits        Circuits
	Sink            Sink
	// Post has a function called on the owner's goroutine. It reports false when ctx has ended.
	Post   func(ctx context.Context, f func()) bool
	Timing Timing
	Log    *slog.Logger
}

// Reach knows who is here and how each is reached. See New.
type Reach struct {
	cfg      Config
	contacts *contacts
	prober   prober

	// Static after Begin.
	ctx  context.Context
	host host.Host

	// Presence.
	online  map[wire.Role]bool
	hints   map[peer.ID][]peer.ID // the last hint of each source
	stated  map[wire.Role]bool    // what the Sink was told
	near    map[peer.ID]bool      // members in the topic over a connection of their own: no relay node is needed for them
	signs   map[wire.Role]*signs
	lookDue time.Time // when somebody who was heard is to be looked at again

	// Paths.
	shown   map[wire.Role]Way
	watched map[network.Conn]bool // direct connections that are asked for a sign of life
	why     map[peer.ID]string    // why there is no direct connection
	punched map[peer.ID]bool      // the direct connection came through a hole
	tries   map[peer.ID]*approach
	tryDue  time.Time // when one of them has to do something
	running int       // approaches under way

	wg sync.WaitGroup // goroutines that reach for members; begun on the owner's goroutine alone
}

// New returns a Reach that knows of nobody.
func New(cfg Config) *Reach {
	return &Reach{
		cfg: cfg, contacts: newContacts(cfg.InForce),
		online: make(map[wire.Role]bool), stated: make(map[wire.Role]bool), signs: make(map[wire.Role]*signs),
		hints: make(map[peer.ID][]peer.ID), near: make(map[peer.ID]bool),
		shown: make(map[wire.Role]Way), watched: make(map[network.Conn]bool), why: make(map[peer.ID]string),
		punched: make(map[peer.ID]bool), tries: make(map[peer.ID]*approach),
	}
}

// Begin gives it the host, whose connections it follows from now on.
func (r *Reach) Begin(ctx context.Context, h host.Host) {
	r.ctx, r.host = ctx, h
	h.Network().Notify(r.contacts.notifiee())
	for _, p := range h.Network().Peers() {
		r.contacts.hear(p, nil) // came before we listened for it
	}
}

// Punched is told of a step of a hole punch, on any goroutine, also before Begin.
func (r *Reach) Punched(p overlay.Punch) { r.contacts.punched(p) }

// Run passes on what happens to connections until ctx ends.
func (r *Reach) Run(ctx context.Context) {
	r.contacts.run(ctx, func(news map[peer.ID]bool, punches map[peer.ID]overlay.Punch) bool {
		return r.cfg.Post(ctx, func() {
			for id, punch := range punches {
				r.heardPunch(id, punch)
			}
			for id := range news {
				r.changed(id)
			}
		})
	})
}

// Wait returns when every attempt has ended. The owner's goroutine has ended then.
func (r *Reach) Wait() { r.wg.Wait() }

// Tick does what is due, and Deadline returns when something is.
func (r *Reach) Tick() {
	r.tickPresence()
	r.tickPaths()
}

// Deadline returns when Tick has something to do; zero: not before something happens.
func (r *Reach) Deadline() time.Time { return deadline.Sooner(r.lookDue, r.tryDue) }

// roleOf names a peer for a log line.
func (r *Reach) roleOf(id peer.ID) wire.Role {
	if m, _, ok := r.cfg.Roster().MemberByPeer(id); ok {
		return m.Role
	}
	return "?"
}
