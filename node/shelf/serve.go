package shelf

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

const (
	// Streams is how many members are served at once. Arbitrary: more than are near in any mesh.
	Streams = 64
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

// ServerConfig is what a Server is made of. All fields are given.
type ServerConfig struct {
	Shelf *Shelf
	Self  ed25519.PublicKey
	// Roster returns the one in force.
	Roster func() *pki.Roster
	// TakeRoster is given a roster that a member offers.
	TakeRoster func(ctx context.Context, envelope []byte) error
	Log        *slog.Logger
}

// Server tells members what is on the shelf and hands them what they ask for. It may be used from any goroutine.
type Server struct {
	cfg     ServerConfig
	clients *clients
}

// NewServer returns a server of a shelf.
func NewServer(cfg ServerConfig) *Server { return &Server{cfg: cfg, clients: newClients()} }

// clients are the members whose backlog streams are open here: one each, the newest.
type clients struct {
	mu  sync.Mutex
	all map[peer.ID]context.CancelFunc // guarded by mu
	ids map[peer.ID]*int               // guarded by mu; tells a stream from its successor
}

func newClients() *clients {
	return &clients{all: make(map[peer.ID]context.CancelFunc), ids: make(map[peer.ID]*int)}
}

// begin takes the place of an older stream of the same member. The function it returns gives the place back.
func (v *clients) begin(p peer.ID, end context.CancelFunc) (done func()) {
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

// Serve handles one backlog stream until it ends. Only members are served.
func (v *Server) Serve(ctx context.Context, s network.Stream) error {
	from := s.Conn().RemotePeer()
	if _, _, member := v.cfg.Roster().MemberByPeer(from); !member { // defence: backlog-member
		return fmt.Errorf("%s is not a member", from)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer v.clients.begin(from, end)()
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	asked := make(chan wire.Message)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer end()
	reader.Go(func() { defer end(); v.readAsked(ctx, s, asked) })
	return v.answer(ctx, s, asked)
}

// readAsked hands on what a member asks for, as fast as it may ask. A member that says nothing for long is gone.
func (v *Server) readAsked(ctx context.Context, s network.Stream, asked chan<- wire.Message) {
	in := bufio.NewReader(s)
	asks, rosters := rate.NewLimiter(backlogAsks, backlogAsksBurst), rate.NewLimiter(rate.Every(rosterEvery), rosterBurst)
	for {
		if s.SetReadDeadline(time.Now().Add(Silence)) != nil {
			return
		}
		m, err := wire.ReadMessage(in, wire.TypeFetch, wire.TypePing, wire.TypeRosterUpdate)
		if err != nil || asks.Wait(ctx) != nil {
			return
		}
		if r, ok := m.(*wire.RosterUpdate); ok {
			if bytes.Equal(r.Envelope, v.cfg.Roster().Envelope) {
				continue
			}
			if rosters.Wait(ctx) != nil {
				return
			}
			if err := v.cfg.TakeRoster(ctx, r.Envelope); err != nil {
				v.cfg.Log.Debug("a member's roster is not taken", "peer", s.Conn().RemotePeer(), "err", err)
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
func (v *Server) answer(ctx context.Context, s network.Stream, asked <-chan wire.Message) error {
	own := wire.Signer(v.cfg.Self)
	sent := rate.NewLimiter(backlogRate, backlogRateBurst)
	changed := v.cfg.Shelf.Changed()
	if err := writeMessage(s, &wire.Heads{Heads: v.cfg.Shelf.Heads(nil, backlogHeads), Full: true}); err != nil {
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
			due, changed = nil, v.cfg.Shelf.Changed()
			m = &wire.Heads{Heads: v.cfg.Shelf.Heads(&own, backlogHeads)}
		case q := <-asked:
			switch q := q.(type) {
			case *wire.Ping:
				m = &wire.Pong{Nonce: q.Nonce}
			case *wire.Fetch:
				batches, more := v.cfg.Shelf.Fetch(*q, backlogBytes)
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
