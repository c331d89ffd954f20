package relaynode

import (
	"context"
	"sync"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/topic"
	"conclave/pki/pkitest"

	pubsub_pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"
	"google.golang.org/protobuf/proto"
)

// With every defence on an attack must fail. That it works without, else the test shows nothing, is shown by the mutants of the
// packages in which the defences are (testdata/mutants.txt).

// pubsubProtocols is every protocol that pubsub ever spoke.
var pubsubProtocols = []protocol.ID{"/floodsub/1.0.0", "/meshsub/1.0.0", "/meshsub/1.1.0", "/meshsub/1.2.0", "/meshsub/1.3.0"}

// outsider is somebody with a raw libp2p stack who speaks pubsub by hand.
type outsider struct {
	t    testing.TB
	host host.Host
	node *Node

	mu  sync.Mutex
	got [][]byte // messages published to us; guarded by mu
}

// newOutsider connects an outsider that listens on all pubsub protocols given.
func newOutsider(t testing.TB, n *Node, h host.Host, protos ...protocol.ID) *outsider {
	t.Helper()
	o := &outsider{t: t, host: h, node: n}
	for _, p := range protos {
		h.SetStreamHandler(p, o.listen)
	}
	connect(t, h, n)
	return o
}

func (o *outsider) listen(s network.Stream) {
	defer s.Reset()
	r := msgio.NewVarintReaderSize(s, 4<<20)
	for {
		raw, err := r.ReadMsg()
		if err != nil {
			return
		}
		var rpc pubsub_pb.RPC
		if proto.Unmarshal(raw, &rpc) == nil {
			o.mu.Lock()
			for _, m := range rpc.GetPublish() {
				o.got = append(o.got, m.GetData())
			}
			o.mu.Unlock()
		}
		r.ReleaseMsg(raw)
	}
}

func (o *outsider) received() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.got)
}

// speak opens a pubsub stream and writes RPCs to it. It reports whether all of that seemed to work.
func (o *outsider) speak(p protocol.ID, rpcs ...*pubsub_pb.RPC) bool {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := overlay.OpenStream(ctx, o.host, o.node.Peer(), p)
	if err != nil {
		return false
	}
	o.t.Cleanup(func() { _ = s.Reset() })
	w := msgio.NewVarintWriter(s)
	for _, rpc := range rpcs {
		raw, err := proto.Marshal(rpc)
		if err != nil {
			o.t.Fatal(err)
		}
		if w.WriteMsg(raw) != nil {
			return false
		}
	}
	return true
}

// subscribe is the RPC that subscribes to the group's topic and asks to be in its mesh.
func subscribe(topic string) *pubsub_pb.RPC {
	return &pubsub_pb.RPC{
		Subscriptions: []*pubsub_pb.RPC_SubOpts{{Subscribe: proto.Bool(true), Topicid: &topic}},
		Control:       &pubsub_pb.ControlMessage{Graft: []*pubsub_pb.ControlGraft{{TopicID: &topic}}},
	}
}

// utter is the RPC that publishes data.
func utter(topic string, data []byte) *pubsub_pb.RPC {
	return &pubsub_pb.RPC{Publish: []*pubsub_pb.Message{{Topic: &topic, Data: data}}}
}

// attacked starts a relay node, and two members in its topic.
func attacked(t testing.TB, g *pkitest.Group) (n *Node, a, b *client, topicA, topicB *topic.Handle) {
	t.Helper()
	n = startRelay(t, relayConfig(g))
	a, b = join(t, g, "A", n), join(t, g, "B", n)
	topicA, topicB = joinTopic(t, g, a.host), joinTopic(t, g, b.host)
	warmUp(t, g, "A", topicA, topicB)
	return n, a, b, topicA, topicB
}

// soon waits for something that an attack would bring about, as long as it ever took.
func soon(holds func() bool) bool {
	for deadline := time.Now().Add(500 * time.Millisecond); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return true
		}
	}
	return holds()
}
