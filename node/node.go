package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"conclave/node/delivery"
	"conclave/node/feed"
	"conclave/node/sendqueue"
	"conclave/node/shelf"
	"conclave/node/state"
	"conclave/node/uplink"
	"conclave/overlay"
	"conclave/overlay/topic"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/host"
)

// MaxText is the longest message in bytes.
const MaxText = 32 << 10

// maxOutbox is how many messages may wait for a key or for a relay node.
const maxOutbox = 16_384

// maxTodo is how many things may wait for the engine. Batches from the topic that find no room are fetched from the backlog;
// everybody else waits for room.
const maxTodo = 4096

var (
	// ErrText is returned for a message that is empty, longer than MaxText, or not UTF-8.
	ErrText = errors.New("a message is 1 to 32,768 bytes of UTF-8 text")
	// ErrOutboxFull is returned by Send when too many messages wait to be sent already.
	ErrOutboxFull = sendqueue.ErrFull
	// ErrClosed is returned when the node was closed before the call.
	ErrClosed = sendqueue.ErrClosed
)

// Node is a member of a group. Its methods may be called from any goroutine.
type Node struct {
	// Static after New.
	cfg       Config
	self      pki.Member
	roster    *pki.Membership
	topicName string
	shelf     *shelf.Shelf // nil without a LAN
	hub       *feed.Feed[Event]
	state     *state.Store
	in        *sendqueue.Queue
	uplink    *uplink.Uplink
	todo      chan func(*engine) // the engine's queue, in which all others leave what it is to do
	done      chan struct{}      // closed when Run has returned
	closed    chan struct{}      // closed by Close

	inFlight atomic.Int64 // bytes that were published and that no relay node has acknowledged
	heard    *topicTimes

	// Static after open.
	life    context.Context // of run
	host    host.Host
	topic   *topic.Handle
	shares  *overlay.StreamServer
	backlog *overlay.StreamServer // nil without a LAN

	mu     sync.Mutex
	engine *engine            // made by New, owned by Run
	cancel context.CancelFunc // guarded by mu; set while Run runs
	ran    bool               // guarded by mu
	shut   bool               // guarded by mu
}

// New reads the member's state and prepares it. It opens no socket; Run does.
func New(cfg Config) (*Node, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, fmt.Errorf("making a node: %w", err)
	}
	self, err := selfIn(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a node: %w", err)
	}
	store, err := state.Open(cfg.StatePath)
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, self: self, roster: pki.NewMembership(cfg.Group, cfg.Roster, cfg.RosterFile),
		hub: feed.New(func(n uint64) Event { return Lagged{At: At{cfg.Now()}, Events: n} }), state: store, in: sendqueue.New(maxOutbox, delivery.MaxMine), topicName: topic.Name(cfg.Group.ID),
		todo: make(chan func(*engine), maxTodo), done: make(chan struct{}), closed: make(chan struct{}), heard: &topicTimes{born: time.Now()},
	}
	if n.engine, err = newEngine(n); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return n, nil
}

// Subscribe returns a stream of everything that happens from now on. The sessions, confirmations and queued messages
// that New found in the state file are announced when Run begins.
func (n *Node) Subscribe() *Subscription { return n.hub.Subscribe() }

// Subscription is one reader's stream of events. A reader that wants no more of it must Close it: a full subscription
// that nobody reads stops this member from taking in messages.
type Subscription = feed.Subscription[Event]

// Run connects and works until ctx ends or Close is called, which is not an error. It can be called once.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.mu.Lock()
	if n.ran || n.shut {
		n.mu.Unlock()
		return ErrClosed
	}
	n.ran, n.cancel = true, cancel
	n.mu.Unlock()
	defer close(n.done)
	return n.run(ctx)
}

// Close ends Run, waits for it, and closes the state file. What is queued stays in the outbox for the next run.
func (n *Node) Close() error {
	n.mu.Lock()
	first, ran := !n.shut, n.ran
	n.shut = true
	if n.cancel != nil {
		n.cancel()
	}
	n.mu.Unlock()
	if ran {
		<-n.done
	}
	if !first {
		return nil
	}
	close(n.closed)
	n.in.Close()
	n.hub.Close()
	return n.state.Close()
}

// Send queues a message for everybody and returns its ID. It waits for nobody: events say how the message fares. With too many
// waiting it returns ErrOutboxFull.
func (n *Node) Send(text string) (wire.MessageID, error) {
	if len(text) == 0 || len(text) > MaxText || !utf8.ValidString(text) {
		return wire.MessageID{}, ErrText
	}
	id, err := n.in.Put(text, n.cfg.Now(), n.cfg.Rand)
	if err != nil {
		return id, err
	}
	n.in.Ring()
	return id, nil
}

// SendWait is Send for a sender that is faster than the network: it waits while the outbox is full.
func (n *Node) SendWait(ctx context.Context, text string) (wire.MessageID, error) {
	for {
		id, err := n.Send(text)
		if !errors.Is(err, ErrOutboxFull) {
			return id, err
		}
		if err := n.in.Wait(ctx); err != nil {
			return wire.MessageID{}, err
		}
	}
}

// Flush waits until everything that was sent before the call is acknowledged: stored by a relay node, or delivered.
func (n *Node) Flush(ctx context.Context) error {
	empty := make(chan struct{})
	if err := n.call(ctx, func(e *engine) { e.whenFlushed(func() { close(empty) }) }); err != nil {
		return err
	}
	return n.await(ctx, empty)
}

// Rekey asks for a new epoch. The present one goes on meanwhile.
func (n *Node) Rekey(ctx context.Context) error {
	return n.call(ctx, func(e *engine) { e.rekey() })
}

// TakeRoster hands the node a roster that came by another way than a relay node. An older one is refused.
func (n *Node) TakeRoster(ctx context.Context, envelope []byte) error {
	return n.takeRoster(ctx, envelope)
}

// Who returns how things stand.
func (n *Node) Who(ctx context.Context) (Who, error) {
	var w Who
	err := n.call(ctx, func(e *engine) { w = e.who() })
	return w, err
}

// call runs f on the engine and waits for it.
func (n *Node) call(ctx context.Context, f func(*engine)) error {
	ran := make(chan struct{})
	select {
	case n.todo <- func(e *engine) { defer close(ran); f(e) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-n.done:
		return ErrClosed
	case <-n.closed:
		return ErrClosed
	}
	return n.await(ctx, ran)
}

func (n *Node) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-n.done:
		return ErrClosed
	}
}

// selfIn finds this member in the roster.
func selfIn(cfg Config) (pki.Member, error) {
	id, err := wire.PeerIDOf(identityKey(cfg.Identity))
	if err != nil {
		return pki.Member{}, err
	}
	m, _, ok := cfg.Roster.MemberByPeer(id)
	if !ok {
		return pki.Member{}, ErrNotMember
	}
	return m, nil
}

// Who is how things stand: what a screen shows of the group.
type Who struct {
	Self          wire.Role
	Group         string
	GroupCode     string
	RosterVersion uint64
	RosterExpires time.Time
	Epoch         uint64 // the epoch that messages are sent under; 0 without one
	Fingerprint   string
	Members       []MemberStatus // in role order, this member included
	Links         []Link
	Waiting       int // messages in the outbox
}

// MemberStatus is one member in a Who.
type MemberStatus struct {
	Role      wire.Role
	Online    bool
	Path      Path
	Reason    string // why it is reached so
	Confirmed bool   // has proved to hold the epoch's key
	PairCode  string // to compare with that member; empty for this member itself
}
