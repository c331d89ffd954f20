package topic

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

// peers knows who is in the topic (said by the peer's subscription) and can be sent to (our stream is open). A
// message for a peer of whom only one is true would be dropped without a trace.
type peers struct {
	mu      sync.Mutex // guards all
	in      map[peer.ID]bool
	out     map[peer.ID]bool
	mesh    map[peer.ID]bool // those that hand on to us, and we to them
	ready   int
	changed chan struct{} // closed and replaced whenever ready changes or mesh rises
}

func newPeers() *peers {
	return &peers{in: make(map[peer.ID]bool), out: make(map[peer.ID]bool), mesh: make(map[peer.ID]bool), changed: make(chan struct{})}
}

func (t *peers) joined(p peer.ID, yes bool) { t.set(t.in, p, yes) }
func (t *peers) opened(p peer.ID, yes bool) { t.set(t.out, p, yes) }

func (t *peers) set(m map[peer.ID]bool, p peer.ID, yes bool) {
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
func (t *peers) grafted(p peer.ID, yes bool) {
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
func (t *peers) wait(ctx, closed context.Context) error {
	return t.until(ctx, closed, func() bool { return t.ready > 0 })
}

// waitMesh returns when that peer is in the mesh and can be sent to.
func (t *peers) waitMesh(ctx, closed context.Context, p peer.ID) error {
	return t.until(ctx, closed, func() bool { return t.mesh[p] && t.in[p] && t.out[p] })
}

// until returns when ok holds, which is asked with mu held.
func (t *peers) until(ctx, closed context.Context, ok func() bool) error {
	for {
		t.mu.Lock()
		ready, changed := ok(), t.changed
		t.mu.Unlock()
		if closed.Err() != nil {
			return ErrClosed
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
func (t *peers) any() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready > 0
}

func (t *peers) list() []peer.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.both()
}

// both is list with mu held.
func (t *peers) both() []peer.ID {
	var all []peer.ID
	for p := range t.in {
		if t.out[p] {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	return all
}

// tracer counts what the library drops. Its methods are called by the library's event loop and must be quick.
type tracer struct {
	drops *drops
	peers *peers
}

var _ pubsub.RawTracer = (*tracer)(nil)

// OnNewOutboundStream notes that messages can be sent to that peer.
func (t *tracer) OnNewOutboundStream(p peer.ID, _ protocol.ID) { t.peers.opened(p, true) }

// OnClosedOutboundStream notes that messages cannot be sent to that peer any more.
func (t *tracer) OnClosedOutboundStream(p peer.ID) { t.peers.opened(p, false) }

// DropRPC counts the messages of an RPC for which a peer's queue had no room.
func (t *tracer) DropRPC(rpc *pubsub.RPC, _ peer.ID) {
	t.drops.add(DropOutbound, uint64(max(1, len(rpc.GetPublish()))))
}

// UndeliverableMessage counts a message for which the subscription had no room.
func (t *tracer) UndeliverableMessage(*pubsub.Message) { t.drops.add(DropSubscriber, 1) }

// RejectMessage counts a message that the library did not accept.
func (t *tracer) RejectMessage(*pubsub.Message, string) { t.drops.add(DropRejected, 1) }

// Join does nothing.
func (t *tracer) Join(string) {}

// Leave does nothing.
func (t *tracer) Leave(string) {}

// Graft notes that a peer is in the mesh, whoever of the two put it there.
func (t *tracer) Graft(p peer.ID, _ string) { t.peers.grafted(p, true) }

// Prune notes that a peer is not in the mesh any more.
func (t *tracer) Prune(p peer.ID, _ string) { t.peers.grafted(p, false) }

// ValidateMessage does nothing.
func (t *tracer) ValidateMessage(*pubsub.Message) {}

// DeliverMessage does nothing.
func (t *tracer) DeliverMessage(*pubsub.Message) {}

// DuplicateMessage does nothing.
func (t *tracer) DuplicateMessage(*pubsub.Message) {}

// ThrottlePeer does nothing.
func (t *tracer) ThrottlePeer(peer.ID) {}

// RecvRPC does nothing.
func (t *tracer) RecvRPC(*pubsub.RPC) {}

// SendRPC does nothing.
func (t *tracer) SendRPC(*pubsub.RPC, peer.ID) {}

// SendRPCCompleted does nothing.
func (t *tracer) SendRPCCompleted(*pubsub.RPC, peer.ID, time.Duration) {}
