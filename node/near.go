package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"conclave/node/shelf"
	"conclave/node/state"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// maxNearAsked is how many members are asked for what a lane misses before it waits. Arbitrary.
const maxNearAsked = 4

// source is somebody who can be asked for batches: a relay node or a member.
type source interface {
	// Ask queues a fetch and reports whether there was room.
	Ask(*wire.Fetch) bool
}

// newKeeper returns what keeps batches for others; nil without a LAN, where the relay nodes' backlogs do.
func (e *engine) newKeeper(saved []state.Shelved) *shelf.Keeper {
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
		Dropped: func(id wire.BatchID) { delete(e.outbox.byID, id) },
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
	s.n.post(ctx, func(e *engine) {
		e.near[v.To] = v
		e.inbound.fetch.again()
	})
}

// VisitDown implements shelf.Sink.
func (s shelfSink) VisitDown(v *shelf.Visit) {
	s.n.post(s.n.life, func(e *engine) {
		if e.near[v.To] != v {
			return
		}
		delete(e.near, v.To)
		e.inbound.fetch.down(v)
		e.inbound.forgetHeads(v.To)
	})
}

// Heads implements shelf.Sink.
func (s shelfSink) Heads(ctx context.Context, of *shelf.Visit, heads []wire.Head, full bool) {
	s.n.post(ctx, func(e *engine) { e.inbound.headsAre(of.To, heads, full) })
}

// Fetched implements shelf.Sink.
func (s shelfSink) Fetched(ctx context.Context, of *shelf.Visit, seq uint64, batches []wire.Batch, more bool) {
	s.n.post(ctx, func(e *engine) { e.inbound.fetch.fetched(of, seq, batches, more) })
}

// offerRoster hands the roster to a member that is near, or with nobody named to all that are.
func (e *engine) offerRoster(to wire.Role) {
	for id, v := range e.near {
		if to == "" || e.roleOf(id) == to {
			v.Offer(&wire.RosterUpdate{Envelope: e.roster.Envelope})
		}
	}
}

// sources returns whom to ask for what a lane misses: relay nodes, then its sender, then other members.
func (f *fetcher) sources(l *lane) []source {
	var list []source
	for _, v := range f.e.relays.Usable() {
		list = append(list, v)
	}
	var near []*shelf.Visit
	for _, v := range f.e.near {
		near = append(near, v)
	}
	first := func(v *shelf.Visit) bool { return f.e.roleOf(v.To) == l.member.Role }
	slices.SortFunc(near, func(a, b *shelf.Visit) int {
		switch {
		case first(a):
			return -1
		case first(b):
			return 1
		}
		return strings.Compare(string(a.To), string(b.To))
	})
	for _, v := range near[:min(len(near), maxNearAsked)] {
		list = append(list, v)
	}
	return list
}

// again has every gap looked at: somebody is there who may be asked.
func (f *fetcher) again() {
	for l := range f.e.inbound.gaps {
		if l.fetching == 0 {
			l.due = time.Now()
		}
	}
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
