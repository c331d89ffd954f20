package topic

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"conclave/overlay/wire"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"
)

// Config says how to join a group's topic.
type Config struct {
	// Group names the topic.
	Group wire.GroupID
	// Hub is set by a relay node: its mesh takes every member.
	Hub bool
	// Members is the size of the roster. Default 16.
	Members int
	// Admit says whether a peer is in the roster. It is asked for every RPC and must be quick. Required. A peer that
	// becomes admitted while it is connected must be disconnected once, so that both sides greet each other anew.
	Admit func(peer.ID) bool
	// Relays says which peers are relay nodes: topic traffic with them may run over a circuit (an outer relay node's).
	// With anyone else it never does, unless Hub is set. Default nil: nobody.
	Relays func(peer.ID) bool
	// Validate decides about each message, by the peer that handed it over (not its author) and its data, and may return
	// what it read in it, which then comes with the message. It runs on the library's event loop, one message at a time.
	// Default nil: everything that an admitted peer hands over is accepted.
	Validate func(receivedFrom peer.ID, data []byte) (read any, ok bool)
	// Deliver takes each message that somebody else handed over, in the order in which they came, and reports whether
	// it had room for it: a message that it has none for is counted and lost here. It runs on the library's event loop
	// and must neither wait nor work. Default nil: Receive returns the messages.
	Deliver func(Message) bool
	// Rate bounds what one peer may hand over. The zero value stands for DefaultRate.
	Rate Rate
	// Log takes what goes wrong, and the library's lines. Required.
	Log *slog.Logger
}

func (c *Config) complete() error {
	if c.Admit == nil || c.Log == nil {
		return errors.New("a topic needs Admit and Log")
	}
	if c.Members <= 0 {
		c.Members = 16
	}
	if c.Rate == (Rate{}) {
		c.Rate = DefaultRate
	}
	return nil
}

// Handle is this node's place in the group's topic.
type Handle struct {
	// Static after construction.
	host   host.Host
	id     peer.ID // of host
	name   string
	log    *slog.Logger
	guard  *guard
	give   func(Message) bool // nil: to whoever calls Receive
	drops  *drops
	peers  *peers
	topic  *pubsub.Topic
	protos []protocol.ID
	ctx    context.Context
	cancel context.CancelFunc

	announced  atomic.Bool   // set before anybody is told of the subscription
	subscribed chan struct{} // closed when sub is set
	subOnce    sync.Once
	sub        *pubsub.Subscription // set before subscribed is closed
	subErr     error                // set before subscribed is closed
	wg         sync.WaitGroup
}

// Message is one message from the topic.
type Message struct {
	From peer.ID // who handed it over, which is not its author
	Data []byte
	Read any // what Config.Validate returned
}

// Join joins the group's topic. A member subscribes as soon as there is a peer of the topic that it can send to, so
// that it is in that peer's mesh at once. Close the handle before the host.
func Join(ctx context.Context, h host.Host, cfg Config) (*Handle, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	t := newHandle(h, cfg)
	if err := t.start(t.gated(), append(t.options(cfg), t.guard.options()...)); err != nil { // defence: topic-gate
		t.cancel()
		return nil, fmt.Errorf("joining the topic: %w", err)
	}
	if cfg.Hub {
		t.subscribe()
	}
	return t, ctx.Err()
}

