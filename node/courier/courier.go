package courier

import (
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"sync"
	"time"

	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Way is how a share travels.
type Way string

// The ways of a share.
const (
	ByCircuit Way = "circuit" // a stream over a circuit through the relay node
	ByDirect  Way = "direct"  // a stream over a connection of its own
	ByMailbox Way = "mailbox" // left at the relay node, or fetched from it
)

// Passage says that a share, wrapped to its recipient's RSA key, came or went.
type Passage struct {
	Epoch wire.EpochID
	Of    wire.Role // whose share it is
	Peer  wire.Role // whom it goes to, or who handed it over ("?": not in the roster)
	Way   Way
	// Received says that it came; else it went.
	Received bool
	// OK says, of one that went, that the other side or its mailbox holds it durably. It is tried again otherwise.
	OK bool
	// Bytes is the size of the sealed envelope.
	Bytes int
}

// Relays are the relay nodes that take requests.
type Relays interface {
	// Ready reports whether there is one.
	Ready() bool
	// Number returns the number of the next request.
	Number() uint64
	// Offer queues a request for the main one, and reports whether there was room.
	Offer(wire.Message) bool
	// Acknowledge tells each relay node which of its mail is held durably here.
	Acknowledge()
}

// Topic is the group's topic.
type Topic interface {
	// Reaches reports whether anybody hears what is published.
	Reaches() bool
	// PublishNow publishes a batch, or fails at once.
	PublishNow(ctx context.Context, data []byte) error
}

// Presence is who is said to be there.
type Presence interface {
	// Online reports whether a member is.
	Online(wire.Role) bool
	// Listens reports whether a member is known to hear the topic.
	Listens(wire.Role) bool
	// Heard is told of a sign of life that came by mail.
	Heard(signer ed25519.PublicKey)
}

// Timing is how long a Courier waits for what. All fields are given.
type Timing struct {
	CircuitAfter  time.Duration // a circuit is begun that long after its first share went to the mailbox
	CircuitLinger time.Duration // a circuit that is not used is closed
	ShareTimeout  time.Duration // longest a share stream takes
}

// Config is what a Courier is made of. All fields are given.
type Config struct {
	Identity  ed25519.PrivateKey
	Rand      io.Reader
	TopicName string
	Self      wire.Role
	// Roster returns the one that the key agreement knows.
	Roster func() *pki.Roster
	// Members returns the roster in force, on any goroutine: whoever is not in it hands over nothing.
	Members func() *pki.Roster
	// Step gives the key agreement an input. It is called on the owner's goroutine.
	Step func(event.Input)
	// Open opens an envelope, on a goroutine of the pool.
	Open func(event.Unwrap) event.Unwrapped
	// Post has a function called on the owner's goroutine. It reports false when ctx has ended.
	Post     func(ctx context.Context, f func()) bool
	Relays   Relays
	Presence Presence
	// Dialable makes a member dialable before a stream to it is opened.
	Dialable func(peer.ID)
	// Passed is told of every share that came or went, for a debug window.
	Passed func(Passage)
	Timing Timing
	Log    *slog.Logger
}

// Courier carries shares and control messages. See New.
type Courier struct {
	cfg  Config
	pool *pool
	refs refs

	// Static after Begin.
	ctx   context.Context
	host  host.Host
	topic Topic

	broadcasts []event.Broadcast
	wrapping   int      // shares that are being wrapped
	mail       []letter // for the next deposit
	deposits   map[uint64]deposit
	circuits   circuits
	wg         sync.WaitGroup // goroutines that hand over shares; begun on the owner's goroutine alone
}

// New returns a courier that has nothing to do yet.
func New(cfg Config) *Courier {
	return &Courier{cfg: cfg, pool: newPool(), refs: newRefs(), deposits: make(map[uint64]deposit), circuits: newCircuits()}
}

// Begin gives the courier the network, before anything else is called.
func (c *Courier) Begin(ctx context.Context, h host.Host, t Topic) {
	c.ctx, c.host, c.topic = ctx, h, t
}

// Run does the RSA work until ctx ends.
func (c *Courier) Run(ctx context.Context) { c.pool.run(ctx) }

// Wait returns when every share that was being handed over has been, or has failed. The owner's goroutine has ended then.
func (c *Courier) Wait() { c.wg.Wait() }

// roleOf names a peer.
func (c *Courier) roleOf(id peer.ID) wire.Role {
	if m, _, ok := c.cfg.Roster().MemberByPeer(id); ok {
		return m.Role
	}
	return "?"
}
