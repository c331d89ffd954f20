package topic

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"conclave/overlay"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"
)

// Several defences stop each attack of this file. It is tried with all of them, and with each single one alone: the hub and
// its member are then put together here, of the parts that Join is made of. That each is needed, the mutants show.

// defence is one of those that keep outsiders off the topic.
type defence int

const (
	protocolList defence = iota
	streamGate
	rpcInspector
	subscriptionFilter
	validator
)

// joinWith joins the topic with that defence and no other.
func joinWith(only defence) joiner {
	return func(t testing.TB, h host.Host, change func(*Config)) *Handle {
		t.Helper()
		cfg := Config{Group: testGroup, Log: quiet()}
		change(&cfg)
		if err := cfg.complete(); err != nil {
			t.Fatal(err)
		}
		topic := newHandle(h, cfg)
		g := topic.guard
		if only != protocolList {
			topic.protos = pubsub.GossipSubDefaultProtocols
		}
		opts := topic.options(cfg)
		switch only {
		case streamGate:
			h = topic.gated()
		case rpcInspector:
			opts = append(opts, pubsub.WithAppSpecificRpcInspector(func(from peer.ID, rpc *pubsub.RPC) error {
				return g.vet(from, g.admit(from), rpc)
			}))
		case validator:
			opts = append(opts, pubsub.WithAppSpecificRpcInspector(func(from peer.ID, rpc *pubsub.RPC) error {
				g.sift(from, g.admit(from), rpc)
				return nil
			}))
		case subscriptionFilter:
			opts = append(opts, pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(g, maxSubscriptions)))
		}
		if err := topic.start(h, opts); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { topic.Close() })
		if cfg.Hub {
			topic.subscribe()
		}
		return topic
	}
}

// patience is how long an attack is watched. Without a defence each succeeds in a tenth of that.
const patience = 600 * time.Millisecond

// scene is a hub and one member with the same defences, and an outsider connected to the hub.
type scene struct {
	*star
	outsider host.Host
}

func newScene(t *testing.T, join joiner) *scene {
	return &scene{newStarBy(t, 1, nil, join), newHost(t, dialOnly)}
}

type attack func(t *testing.T, ctx context.Context, s *scene) bool

func tryAttack(t *testing.T, a attack, alone map[string]defence) {
	run := func(name string, join joiner) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, join)
			if a(t, deadline(t, patience), s) {
				t.Error("the attack succeeds")
			}
		})
	}
	run("all defences", join)
	for name, one := range alone {
		run(name+" alone", joinWith(one))
	}
}

// listen joins the topic as an outsider with an unchanged pubsub and returns whether it reads anything.
func listen(t *testing.T, ctx context.Context, s *scene, ps *pubsub.PubSub) bool {
	topic, err := ps.Join(Name(testGroup))
	if err != nil {
		t.Fatal(err)
	}
	sub, err := topic.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	connect(t, s.outsider, s.hub)
	go func() {
		for n := uint32(0); ctx.Err() == nil; n++ {
			_ = s.hubs.Publish(ctx, binary.BigEndian.AppendUint32([]byte("secret"), n))
			time.Sleep(10 * time.Millisecond)
		}
	}()
	_, err = sub.Next(ctx)
	return err == nil
}

var noSigning = []pubsub.Option{
	pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
	pubsub.WithMessageIdFn(func(m *pb.Message) string { return string(m.Data) }),
}

func lifetime(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx
}

func TestOutsiderReadsWithFloodsub(t *testing.T) {
	tryAttack(t, func(t *testing.T, ctx context.Context, s *scene) bool {
		ps, err := pubsub.NewFloodSub(lifetime(t), s.outsider, noSigning...)
		if err != nil {
			t.Fatal(err)
		}
		return listen(t, ctx, s, ps)
	}, map[string]defence{
		"protocol list": protocolList, "stream gate": streamGate, "inspector": rpcInspector, "subscription filter": subscriptionFilter,
	})
}

func TestOutsiderReadsWithMeshsub(t *testing.T) {
	for _, version := range pubsub.GossipSubDefaultProtocols[:4] {
		t.Run(string(version)[1:], func(t *testing.T) {
			tryAttack(t, func(t *testing.T, ctx context.Context, s *scene) bool {
				ps, err := pubsub.NewGossipSub(lifetime(t), s.outsider, append(noSigning,
					pubsub.WithGossipSubProtocols([]protocol.ID{version}, pubsub.GossipSubDefaultFeatures))...)
				if err != nil {
					t.Fatal(err)
				}
				return listen(t, ctx, s, ps)
			}, map[string]defence{
				"stream gate": streamGate, "inspector": rpcInspector, "subscription filter": subscriptionFilter,
			})
		})
	}
}

