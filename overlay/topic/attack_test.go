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
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"
)

// Every attack of this file is tried with all defences on, with each single one that stops it on, and as a control
// with none: there it must succeed, or the test would show nothing.

// only returns all defences off but those that keep leaves on.
func only(keep func(*Defences)) Defences {
	d := Defences{AnyProtocol: true, NoStreamGate: true, NoInspector: true, NoSubscriptionFilter: true, NoValidator: true}
	if keep != nil {
		keep(&d)
	}
	return d
}

func protocolList(d *Defences)       { d.AnyProtocol = false }
func streamGate(d *Defences)         { d.NoStreamGate = false }
func rpcInspector(d *Defences)       { d.NoInspector = false }
func subscriptionFilter(d *Defences) { d.NoSubscriptionFilter = false }
func validator(d *Defences)          { d.NoValidator = false }

// patience is how long a defended attack is watched, and how long a control may take to succeed.
const (
	patience        = 600 * time.Millisecond
	controlPatience = 15 * time.Second
)

// scene is a hub and one member with the same defences, and an outsider connected to the hub.
type scene struct {
	*star
	outsider host.Host
}

func newScene(t *testing.T, d Defences) *scene {
	s := &scene{newStar(t, 1, func(c *Config) { c.Defences = d }), newHost(t, dialOnly)}
	return s
}

type attack func(t *testing.T, ctx context.Context, s *scene) bool

func tryAttack(t *testing.T, a attack, alone map[string]func(*Defences)) {
	run := func(name string, d Defences, wait time.Duration, want bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := a(t, deadline(t, wait), newScene(t, d)); got != want {
				t.Errorf("the attack's success is %v, want %v", got, want)
			}
		})
	}
	run("all defences", Defences{}, patience, false)
	for name, keep := range alone {
		run(name+" alone", only(keep), patience, false)
	}
	run("control", only(nil), controlPatience, true)
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
	}, map[string]func(*Defences){
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
			}, map[string]func(*Defences){
				"stream gate": streamGate, "inspector": rpcInspector, "subscription filter": subscriptionFilter,
			})
		})
	}
}

// rawStream opens a pubsub stream by hand.
func rawStream(t *testing.T, s *scene) network.Stream {
	connect(t, s.outsider, s.hub)
	stream, err := overlay.OpenStream(deadline(t, 5*time.Second), s.outsider, s.hub.ID(), pubsub.GossipSubID_v11)
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
	}, map[string]func(*Defences){"stream gate": streamGate, "inspector": rpcInspector, "validator": validator})
}

// TestOutsiderInventsTopics subscribes to 200,000 topics. The attack succeeds if the hub remembers them.
func TestOutsiderInventsTopics(t *testing.T) {
	const topics, each, tooMuch = 200_000, 1000, 16 << 20
	grow := func(t *testing.T, d Defences) uint64 {
		s := newScene(t, d)
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
	for name, keep := range map[string]func(*Defences){
		"stream gate": streamGate, "inspector": rpcInspector, "subscription filter": subscriptionFilter,
	} {
		t.Run(name+" alone", func(t *testing.T) {
			if n := grow(t, only(keep)); n > tooMuch {
				t.Errorf("the heap grew by %d MiB", n>>20)
			}
		})
	}
	t.Run("all defences", func(t *testing.T) {
		if n := grow(t, Defences{}); n > tooMuch {
			t.Errorf("the heap grew by %d MiB", n>>20)
		}
	})
	t.Run("control", func(t *testing.T) {
		if n := grow(t, only(nil)); n < tooMuch {
			t.Errorf("the heap grew by only %d MiB: the test shows nothing", n>>20)
		}
	})
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
	ctx := deadline(t, 5*time.Second)
	for s.hubs.Drops()[DropMalformed] == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if ctx.Err() != nil {
		t.Fatalf("drops %v", s.hubs.Drops())
	}
}