// newHandle returns what has not begun yet.
func newHandle(h host.Host, cfg Config) *Handle {
	t := &Handle{
		host: h, id: h.ID(), name: Name(cfg.Group), log: cfg.Log, drops: newDrops(), peers: newPeers(),
		subscribed: make(chan struct{}), protos: protocols, give: cfg.Deliver,
	}
	t.guard = newGuard(h, t.name, cfg, t.drops)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// gated returns the host as pubsub sees it.
func (t *Handle) gated() host.Host {
	return &gatedHost{Host: t.host, id: t.id, guard: t.guard, ctx: t.ctx, hello: t.hello}
}

// start joins the topic over a host.
func (t *Handle) start(h host.Host, opts []pubsub.Option) error {
	ps, err := pubsub.NewGossipSub(t.ctx, h, opts...)
	if err != nil {
		return err
	}
	if t.topic, err = ps.Join(t.name); err != nil {
		return err
	}
	events, err := t.topic.EventHandler()
	if err != nil {
		return err
	}
	t.wg.Go(func() { t.follow(events) })
	t.wg.Go(t.subscribeInTime)
	return nil
}

// options are settings without which a star loses messages; SPEC.md section 7.1 lists those that others must share. The
// guard has those that keep outsiders off.
func (t *Handle) options(cfg Config) []pubsub.Option {
	return []pubsub.Option{
		// Frames carry their author and their batch a signature; the library's own would be checked at every hop.
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		// The library marks an ID as seen before it validates: anything shorter than a hash of all the data lets a
		// forged copy suppress the real message.
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithGossipSubProtocols(t.protos, pubsub.GossipSubDefaultFeatures),
		pubsub.WithGossipSubParams(params(cfg.Hub, cfg.Members)),
		pubsub.WithPeerExchange(false),
		pubsub.WithFloodPublish(true),
		pubsub.WithPeerOutboundQueueSize(queue),
		pubsub.WithMaxMessageSize(maxRPC),
		pubsub.WithMaxControlMessageSize(maxControl),
		pubsub.WithLogger(libraryLog(cfg.Log)),
		pubsub.WithRPCLogger(libraryLog(cfg.Log)),
		pubsub.WithRawTracer(&tracer{drops: t.drops, peers: t.peers}),
	}
}

// messageID is the hash of the whole data.
func messageID(m *pb.Message) string {
	sum := sha256.Sum256(m.GetData()) // defence: topic-id
	return string(sum[:])
}

// protocols leaves floodsub out: whoever speaks it is sent every message without asking.
var protocols = pubsub.GossipSubDefaultProtocols[:4] // defence: topic-protocols

// params sizes the mesh. A hub prunes nobody. A member's mesh is the hubs and, on a LAN, up to a dozen members.
func params(hub bool, members int) pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.Dout = 0
	if hub {
		p.D, p.Dlo, p.Dhi = 2*members+16, members+8, 4*members+32
	} else {
		p.D, p.Dlo, p.Dhi = 12, 8, 24
	}
	p.Dscore = min(p.Dscore, p.Dhi)
	p.HeartbeatInterval = heartbeat
	p.HeartbeatInitialDelay = heartbeat / 2
	p.HistoryLength, p.HistoryGossip = 20, 5 // 2 s and 0.5 s of messages
	// Whoever comes back while another's backoff for it runs is refused and then waits a minute more, deaf: so a member
	// that restarts. On a star there is no crowd that a backoff would have to keep apart.
	p.PruneBackoff, p.UnsubscribeBackoff = 10*time.Millisecond, 10*time.Millisecond
	p.IDontWantMessageThreshold = maxRPC // on a star IDONTWANT only costs
	return p
}

// follow keeps the set of the topic's peers.
func (t *Handle) follow(events *pubsub.TopicEventHandler) {
	defer events.Cancel()
	for {
		e, err := events.NextPeerEvent(t.ctx)
		if err != nil {
			return
		}
		t.peers.joined(e.Peer, e.Type == pubsub.PeerJoin)
	}
}

// subscribeInTime subscribes when the first peer can be sent to, or none comes. Somebody who subscribes when a peer has
// only said that it is in the topic grafts nobody: the library takes those into the mesh whom its own stream reaches.
func (t *Handle) subscribeInTime() {
	ctx, cancel := context.WithTimeout(t.ctx, subscribeAfter)
	defer cancel()
	if t.Ready(ctx) == nil || t.ctx.Err() == nil {
		t.subscribe()
	}
}

func (t *Handle) subscribe() {
	t.subOnce.Do(func() {
		t.announced.Store(true)
		size := queue
		if t.give != nil {
			size = 1 // nothing ever waits there
		}
		t.sub, t.subErr = t.topic.Subscribe(pubsub.WithBufferSize(size), pubsub.WithMessageFilter(t.deliver))
		close(t.subscribed)
	})
}

// hello returns the first RPC on a topic stream: the subscription, if there is one. It may come twice.
func (t *Handle) hello() *pb.RPC {
	rpc := new(pb.RPC)
	if t.announced.Load() {
		rpc.Subscriptions = []*pb.RPC_SubOpts{{Topicid: &t.name, Subscribe: proto.Bool(true)}}
	}
	return rpc
}

