package node

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

const (
	// backlogStreams is how many members are served at once. Arbitrary: more than are near in any mesh.
	backlogStreams = 64
	// backlogHeads is how many heads are told, and headsEvery the shortest distance of two tellings.
	backlogHeads = maxNearHeads
	headsEvery   = 250 * time.Millisecond
	// backlogBytes is how much one answer carries at most, as at a relay node.
	backlogBytes = wire.MaxSessionMessage / 2
	// What one member may ask for and be sent, in the long run and at once. Arbitrary: far above what a member that comes
	// back needs, far below what would hurt.
	backlogAsks, backlogAsksBurst = 50, 200
	backlogRate, backlogRateBurst = 8 << 20, 16 << 20
	rosterEvery, rosterBurst      = 2 * time.Second, 4
)

// served are the members whose backlog streams are open here: one each, the newest.
type served struct {
	mu  sync.Mutex
	all map[peer.ID]context.CancelFunc // guarded by mu
	ids map[peer.ID]*int               // guarded by mu; tells a stream from its successor
}

func newServed() *served {
	return &served{all: make(map[peer.ID]context.CancelFunc), ids: make(map[peer.ID]*int)}
}

// begin takes the place of an older stream of the same member. The function it returns gives the place back.
func (v *served) begin(p peer.ID, end context.CancelFunc) (done func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if older := v.all[p]; older != nil {
		older()
	}
	id := new(int)
	v.all[p], v.ids[p] = end, id
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.ids[p] == id {
			delete(v.all, p)
			delete(v.ids, p)
		}
	}
}

// serveBacklog tells a member what is on the shelf and hands it what it asks for.
func (n *Node) serveBacklog(ctx context.Context, s network.Stream) error {
	from := s.Conn().RemotePeer()
	if _, _, member := n.roster.Load().MemberByPeer(from); !member && !n.cfg.faults.anyBacklog {
		return fmt.Errorf("%s is not a member", from)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer n.served.begin(from, end)()
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	asked := make(chan wire.Message)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer end()
	reader.Go(func() { defer end(); n.readAsked(ctx, s, asked) })
	return n.answer(ctx, s, asked)
}

// readAsked hands on what a member asks for, as fast as it may ask. A member that says nothing for long is gone.
func (n *Node) readAsked(ctx context.Context, s network.Stream, asked chan<- wire.Message) {
	in := bufio.NewReader(s)
	asks, rosters := rate.NewLimiter(backlogAsks, backlogAsksBurst), rate.NewLimiter(rate.Every(rosterEvery), rosterBurst)
	for {
		if s.SetReadDeadline(time.Now().Add(visitSilence)) != nil {
			return
		}
		m, err := wire.ReadMessage(in, wire.TypeFetch, wire.TypePing, wire.TypeRosterUpdate)
		if err != nil || asks.Wait(ctx) != nil {
			return
		}
		if r, ok := m.(*wire.RosterUpdate); ok {
			if bytes.Equal(r.Envelope, n.roster.Load().Envelope) {
				continue
			}
			if rosters.Wait(ctx) != nil {
				return
			}
			if err := n.takeRoster(ctx, r.Envelope); err != nil {
				n.cfg.Log.Debug("a member's roster is not taken", "peer", s.Conn().RemotePeer(), "err", err)
			}
			continue
		}
		select {
		case asked <- m:
		case <-ctx.Done():
			return
		}
	}
}

// answer writes: first all heads, then answers, and this member's own heads when they have changed.
func (n *Node) answer(ctx context.Context, s network.Stream, asked <-chan wire.Message) error {
	own := wire.Signer(identityKey(n.cfg.Identity))
	sent := rate.NewLimiter(backlogRate, backlogRateBurst)
	changed := n.shelf.Changed()
	if err := writeMessage(s, &wire.Heads{Heads: n.shelf.Heads(nil, backlogHeads), Full: true}); err != nil {
		return err
	}
	var due <-chan time.Time
	for {
		var m wire.Message
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			changed, due = nil, time.After(headsEvery)
			continue
		case <-due:
			due, changed = nil, n.shelf.Changed()
			m = &wire.Heads{Heads: n.shelf.Heads(&own, backlogHeads)}
		case q := <-asked:
			switch q := q.(type) {
			case *wire.Ping:
				m = &wire.Pong{Nonce: q.Nonce}
			case *wire.Fetch:
				batches, more := n.shelf.Fetch(*q, backlogBytes)
				for _, b := range batches {
					if err := sent.WaitN(ctx, len(b)); err != nil {
						return err
					}
				}
				m = &wire.Fetched{Seq: q.Seq, Batches: batches, More: more}
			}
		}
		if err := writeMessage(s, m); err != nil {
			return err
		}
	}
}
