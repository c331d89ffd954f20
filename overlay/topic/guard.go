package topic

import (
	"errors"
	"hash/maphash"
	"slices"
	"time"

	"conclave/overlay"
	"conclave/overlay/wire"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// Rate bounds what one peer may hand over. What is over it is dropped and counted; the backlog makes up for it.
type Rate struct {
	Messages float64 // a second
	Bytes    float64 // a second
	Burst    float64 // seconds' worth of both that may come at once
}

// errDropped is returned to the library for an RPC that it must not handle. The reason is counted.
var errDropped = errors.New("dropped")

// guard holds the topic's defences: who may talk, over what, about what, and how much.
type guard struct {
	// Static after construction.
	host   host.Host
	topic  string
	admit  func(peer.ID) bool
	relays func(peer.ID) bool
	hub    bool
	check  func(peer.ID, []byte) (any, bool)
	rate   Rate
	drops  *drops

	// Owned by the library's event loop, which calls inspect. Only admitted peers get a bucket, so it is bounded by
	// the rosters of this process's life.
	buckets map[peer.ID]*bucket
	recent  *recent
	// checked is what is known of each message of the RPC that is being handled. Also owned by the event loop, which hands on
	// the messages of one RPC before it inspects the next.
	checked []validMessage
	handed  int // of which so many were handed on, or left out
}

// validMessage is a message that was found valid.
type validMessage struct {
	message *pb.Message
	read    any // what check returned
	sum     uint64
}

type bucket struct{ messages, bytes *rate.Limiter }

func newGuard(h host.Host, topic string, cfg Config, d *drops) *guard {
	relays := cfg.Relays
	if relays == nil {
		relays = func(peer.ID) bool { return false }
	}
	return &guard{
		host: h, topic: topic, admit: cfg.Admit, relays: relays, hub: cfg.Hub, check: cfg.Validate, rate: cfg.Rate,
		drops: d, buckets: make(map[peer.ID]*bucket), recent: newRecent(),
	}
}

// overCircuit says whether topic traffic with that peer may run over a circuit.
func (g *guard) overCircuit(p peer.ID) bool { return g.hub || g.relays(p) }

// lets says whether topic traffic may use a connection.
func (g *guard) lets(c network.Conn) bool {
	p := c.RemotePeer()
	if !g.admit(p) { // defence: topic-stream-roster
		return false
	}
	if !g.overCircuit(p) && overlay.IsCircuit(c.RemoteMultiaddr()) { // defence: topic-no-circuit
		return false
	}
	return true
}

// options are settings that keep outsiders off the topic, beside the gate for streams.
func (g *guard) options() []pubsub.Option {
	return []pubsub.Option{
		pubsub.WithAppSpecificRpcInspector(g.inspect),                                          // defence: topic-inspector
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(g, maxSubscriptions)), // defence: topic-filter
	}
}

// inspect sees every RPC before the library does. It drops whole what an honest peer would not send, and takes out the
// messages that are not valid: so they never become known to the library, whose own validators run behind a queue, on
// another goroutine, and after a message's ID is marked as seen.
func (g *guard) inspect(from peer.ID, rpc *pubsub.RPC) error {
	clear(g.checked)
	g.checked, g.handed = g.checked[:0], 0
	admitted := g.admit(from)
	if err := g.vet(from, admitted, rpc); err != nil {
		return err
	}
	g.sift(from, admitted, rpc)
	return nil
}

// vet says whether an RPC is to be dropped whole.
func (g *guard) vet(from peer.ID, admitted bool, rpc *pubsub.RPC) error {
	if !admitted { // defence: topic-inspector-roster
		g.drops.add(DropStranger, 1)
		return errDropped
	}
	bytes := 0
	for _, m := range rpc.GetPublish() {
		if m.GetTopic() != g.topic || len(m.GetData()) > wire.MaxBatch || len(m.GetData()) == 0 {
			g.drops.add(DropMalformed, 1)
			return errDropped
		}
		bytes += len(m.GetData())
	}
	if n := len(rpc.GetPublish()); n > 0 && !g.allow(from, n, bytes) {
		g.drops.add(DropRate, uint64(n))
		return errDropped
	}
	return nil
}

