package relaynode

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"conclave/overlay/batch"
	"conclave/overlay/topic"
	"conclave/overlay/wire"
	"conclave/pki/pkitest"

	pubsub_pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"google.golang.org/protobuf/proto"
)

// An outsider subscribes with each protocol that pubsub ever spoke and waits for what members say.
func TestAttackOutsiderReadsTopic(t *testing.T) {
	for _, p := range pubsubProtocols {
		t.Run(strings.ReplaceAll(string(p), "/", "_"), func(t *testing.T) {
			t.Parallel()
			g := pkitest.NewGroup(t, "A", "B")
			n, _, _, topicA, topicB := attacked(t, g)
			o := newOutsider(t, n, newHost(t, pkitest.NewIdentity(t)), p)
			o.speak(p, subscribe(n.batches.topicName))
			counter := uint32(0)
			got := soon(func() bool {
				data := signed(t, g, "A", frame(0, 0, counter, 'x'))
				counter++
				publish(t, topicA, data)
				if !bytes.Equal(receive(t, topicB), data) {
					t.Fatal("a member did not receive what was published")
				}
				return o.received() > 0
			})
			if got {
				t.Error("the attack works")
			}
		})
	}
}

// An outsider publishes with each protocol.
func TestAttackOutsiderPublishes(t *testing.T) {
	for _, p := range pubsubProtocols {
		t.Run(strings.ReplaceAll(string(p), "/", "_"), func(t *testing.T) {
			t.Parallel()
			g := pkitest.NewGroup(t, "A", "B")
			n, _, _, topicA, topicB := attacked(t, g)
			identity := pkitest.NewIdentity(t)
			o := newOutsider(t, n, newHost(t, identity), p)
			mine, err := batch.Sign(identity, n.batches.topicName, wire.BatchFrames, [][]byte{frame(0, 0, 0, 'm')})
			if err != nil {
				t.Fatal(err)
			}
			o.speak(p, subscribe(n.batches.topicName), utter(n.batches.topicName, mine))
			if arrives(t, g, mine, topicA, topicB) {
				t.Error("the attack works")
			}
			stored, err := n.backlog.Stats(context.Background())
			if err != nil || stored.Signers > 1 {
				t.Errorf("the backlog has batches of %d signers, %v", stored.Signers, err)
			}
		})
	}
}

// arrives reports whether B receives data. What A then says shows that the topic works meanwhile.
func arrives(t *testing.T, g *pkitest.Group, data []byte, topicA, topicB *topic.Handle) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	for {
		m, err := topicB.Receive(ctx)
		if err != nil {
			break
		}
		if bytes.Equal(m.Data, data) {
			return true
		}
	}
	real := signed(t, g, "A", frame(0, 9, 9, 'r'))
	publish(t, topicA, real)
	for {
		switch got := receive(t, topicB); {
		case bytes.Equal(got, real):
			return false
		case bytes.Equal(got, data):
			return true
		}
	}
}

// inventedTopics is how many topics an attacker invents; the library's defaults take 88 MB of heap for them.
const inventedTopics = 200_000

// A peer invents 200,000 topics. Even a member, who may speak on the topic, gets no memory for it.
func TestAttackInventedTopics(t *testing.T) {
	if testing.Short() {
		t.Skip("sends 200,000 subscriptions")
	}
	const few = 16 << 20 // bytes; measured: 1.4 MB, and 88 MB without the defences
	g := pkitest.NewGroup(t, "A", "B", "M")
	n, _, _, _, topicB := attacked(t, g)
	p := pubsubProtocols[len(pubsubProtocols)-1]
	m := newOutsider(t, n, newHost(t, g.Member("M").Identity), p)
	before := heap()
	end := signed(t, g, "M", frame(2, 0, 0, 'e'))
	spoken := m.speak(p, append(inventions(), subscribe(n.batches.topicName), utter(n.batches.topicName, end))...)
	if !spoken {
		t.Fatal("a member could not speak")
	}
	for !bytes.Equal(receive(t, topicB), end) { // RPCs are handled in order: all inventions were
	}
	grown := heap() - before
	t.Logf("%d invented topics: %d KiB more heap", inventedTopics, grown>>10)
	if grown > few {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

// An outsider does not even get its RPCs read.
func TestAttackOutsiderInventsTopics(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n, _, _, _, _ := attacked(t, g)
	o := newOutsider(t, n, newHost(t, pkitest.NewIdentity(t)))
	for _, p := range pubsubProtocols {
		if o.speak(p, inventions()...) && soon(func() bool { return n.topic.Drops()[topic.DropStream] == 0 }) {
			t.Errorf("%s: nobody refused the stream", p)
		}
	}
}

// inventions returns RPCs that subscribe to topics nobody heard of.
func inventions() []*pubsub_pb.RPC {
	const each = 1000
	var rpcs []*pubsub_pb.RPC
	for i := 0; i < inventedTopics; i += each {
		rpc := &pubsub_pb.RPC{}
		for k := range each {
			name := fmt.Sprintf("/invented/%058d", i+k)
			rpc.Subscriptions = append(rpc.Subscriptions, &pubsub_pb.RPC_SubOpts{Subscribe: proto.Bool(true), Topicid: &name})
		}
		rpcs = append(rpcs, rpc)
	}
	return rpcs
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
