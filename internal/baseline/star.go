package baseline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

const (
	starTopic = "/baseline/1.0.0" // arbitrary
	queue     = 4096              // outbound, validation and subscription queues; the default of 32 loses most of a burst
)

// Hub is a raw libp2p host with a gossipsub router in the middle of a star: TCP and Noise, nothing signed, nothing
// validated, a mesh wide enough for every member. It subscribes to the topic, as Conclave's relay node does.
type Hub struct {
	host    host.Host
	sub     *pubsub.Subscription
	journal atomic.Pointer[Journal] // nil: what it receives is forgotten
	done    chan struct{}
	stop    context.CancelFunc
}

// Member is a raw libp2p host with a gossipsub router at the end of one ray.
type Member struct {
	host  host.Host
	topic *pubsub.Topic
	sub   *pubsub.Subscription
	stop  context.CancelFunc
}

// Star is a hub and its members in one process, over loopback.
type Star struct {
	Hub     *Hub
	Members []*Member

	journals []*Journal
}

// NewStar starts a hub and members around it and returns when each member can publish.
func NewStar(ctx context.Context, members int) (*Star, error) {
	hub, err := NewHub(members)
	if err != nil {
		return nil, err
	}
	star := &Star{Hub: hub}
	for range members {
		member, err := NewMember(ctx, hub.Addr(), members)
		if err != nil {
			return nil, errors.Join(err, star.Close())
		}
		star.Members = append(star.Members, member)
	}
	if err := hub.awaitMembers(ctx, members); err != nil {
		return nil, errors.Join(err, star.Close())
	}
	return star, nil
}

// Close stops everything.
func (s *Star) Close() error {
	var errs []error
	for _, m := range s.Members {
		errs = append(errs, m.Close())
	}
	errs = append(errs, s.Hub.Close())
	for _, j := range s.journals {
		errs = append(errs, j.Close())
	}
	return errors.Join(errs...)
}

// NewHub starts a hub for up to members members on a free loopback port.
func NewHub(members int) (*Hub, error) {
	h, err := newHost(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	_, sub, err := join(ctx, h, members, true)
	if err != nil {
		stop()
		return nil, errors.Join(err, h.Close())
	}
	hub := &Hub{host: h, sub: sub, done: make(chan struct{}), stop: stop}
	go func() { // Close waits for it
		defer close(hub.done)
		for {
			msg, err := sub.Next(ctx)
			if err != nil {
				return
			}
			if j := hub.journal.Load(); j != nil {
				j.Note(msg.Data)
			}
		}
	}()
	return hub, nil
}

// Addr is where members dial.
func (h *Hub) Addr() peer.AddrInfo { return peer.AddrInfo{ID: h.host.ID(), Addrs: h.host.Addrs()} }

// Peers returns how many connections the hub has.
func (h *Hub) Peers() int { return len(h.host.Network().Peers()) }

// Close stops the hub.
func (h *Hub) Close() error {
	h.stop()
	<-h.done
	return h.host.Close()
}

// awaitMembers returns when every member's subscription has reached the hub and a heartbeat has put it into the mesh.
func (h *Hub) awaitMembers(ctx context.Context, members int) error {
	for h.Peers() < members {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return pause(ctx, 2*time.Second) // the hub grafts at its heartbeats, one a second, and says so to nobody
}

// NewMember dials the hub, joins the topic and returns when the hub is in it too.
func NewMember(ctx context.Context, hub peer.AddrInfo, members int) (*Member, error) {
	h, err := newHost(libp2p.NoListenAddrs)
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	topic, sub, err := join(life, h, members, false)
	if err != nil {
		stop()
		return nil, errors.Join(err, h.Close())
	}
	m := &Member{host: h, topic: topic, sub: sub, stop: stop}
	if err := h.Connect(ctx, hub); err != nil {
		return nil, errors.Join(fmt.Errorf("dialing the hub: %w", err), m.Close())
	}
	for len(topic.ListPeers()) == 0 {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return m, nil
}

// Publish sends data to all other members.
func (m *Member) Publish(ctx context.Context, data []byte) error {
	return m.topic.Publish(ctx, data, pubsub.WithReadiness(pubsub.MinTopicSize(1)))
}

// Receive returns the next message of another member.
func (m *Member) Receive(ctx context.Context) ([]byte, error) {
	for {
		msg, err := m.sub.Next(ctx)
		if err != nil {
			return nil, err
		}
		if msg.ReceivedFrom != m.host.ID() {
			return msg.Data, nil
		}
	}
}

// Close stops the member.
func (m *Member) Close() error {
	m.stop()
	return m.host.Close()
}

// newHost starts a host as the library makes it, with a resource manager that counts everything and refuses nothing.
func newHost(extra ...libp2p.Option) (host.Host, error) {
	resources, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(rcmgr.InfiniteLimits))
	if err != nil {
		return nil, fmt.Errorf("starting a raw host: %w", err)
	}
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(nil),
	}, extra...)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting a raw host: %w", err), resources.Close())
	}
	return h, nil
}

func join(ctx context.Context, h host.Host, members int, hub bool) (*pubsub.Topic, *pubsub.Subscription, error) {
	params := pubsub.DefaultGossipSubParams()
	if hub {
		params.D, params.Dlo, params.Dhi, params.Dout = members+2, members+1, members+3, 0
	}
	params.IDontWantMessageThreshold = 1 << 20
	router, err := pubsub.NewGossipSub(ctx, h,
		pubsub.WithGossipSubParams(params),
		pubsub.WithGossipSubProtocols(pubsub.GossipSubDefaultProtocols[:4], pubsub.GossipSubDefaultFeatures),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(func(m *pb.Message) string {
			id := sha256.Sum256(m.Data)
			return string(id[:])
		}),
		pubsub.WithPeerOutboundQueueSize(queue),
		pubsub.WithValidateQueueSize(queue),
		pubsub.WithValidateWorkers(1),
		pubsub.WithLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("starting gossipsub: %w", err)
	}
	topic, err := router.Join(starTopic)
	if err != nil {
		return nil, nil, fmt.Errorf("joining the topic: %w", err)
	}
	sub, err := topic.Subscribe(pubsub.WithBufferSize(queue))
	if err != nil {
		return nil, nil, fmt.Errorf("subscribing: %w", err)
	}
	return topic, sub, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
