package overlay

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// The names under which drops are counted.
const (
	DropOutbound     = "outbound queue full"     // messages to a slow peer
	DropSubscriber   = "subscription queue full" // messages that this node did not take in time
	DropInvalid      = "invalid"                 // messages that the validator refused
	DropRejected     = "rejected"                // messages that the library refused
	DropStranger     = "not in the roster"       // RPCs
	DropMalformed    = "malformed"               // RPCs about another topic or with a message of the wrong size
	DropRate         = "over the rate"           // messages
	DropSubscription = "foreign subscription"    // subscriptions
	DropStream       = "stream refused"          // pubsub streams of strangers, or over a circuit
)

var dropNames = []string{
	DropOutbound, DropSubscriber, DropInvalid, DropRejected, DropStranger, DropMalformed, DropRate,
	DropSubscription, DropStream,
}

// drops counts by name. The map is static after construction.
type drops struct{ counts map[string]*atomic.Uint64 }

func newDrops() *drops {
	d := &drops{counts: make(map[string]*atomic.Uint64, len(dropNames))}
	for _, name := range dropNames {
		d.counts[name] = new(atomic.Uint64)
	}
	return d
}

func (d *drops) add(name string, n uint64) { d.counts[name].Add(n) }

func (d *drops) snapshot() map[string]uint64 {
	all := make(map[string]uint64, len(d.counts))
	for name, n := range d.counts {
		all[name] = n.Load()
	}
	return all
}

// topicPeers knows who is in the topic (said by the peer's subscription) and can be sent to (our stream is open). A
// message for a peer of whom only one is true would be dropped without a trace.
type topicPeers struct {
	mu      sync.Mutex // guards all
	in      map[peer.ID]bool
	out     map[peer.ID]bool
	mesh    map[peer.ID]bool // those that hand on to us, and we to them
	ready   int
	changed chan struct{} // closed and replaced whenever ready changes or mesh rises
}

func newTopicPeers() *topicPeers {
	return &topicPeers{in: make(map[peer.ID]bool), out: make(map[peer.ID]bool), mesh: make(map[peer.ID]bool), changed: make(chan struct{})}
}

func (t *topicPeers) joined(p peer.ID, yes bool) { t.set(t.in, p, yes) }
func (t *topicPeers) opened(p peer.ID, yes bool) { t.set(t.out, p, yes) }

func (t *topicPeers) set(m map[peer.ID]bool, p peer.ID, yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.in[p] && t.out[p]
	if yes {
		m[p] = true
	} else {
		delete(m, p)
	}
	switch after := t.in[p] && t.out[p]; {
	case after && !before:
		t.ready++
		close(t.changed)
		t.changed = make(chan struct{})
	case before && !after:
		t.ready--
		delete(t.mesh, p)
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// grafted notes that a peer is in the mesh or not any more.
func (t *topicPeers) grafted(p peer.ID, yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !yes {
		delete(t.mesh, p)
		return
	}
	t.mesh[p] = true
	close(t.changed)
	t.changed = make(chan struct{})
}

// wait returns when there is somebody to send to.
func (t *topicPeers) wait(ctx, closed context.Context) error {
	return t.until(ctx, closed, func() bool { return t.ready > 0 })
}

// waitMesh returns when that peer is in the mesh and can be sent to.
func (t *topicPeers) waitMesh(ctx, closed context.Context, p peer.ID) error {
	return t.until(ctx, closed, func() bool { return t.mesh[p] && t.in[p] && t.out[p] })
}

// until returns when ok holds, which is asked with mu held.
func (t *topicPeers) until(ctx, closed context.Context, ok func() bool) error {
	for {
		t.mu.Lock()
		ready, changed := ok(), t.changed
		t.mu.Unlock()
		if closed.Err() != nil {
			return ErrTopicClosed
		}
		if ready {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-closed.Done():
		}
	}
}

// any reports whether there is somebody to send to.
func (t *topicPeers) any() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready > 0
}

func (t *topicPeers) list() []peer.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.both()
}

// both is list with mu held.
func (t *topicPeers) both() []peer.ID {
	var all []peer.ID
	for p := range t.in {
		if t.out[p] {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	return all
}

// topicTracer counts what the library drops. Its methods are called by the library's event loop and must be quick.
type topicTracer struct {
	drops *drops
	peers *topicPeers
}

var _ pubsub.RawTracer = (*topicTracer)(nil)

// OnNewOutboundStream notes that messages can be sent to that peer.
func (t *topicTracer) OnNewOutboundStream(p peer.ID, _ protocol.ID) { t.peers.opened(p, true) }

// OnClosedOutboundStream notes that messages cannot be sent to that peer any more.
func (t *topicTracer) OnClosedOutboundStream(p peer.ID) { t.peers.opened(p, false) }

// DropRPC counts the messages of an RPC for which a peer's queue had no room.
func (t *topicTracer) DropRPC(rpc *pubsub.RPC, _ peer.ID) {
	t.drops.add(DropOutbound, uint64(max(1, len(rpc.GetPublish()))))
}

// UndeliverableMessage counts a message for which the subscription had no room.
func (t *topicTracer) UndeliverableMessage(*pubsub.Message) { t.drops.add(DropSubscriber, 1) }

// RejectMessage counts a message that the library did not accept.
func (t *topicTracer) RejectMessage(*pubsub.Message, string) { t.drops.add(DropRejected, 1) }

// Join does nothing.
func (t *topicTracer) Join(string) {}

// Leave does nothing.
func (t *topicTracer) Leave(string) {}

// Graft notes that a peer is in the mesh, whoever of the two put it there.
func (t *topicTracer) Graft(p peer.ID, _ string) { t.peers.grafted(p, true) }

// Prune notes that a peer is not in the mesh any more.
func (t *topicTracer) Prune(p peer.ID, _ string) { t.peers.grafted(p, false) }

// ValidateMessage does nothing.
func (t *topicTracer) ValidateMessage(*pubsub.Message) {}

// DeliverMessage does nothing.
func (t *topicTracer) DeliverMessage(*pubsub.Message) {}

// DuplicateMessage does nothing.
func (t *topicTracer) DuplicateMessage(*pubsub.Message) {}

// ThrottlePeer does nothing.
func (t *topicTracer) ThrottlePeer(peer.ID) {}

// RecvRPC does nothing.
func (t *topicTracer) RecvRPC(*pubsub.RPC) {}

// SendRPC does nothing.
func (t *topicTracer) SendRPC(*pubsub.RPC, peer.ID) {}

// SendRPCCompleted does nothing.
func (t *topicTracer) SendRPCCompleted(*pubsub.RPC, peer.ID, time.Duration) {}