// rawStream opens a pubsub stream by hand.
func rawStream(t *testing.T, s *scene) network.Stream {
	connect(t, s.outsider, s.hub)
	stream, err := overlay.OpenStream(deadline(t, 60*time.Second), s.outsider, s.hub.ID(), pubsub.GossipSubID_v11)
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.SetDeadline(time.Time{})
	t.Cleanup(func() { stream.Reset() })
	return stream
}

func writeRPC(s network.Stream, rpc *pb.RPC) error {
	b, err := proto.Marshal(rpc)
	if err != nil {
		return err
	}
	_, err = s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...))
	return err
}

func TestOutsiderPublishesRawRPC(t *testing.T) {
	tryAttack(t, func(t *testing.T, ctx context.Context, s *scene) bool {
		stream := rawStream(t, s)
		name := Name(testGroup)
		go func() {
			for n := 0; ctx.Err() == nil; n++ {
				message := &pb.Message{Topic: &name, Data: fmt.Appendf(nil, "forged %d", n)}
				if writeRPC(stream, &pb.RPC{Publish: []*pb.Message{message}}) != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		for {
			m, err := s.topics[0].Receive(ctx)
			if err != nil {
				return false
			}
			if len(m.Data) > 6 && string(m.Data[:6]) == "forged" {
				return true
			}
		}
	}, map[string]defence{"stream gate": streamGate, "inspector": rpcInspector, "validator": validator})
}

// TestOutsiderInventsTopics subscribes to 200,000 topics. The attack succeeds if the hub remembers them.
func TestOutsiderInventsTopics(t *testing.T) {
	const topics, each, tooMuch = 200_000, 1000, 16 << 20
	grow := func(t *testing.T, join joiner) uint64 {
		s := newScene(t, join)
		before := heap()
		stream := rawStream(t, s)
		for i := 0; i < topics; i += each {
			rpc := &pb.RPC{}
			for j := range each {
				rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{
					Topicid: proto.String(fmt.Sprintf("/invented/%0100d", i+j)), Subscribe: proto.Bool(true),
				})
			}
			if writeRPC(stream, rpc) != nil {
				break // refused
			}
		}
		after := heap()
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			after = max(after, heap())
		}
		runtime.KeepAlive(s)
		return after - min(before, after)
	}
	try := func(name string, join joiner) {
		t.Run(name, func(t *testing.T) {
			if n := grow(t, join); n > tooMuch {
				t.Errorf("the heap grew by %d MiB", n>>20)
			}
		})
	}
	for name, one := range map[string]defence{
		"stream gate": streamGate, "inspector": rpcInspector, "subscription filter": subscriptionFilter,
	} {
		try(name+" alone", joinWith(one))
	}
	try("all defences", join)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemberOverTheCaps: also a member may not send what the hub would have to carry for nothing.
func TestMemberOverTheCaps(t *testing.T) {
	t.Parallel()
	s := &scene{star: newStar(t, 2, nil)}
	s.outsider = s.members[0]
	stream := rawStream(t, s)
	other := "/another/topic"
	if err := writeRPC(stream, &pb.RPC{Publish: []*pb.Message{{Topic: &other, Data: []byte("x")}}}); err != nil {
		t.Fatal(err)
	}
	ctx := deadline(t, 60*time.Second)
	for s.hubs.Drops()[DropMalformed] == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if ctx.Err() != nil {
		t.Fatalf("drops %v", s.hubs.Drops())
	}
}

// TestMemberSubscribesElsewhere: the hub carries one topic, whoever asks for another.
func TestMemberSubscribesElsewhere(t *testing.T) {
	t.Parallel()
	s := &scene{star: newStar(t, 1, nil)}
	s.outsider = s.members[0]
	other := "/another/topic"
	rpc := &pb.RPC{Subscriptions: []*pb.RPC_SubOpts{{Topicid: &other, Subscribe: proto.Bool(true)}}}
	if err := writeRPC(rawStream(t, s), rpc); err != nil {
		t.Fatal(err)
	}
	ctx := deadline(t, 60*time.Second)
	for s.hubs.Drops()[DropSubscription] == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if ctx.Err() != nil {
		t.Fatalf("drops %v", s.hubs.Drops())
	}
}
