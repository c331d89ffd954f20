package topic

import (
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// TestDeliver hands messages over as they come, with what was read in them, and counts those that find no room.
func TestDeliver(t *testing.T) {
	t.Parallel()
	const count, refused = 200, 150
	s := newStar(t, 1, func(c *Config) { c.Admit = func(peer.ID) bool { return true } })
	h := newHost(t, dialOnly, sized(2))
	connect(t, h, s.hub)
	got := make(chan Message, count)
	topic := join(t, h, func(c *Config) {
		c.Admit = everyone(s.hub)
		c.Validate = func(_ peer.ID, data []byte) (any, bool) {
			return int(data[1])<<24 | int(data[2])<<16 | int(data[3])<<8 | int(data[4]), true
		}
		c.Deliver = func(m Message) bool {
			if len(m.Data) != 256 {
				return true // settling
			}
			got <- m
			return m.Read != refused
		}
	})
	ctx := deadline(t, 60*time.Second)
	if err := topic.Meshed(ctx, s.hub.ID()); err != nil {
		t.Fatal(err)
	}
	if err := s.hubs.Meshed(ctx, h.ID()); err != nil { // our graft reaches it later than ours is made
		t.Fatal(err)
	}
	for n := range uint32(count) {
		if err := s.topics[0].Publish(ctx, payload(1, n)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range count {
		select {
		case m := <-got:
			if m.Read != n || m.From != s.hub.ID() {
				t.Fatalf("message %v from %s came as number %d", m.Read, m.From, n)
			}
		case <-ctx.Done():
			t.Fatalf("%d of %d messages came", n, count)
		}
	}
	if n := topic.Drops()[DropSubscriber]; n != 1 {
		t.Errorf("%d drops are counted, want 1", n)
	}
}

// TestCheckedOnce: what was accepted once is not checked again when it comes by another way, and what was refused does not
// stand in the way of anything.
func TestCheckedOnce(t *testing.T) {
	good, checks := false, 0
	g := newGuard(nil, "topic", Config{
		Admit: func(peer.ID) bool { return true }, Rate: DefaultRate,
		Validate: func(peer.ID, []byte) (any, bool) { checks++; return "read", good },
	}, newDrops())
	name := "topic"
	come := func() []*pb.Message {
		rpc := &pubsub.RPC{RPC: pb.RPC{Publish: []*pb.Message{{Topic: &name, Data: []byte("data")}}}}
		if err := g.inspect("from", rpc); err != nil {
			t.Fatal(err)
		}
		return rpc.Publish
	}
	if left := come(); len(left) != 0 || g.drops.snapshot()[DropInvalid] != 1 {
		t.Fatalf("a refused message went on, or is not counted: %v", g.drops.snapshot())
	}
	good = true
	left := come()
	if len(left) != 1 || g.checked[0].read != "read" || checks != 2 {
		t.Fatalf("a good message after a refused one: %d left after %d checks", len(left), checks)
	}
	if read := g.accepted(&pubsub.Message{Message: left[0]}); read != "read" {
		t.Fatalf("%v is handed on with the message", read)
	}
	if left := come(); len(left) != 0 || checks != 2 {
		t.Fatalf("a message that is known: %d left after %d checks", len(left), checks)
	}
	for i := range 40 * recentSlots { // it is remembered for a while, not for ever
		g.recent.add(g.recent.sum([]byte{byte(i), byte(i >> 8), byte(i >> 16)}))
	}
	if left := come(); len(left) != 1 || checks != 3 {
		t.Fatalf("a message that was long ago: %d left after %d checks", len(left), checks)
	}
}

// TestSomeLeftOut: the library hands on some of an RPC's messages, and each comes with what was read in it.
func TestSomeLeftOut(t *testing.T) {
	g := newGuard(nil, "topic", Config{
		Admit: func(peer.ID) bool { return true }, Rate: DefaultRate,
		Validate: func(_ peer.ID, data []byte) (any, bool) { return "read " + string(data), true },
	}, newDrops())
	name := "topic"
	rpc := &pubsub.RPC{}
	for _, data := range []string{"a", "b", "c", "d"} {
		rpc.Publish = append(rpc.Publish, &pb.Message{Topic: &name, Data: []byte(data)})
	}
	if err := g.inspect("from", rpc); err != nil || len(rpc.Publish) != 4 {
		t.Fatalf("%d of 4 left, %v", len(rpc.Publish), err)
	}
	for _, i := range []int{1, 3} {
		m := rpc.Publish[i]
		if read, want := g.accepted(&pubsub.Message{Message: m}), "read "+string(m.GetData()); read != want {
			t.Errorf("%v is handed on with a message, want %v", read, want)
		}
	}
	if read := g.accepted(&pubsub.Message{Message: &pb.Message{Data: []byte("own")}}); read != nil {
		t.Errorf("%v is handed on with what was not checked", read)
	}
}