// deliver sees every message that the library accepted, on its event loop, and says whether it goes to whoever calls
// Receive. Taking it off here saves two goroutines' turns, which cost more than all else that is done with a message.
func (t *Handle) deliver(m *pubsub.Message) bool {
	read := t.guard.accepted(m)
	if m.ReceivedFrom == t.id {
		return false
	}
	if t.give == nil {
		m.ValidatorData = read
		return true
	}
	if !t.give(Message{From: m.ReceivedFrom, Data: m.Data, Read: read}) {
		t.drops.add(DropSubscriber, 1)
	}
	return false
}

// Publish hands a batch to the topic. It waits until there is somebody to hand it to, because what is published
// before is lost; a second Publish of the same bytes within two minutes does nothing.
func (t *Handle) Publish(ctx context.Context, data []byte) error {
	return t.publish(ctx, data, func() error { return t.Ready(ctx) })
}

// ErrNobody is returned by PublishNow.
var ErrNobody = errors.New("there is nobody in the topic")

// PublishNow is Publish for somebody who has another way than to wait: it returns ErrNobody when there is nobody.
func (t *Handle) PublishNow(ctx context.Context, data []byte) error {
	return t.publish(ctx, data, func() error {
		if !t.Reaches() {
			return ErrNobody
		}
		return nil
	})
}

func (t *Handle) publish(ctx context.Context, data []byte, ready func() error) error {
	if len(data) == 0 || len(data) > wire.MaxBatch {
		return fmt.Errorf("publishing %d bytes: %w", len(data), wire.ErrBatch)
	}
	if err := ready(); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	if err := t.topic.Publish(ctx, data); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	return nil
}

// Receive returns the next message that somebody else handed over, unless Config.Deliver takes them. It returns
// ErrClosed after Close. It may be called by one goroutine at a time.
func (t *Handle) Receive(ctx context.Context) (Message, error) {
	select {
	case <-t.subscribed:
	case <-ctx.Done():
		return Message{}, ctx.Err()
	case <-t.ctx.Done():
		return Message{}, ErrClosed
	}
	if t.subErr != nil {
		return Message{}, fmt.Errorf("subscribing: %w", t.subErr)
	}
	m, err := t.sub.Next(ctx)
	if errors.Is(err, pubsub.ErrSubscriptionCancelled) || t.ctx.Err() != nil {
		return Message{}, ErrClosed
	}
	if err != nil {
		return Message{}, err
	}
	return Message{From: m.ReceivedFrom, Data: m.Data, Read: m.ValidatorData}, nil
}

// ErrClosed is returned after the topic handle was closed.
var ErrClosed = errors.New("the topic is closed")

// Ready returns when there is at least one peer in the topic to which messages can be sent.
func (t *Handle) Ready(ctx context.Context) error { return t.peers.wait(ctx, t.ctx) }

// Meshed returns when that peer hands on to this node what it receives. What others publish before is lost to this node,
// and a peer that was just told of by Ready may not be there yet.
func (t *Handle) Meshed(ctx context.Context, p peer.ID) error {
	return t.peers.waitMesh(ctx, t.ctx, p)
}

// Reaches reports whether there is anybody in the topic to whom messages can be sent.
func (t *Handle) Reaches() bool { return t.peers.any() }

// Peers returns the peers that are in the topic and can be sent to.
func (t *Handle) Peers() []peer.ID { return t.peers.list() }

// Follow returns the peers that are in the topic once they are others than before.
func (t *Handle) Follow(ctx context.Context, before []peer.ID) (now []peer.ID, err error) {
	err = t.peers.until(ctx, t.ctx, func() bool {
		now = t.peers.both()
		return !slices.Equal(now, before)
	})
	return now, err
}

// Drops returns how often each kind of message or RPC was dropped, by name.
func (t *Handle) Drops() map[string]uint64 { return t.drops.snapshot() }

// Close leaves the topic and returns when this package's goroutines have ended. The library's own end with the host.
func (t *Handle) Close() error {
	t.subscribe() // so that nothing subscribes later
	if t.sub != nil {
		t.sub.Cancel()
	}
	t.cancel()
	for _, p := range t.protos {
		t.host.RemoveStreamHandler(p)
	}
	t.wg.Wait()
	return nil
}
