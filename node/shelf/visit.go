package shelf

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"conclave/overlay"
	"conclave/overlay/backoff"
	"conclave/overlay/batch"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// visitProbe is how often a member that is near is asked whether it is there.
	visitProbe = 3 * time.Second
	// Silence is how long either side may say nothing before the connection is taken for dead.
	Silence = 9 * time.Second
	// visitRetry is the first wait after a backlog stream that ended; it doubles up to visitRetryMax.
	visitRetry    = 500 * time.Millisecond
	visitRetryMax = 30 * time.Second
	// visitQueue is how many requests wait for a backlog stream. Arbitrary: more than are under way at once.
	visitQueue = 16
	// maxNearHeads is how many heads of one member are listened to, so that none fills the room for all others'.
	maxNearHeads = 512
)

// Sink is told what members say, on the visits' goroutines, in order for each visit.
type Sink interface {
	// VisitUp is told of a stream on which a member can be asked, and VisitDown that it ended.
	VisitUp(context.Context, *Visit)
	VisitDown(*Visit)
	// Heads is told what a member says to have.
	Heads(ctx context.Context, of *Visit, heads []wire.Head, full bool)
	// Fetched is given the answer to a request. The batches are verified.
	Fetched(ctx context.Context, of *Visit, seq uint64, batches []wire.Batch, more bool)
}

// VisitorConfig is what a Visitor is made of. All fields are given.
type VisitorConfig struct {
	Host host.Host
	// Roster returns the one in force.
	Roster func() *pki.Roster
	// Verify returns a batch that a member signed.
	Verify func(data []byte) (wire.Batch, bool)
	Log    *slog.Logger
	Sink   Sink
}

// Visit is one backlog stream to a member, on the side that asks.
type Visit struct {
	// To is the member.
	To  peer.ID
	out chan wire.Message
}

// Ask queues a fetch and reports whether there was room.
func (v *Visit) Ask(m *wire.Fetch) bool { return v.Offer(m) }

// Offer queues a message and reports whether there was room.
func (v *Visit) Offer(m wire.Message) bool {
	select {
	case v.out <- m:
		return true
	default:
		return false
	}
}

// Visitor keeps a backlog stream to each of the members that are near. It belongs to the goroutine that tells it who they are.
type Visitor struct {
	cfg  VisitorConfig
	wg   sync.WaitGroup
	open map[peer.ID]context.CancelFunc
}

// NewVisitor returns a visitor of nobody.
func NewVisitor(cfg VisitorConfig) *Visitor {
	return &Visitor{cfg: cfg, open: make(map[peer.ID]context.CancelFunc)}
}

// Near says which members are near now: streams to others end, and those to new ones begin, until ctx ends.
func (vs *Visitor) Near(ctx context.Context, near []peer.ID) {
	for id, end := range vs.open {
		if !slices.Contains(near, id) {
			end()
			delete(vs.open, id)
		}
	}
	for _, id := range near {
		if vs.open[id] == nil {
			one, end := context.WithCancel(ctx)
			vs.open[id] = end
			vs.wg.Go(func() { vs.cfg.visit(one, id) })
		}
	}
}

// Close ends all streams and waits for their goroutines.
func (vs *Visitor) Close() {
	for _, end := range vs.open {
		end()
	}
	vs.wg.Wait()
}

// visit keeps a backlog stream to a member until ctx ends.
func (c *VisitorConfig) visit(ctx context.Context, to peer.ID) {
	for failures := 0; ctx.Err() == nil; failures++ {
		began := time.Now()
		err := c.visitOnce(ctx, to)
		if ctx.Err() != nil {
			return
		}
		c.Log.Debug("a backlog stream ended", "peer", to, "err", err)
		if time.Since(began) > Silence {
			failures = 0
		}
		select {
		case <-time.After(backoff.Wait(visitRetry, visitRetryMax, failures)):
		case <-ctx.Done():
		}
	}
}

// visitOnce is the life of one backlog stream on the side that asks.
func (c *VisitorConfig) visitOnce(ctx context.Context, to peer.ID) error {
	s, err := overlay.OpenStream(ctx, c.Host, to, overlay.BacklogProtocol)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	v := &Visit{To: to, out: make(chan wire.Message, visitQueue)}
	v.Offer(&wire.RosterUpdate{Envelope: c.Roster().Envelope})
	var writer sync.WaitGroup
	defer writer.Wait()
	defer end(nil)
	writer.Go(func() { end(v.write(ctx, s)) })
	c.Sink.VisitUp(ctx, v)
	defer c.Sink.VisitDown(v)
	err = c.read(ctx, v, s)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if isTimeout(err) {
		c.Log.Info("a member that was near does not answer", "peer", to)
		closeDirect(c.Host.Network(), to)
	}
	return err
}

// write sends what is asked for, and probes, until ctx ends or the stream breaks.
func (v *Visit) write(ctx context.Context, s network.Stream) error {
	ticker := time.NewTicker(visitProbe)
	defer ticker.Stop()
	for nonce := uint64(1); ; {
		var m wire.Message
		select {
		case <-ctx.Done():
			return nil
		case m = <-v.out:
		case <-ticker.C:
			m = &wire.Ping{Nonce: nonce}
			nonce++
		}
		if err := writeMessage(s, m); err != nil {
			return err
		}
	}
}

// writeMessage sends one message within a time.
func writeMessage(s network.Stream, m wire.Message) error {
	data, err := wire.AppendMessage(nil, m)
	if err != nil {
		return err
	}
	if err := s.SetWriteDeadline(time.Now().Add(Silence)); err != nil {
		return err
	}
	_, err = s.Write(data)
	return err
}

// read hands on what a member says until the stream ends.
func (c *VisitorConfig) read(ctx context.Context, v *Visit, s network.Stream) error {
	in := bufio.NewReader(s)
	for {
		if err := s.SetReadDeadline(time.Now().Add(Silence)); err != nil {
			return err
		}
		m, err := wire.ReadMessage(in, wire.TypeHeads, wire.TypeFetched, wire.TypePong)
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		switch m := m.(type) {
		case *wire.Heads:
			c.Sink.Heads(ctx, v, m.Heads[:min(len(m.Heads), maxNearHeads)], m.Full)
		case *wire.Fetched:
			c.Sink.Fetched(ctx, v, m.Seq, batch.Frames(m.Batches, c.Verify), m.More)
		}
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// closeDirect closes the connections to a peer that run through nobody.
func closeDirect(net network.Network, to peer.ID) {
	for _, c := range net.ConnsToPeer(to) {
		if !overlay.IsCircuit(c.RemoteMultiaddr()) {
			_ = c.Close()
		}
	}
}
