package node

import (
	"context"

	"conclave/node/delivery"
	"conclave/node/reach"
	"conclave/node/shelf"
	"conclave/node/state"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// newKeeper returns what keeps batches for others; nil without a LAN, where the relay nodes' backlogs do.
func newKeeper(e *engine, saved []state.Shelved) *shelf.Keeper {
	if e.cfg.LAN == nil {
		return nil
	}
	e.n.shelf = shelf.New(shelf.DefaultLimits)
	list := make([]shelf.Saved, len(saved))
	for i, s := range saved {
		list[i] = shelf.Saved(s)
	}
	return shelf.NewKeeper(shelf.KeeperConfig{
		Shelf: e.n.shelf, Disk: shelfDisk{e.ledger}, Relays: e.relays, Self: identityKey(e.cfg.Identity), Now: e.cfg.Now,
		Dropped: func(id wire.BatchID) { e.deliver(delivery.Unshelved{ID: id}) },
	}, list)
}

// shelfDisk writes what is on the shelf into the state file.
type shelfDisk struct{ ledger *state.Ledger }

// Shelve implements shelf.Disk.
func (d shelfDisk) Shelve(s shelf.Saved) {
	d.ledger.Change().Shelve(state.Shelved(s))
	d.ledger.Soon()
}

// ShelfStored implements shelf.Disk.
func (d shelfDisk) ShelfStored(seq int64) {
	d.ledger.Change().ShelfStored(seq)
	d.ledger.Soon()
}

// Unshelve implements shelf.Disk.
func (d shelfDisk) Unshelve(seq int64) {
	d.ledger.Change().Unshelve(seq)
	d.ledger.Soon()
}

// shelfSink leaves what near members say in the engine's queue.
type shelfSink struct{ n *Node }

// VisitUp implements shelf.Sink.
func (s shelfSink) VisitUp(ctx context.Context, v *shelf.Visit) {
	s.n.post(ctx, func(e *engine) { e.visited(v) })
}

// VisitDown implements shelf.Sink.
func (s shelfSink) VisitDown(v *shelf.Visit) {
	s.n.post(s.n.life, func(e *engine) {
		if e.near[v.To] != v {
			return
		}
		delete(e.near, v.To)
		e.sourcesAre()
	})
}

// Heads implements shelf.Sink.
func (s shelfSink) Heads(ctx context.Context, of *shelf.Visit, heads []wire.Head, full bool) {
	s.n.post(ctx, func(e *engine) { e.deliver(delivery.Heads{Peer: string(of.To), List: heads, Full: full}) })
}

// Fetched implements shelf.Sink.
func (s shelfSink) Fetched(ctx context.Context, of *shelf.Visit, seq uint64, batches []wire.Batch, more bool) {
	s.n.post(ctx, func(e *engine) {
		if e.near[of.To] == of {
			e.fetched(of.To, seq, batches, more)
		}
	})
}

// visits keeps a backlog stream to every member that is near; nil where nothing is kept for others.
func (n *Node) visits() *shelf.Visitor {
	if n.shelf == nil {
		return nil
	}
	return shelf.NewVisitor(shelf.VisitorConfig{Host: n.host, Roster: n.roster.Load, Verify: n.verify, Log: n.cfg.Log, Sink: shelfSink{n}})
}

// followTopic tells the engine which members are in the topic over connections of their own. Between members topic traffic
// runs over nothing else.
func (n *Node) followTopic(ctx context.Context) {
	var before []peer.ID
	visits := n.visits()
	if visits != nil {
		defer visits.Close()
	}
	for {
		now, err := n.topic.Follow(ctx, before)
		if err != nil {
			return
		}
		before = now
		var near []peer.ID
		for _, id := range now {
			if _, _, member := n.roster.Load().MemberByPeer(id); member {
				near = append(near, id)
			}
		}
		if !n.post(ctx, func(e *engine) { e.reach.Near(near) }) {
			return
		}
		if visits != nil {
			visits.Near(ctx, near)
		}
	}
}

// meet looks for the others on the local network until ctx ends.
func (n *Node) meet(ctx context.Context) {
	err := reach.Meet(ctx, reach.MeetConfig{
		Group: n.cfg.Group.ID, Self: n.self.Peer, Host: n.host, InForce: n.roster.Load, Interfaces: n.cfg.LAN.Interfaces,
		Relay: n.uplink.Learn, Log: n.cfg.Log,
	})
	if err != nil {
		n.cfg.Log.Warn("members on the local network cannot be found", "err", err)
		n.hub.Publish(Problem{
			At: At{n.cfg.Now()}, Text: "members on the local network cannot be found: " + err.Error(),
			Hint: "does another program keep UDP port 5353 to itself?",
		})
	}
}