// sift takes out the messages that are not valid.
func (g *guard) sift(from peer.ID, admitted bool, rpc *pubsub.RPC) {
	rpc.Publish = slices.DeleteFunc(rpc.Publish, func(m *pb.Message) bool { return !g.valid(from, admitted, m) })
}

func (g *guard) allow(from peer.ID, messages, bytes int) bool {
	b := g.buckets[from]
	if b == nil {
		b = &bucket{
			messages: rate.NewLimiter(rate.Limit(g.rate.Messages), int(g.rate.Messages*g.rate.Burst)),
			bytes:    rate.NewLimiter(rate.Limit(g.rate.Bytes), int(g.rate.Bytes*g.rate.Burst)),
		}
		g.buckets[from] = b
	}
	now := time.Now()
	return b.messages.AllowN(now, messages) && b.bytes.AllowN(now, bytes)
}

// CanSubscribe implements pubsub.SubscriptionFilter: nobody subscribes to anything but the group's topic.
func (g *guard) CanSubscribe(topic string) bool {
	return topic == g.topic // defence: topic-one-subscription
}

// FilterIncomingSubscriptions implements pubsub.SubscriptionFilter.
func (g *guard) FilterIncomingSubscriptions(from peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	if !g.admit(from) { // defence: topic-filter-roster
		g.drops.add(DropSubscription, uint64(len(subs)))
		return nil, nil
	}
	kept := pubsub.FilterSubscriptions(subs, g.CanSubscribe)
	g.drops.add(DropSubscription, uint64(len(subs)-len(kept)))
	return kept, nil
}

// valid decides about one message. From and signature are absent on purpose, so it judges who handed it over.
func (g *guard) valid(from peer.ID, admitted bool, m *pb.Message) bool {
	data := m.GetData()
	if !admitted || len(data) > wire.MaxBatch { // defence: topic-validator-roster
		g.drops.add(DropInvalid, 1)
		return false
	}
	if g.check == nil {
		return true
	}
	sum := g.recent.sum(data)
	if g.recent.has(sum) {
		return false // it came by another way and is known
	}
	read, ok := g.check(from, data)
	if !ok { // defence: topic-validate
		g.drops.add(DropInvalid, 1)
		return false
	}
	g.checked = append(g.checked, validMessage{m, read, sum})
	return true
}

// accepted is told of each message that the library accepted, and returns what was read in it.
func (g *guard) accepted(m *pubsub.Message) (read any) {
	for i, c := range g.checked[g.handed:] { // in their order, some of them left out: it is the first, mostly
		if c.message == m.Message {
			g.handed += i + 1
			g.recent.add(c.sum)
			return c.read
		}
	}
	g.recent.add(g.recent.sum(m.GetData())) // this node's own, or nothing is checked
	return nil
}

// recent remembers about the last thousand messages that were accepted, so that what comes once more, from another relay
// node say, is not checked again. It goes by a keyed hash of 64 bits: nobody outside can make two messages collide, and if
// two ever do, the second is lost here and fetched from the backlog. A message takes the place of another one in its slot:
// that is checked once more if it comes again.
type recent struct {
	seed  maphash.Seed
	slots [recentSlots]uint64
}

func newRecent() *recent { return &recent{seed: maphash.MakeSeed()} }

// sum is never 0, which is what an empty slot holds.
func (r *recent) sum(data []byte) uint64 { return maphash.Bytes(r.seed, data) | 1 }

func (r *recent) has(sum uint64) bool { return r.slots[sum>>1%recentSlots] == sum }

func (r *recent) add(sum uint64) { r.slots[sum>>1%recentSlots] = sum }
