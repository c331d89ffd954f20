package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"

	"conclave/node/shelf"
	"conclave/node/uplink"
	"conclave/overlay"
	"conclave/overlay/batch"
	"conclave/overlay/topic"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// shareStreams is how many share streams are served at once. Arbitrary: members open at most 8 circuits each.
const shareStreams = 64

// run is the life of the node between Run's call and its return.
func (n *Node) run(ctx context.Context) error {
	if err := n.uplink.Check(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.life = ctx
	if err := n.open(); err != nil {
		return errors.Join(err, n.shutdown())
	}
	var group sync.WaitGroup
	group.Go(func() { n.engine.ledger.Run(ctx) })
	group.Go(func() { n.engine.courier.Run(ctx) })
	group.Go(func() { n.followTopic(ctx) })
	group.Go(func() {
		if err := n.uplink.Run(ctx, uplink.Network{Host: n.host, Topic: n.topic, TopicName: n.topicName}); err != nil {
			n.cfg.Log.Error("relay nodes cannot be connected to", "err", err) // Check found nothing
		}
	})
	group.Go(func() { n.engine.reach.Run(ctx) })
	if n.cfg.LAN != nil {
		group.Go(func() { n.meet(ctx) })
	}
	n.engine.loop(ctx)
	n.in.Close()
	n.engine.saveUnsent()
	cancel()
	group.Wait()
	n.engine.courier.Wait()
	n.engine.reach.Wait()
	return errors.Join(n.engine.ledger.Finish(), n.shutdown())
}

// open builds the host and joins the topic.
func (n *Node) open() error {
	roster := n.roster.Load()
	h, err := n.cfg.network.host(overlay.HostConfig{
		Identity: n.cfg.Identity, Listen: listenAddrs(n.cfg), Peers: len(roster.Members) + len(roster.Relays), Log: n.cfg.Log,
		ListenUDP: n.cfg.ListenUDP, HolePunch: !n.cfg.DialOnly && n.cfg.ListenUDP == nil, Punched: n.engine.reach.Punched,
		Gater: overlay.RosterGate(func(p peer.ID) bool { return n.roster.Load().Admits(p) }), // defence: member-gate
	})
	if err != nil {
		return err
	}
	n.host = h
	n.engine.reach.Begin(n.life, h)
	n.topic, err = n.cfg.network.topic(context.Background(), h, topic.Config{
		Group: n.cfg.Group.ID, Members: len(roster.Members), Log: n.cfg.Log, Validate: n.validate, Deliver: n.deliver,
		Admit:  func(p peer.ID) bool { return n.roster.Load().Admits(p) },
		Relays: func(p peer.ID) bool { _, ok := n.roster.Load().Relay(p); return ok },
	})
	if err != nil {
		return err
	}
	n.engine.courier.Begin(n.life, h, n.topic)
	n.shares = overlay.HandleStream(h, overlay.ShareProtocol, overlay.StreamLimits{
		Service: "conclave.share", Memory: wire.TypeShareMessage.MaxBody(), Deadline: n.cfg.Timing.ShareTimeout, Streams: shareStreams,
	}, n.engine.courier.Serve, n.cfg.Log)
	if n.shelf != nil {
		n.backlog = overlay.HandleStream(h, overlay.BacklogProtocol, overlay.StreamLimits{
			Service: "conclave.backlog", Memory: wire.MaxSessionMessage, Deadline: shelf.Silence, Streams: shelf.Streams,
		}, shelf.NewServer(shelf.ServerConfig{
			Shelf: n.shelf, Self: identityKey(n.cfg.Identity), Roster: n.roster.Load, TakeRoster: n.takeRoster, Log: n.cfg.Log,
		}).Serve, n.cfg.Log)
	}
	return nil
}

// shutdown closes what open made, in the reverse order.
func (n *Node) shutdown() error {
	var errs []error
	if n.shares != nil {
		n.shares.Close()
	}
	if n.backlog != nil {
		n.backlog.Close()
	}
	if n.topic != nil {
		errs = append(errs, n.topic.Close())
	}
	if n.host != nil {
		errs = append(errs, n.host.Close())
	}
	return errors.Join(errs...)
}

// validate decides about a message before the topic hands it on: it has to be a batch that a member signed.
func (n *Node) validate(_ peer.ID, data []byte) (any, bool) {
	b, ok := n.verify(data)
	return &b, ok
}

// deliver hands a batch that validate found good to the engine. What finds no room is fetched from the backlog.
func (n *Node) deliver(m topic.Message) bool {
	b, ok := m.Read.(*wire.Batch)
	if !ok {
		return false // cannot be: nothing unread passes the validator
	}
	n.heard.note(m.From)
	select {
	case n.todo <- func(e *engine) { e.arrived(*b) }:
		return true
	default:
		return false
	}
}

// verify returns a batch that a member of the present roster signed.
func (n *Node) verify(data []byte) (wire.Batch, bool) {
	b, err := batch.Verify(n.topicName, data)
	if err != nil {
		return wire.Batch{}, false
	}
	_, member := n.roster.Load().MemberByIdentity(b.Sender)
	return b, member
}

// post hands f to the engine and reports whether it was taken.
func (n *Node) post(ctx context.Context, f func(*engine)) bool {
	select {
	case n.todo <- f:
		return true
	case <-ctx.Done():
		return false
	}
}

// postFunc is post for rooms, which do not know the engine.
func (n *Node) postFunc(ctx context.Context, f func()) bool {
	return n.post(ctx, func(*engine) { f() })
}

// identityKey returns the public half of an identity.
func identityKey(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// commitFailed tells a person that nothing can be written.
func (n *Node) commitFailed(err error) {
	n.cfg.Log.Error("the state cannot be written; nothing new is sent until it can", "err", err)
	n.hub.Publish(Problem{At: At{n.cfg.Now()}, Text: fmt.Sprintf("the state cannot be written: %v", err), Hint: "make room on the disk"})
}
