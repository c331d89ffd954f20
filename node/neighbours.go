package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"conclave/overlay"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// visitProbe is how often a member that is near is asked whether it is there, and visitSilence how long it may say
	// nothing before the connection is taken for dead.
	visitProbe   = 3 * time.Second
	visitSilence = 9 * time.Second
	// visitRetry is the first wait after a backlog stream that ended; it doubles up to visitRetryMax.
	visitRetry    = 500 * time.Millisecond
	visitRetryMax = 30 * time.Second
	// visitQueue is how many requests wait for a backlog stream. Arbitrary: more than are under way at once.
	visitQueue = 16
	// maxNearHeads is how many heads of one member are listened to, so that none fills the room for all others'.
	maxNearHeads = 512
	// maxNearAsked is how many members are asked for what a lane misses before it waits. Arbitrary.
	maxNearAsked = 4
)

// neighbours is the engine's view of the backlog streams to members that are near.
type neighbours struct {
	e   *engine
	all map[peer.ID]*visit
}

func newNeighbours(e *engine) neighbours { return neighbours{e: e, all: make(map[peer.ID]*visit)} }

// source is somebody who can be asked for batches: a relay node or a member.
type source interface {
	// Ask queues a fetch and reports whether there was room.
	Ask(*wire.Fetch) bool
}

// visit is one backlog stream to a member.
type visit struct {
	// static after construction
	to  peer.ID
	out chan wire.Message
}

// Ask queues a fetch and reports whether there was room.
func (v *visit) Ask(m *wire.Fetch) bool { return v.offer(m) }

func (v *visit) offer(m wire.Message) bool {
	select {
	case v.out <- m:
		return true
	default:
		return false
	}
}

func (ns *neighbours) up(v *visit) {
	ns.all[v.to] = v
	ns.e.inbound.fetch.again()
}

func (ns *neighbours) down(v *visit) {
	if ns.all[v.to] != v {
		return
	}
	delete(ns.all, v.to)
	ns.e.inbound.fetch.down(v)
	ns.e.inbound.forgetHeads(v.to)
}

// offerRoster hands the roster to a member, or with nobody named to all that are near.
func (ns *neighbours) offerRoster(to wire.Role) {
	for id, v := range ns.all {
		if to == "" || ns.e.roleOf(id) == to {
			v.offer(&wire.RosterUpdate{Envelope: ns.e.roster.Envelope})
		}
	}
}

// sources returns whom to ask for what a lane misses: relay nodes, then its sender, then other members.
func (f *fetcher) sources(l *lane) []source {
	var list []source
	for _, v := range f.e.relays.Usable() {
		list = append(list, v)
	}
	var near []*visit
	for _, v := range f.e.near.all {
		near = append(near, v)
	}
	first := func(v *visit) bool { return f.e.roleOf(v.to) == l.member.Role }
	slices.SortFunc(near, func(a, b *visit) int {
		switch {
		case first(a):
			return -1
		case first(b):
			return 1
		}
		return strings.Compare(string(a.to), string(b.to))
	})
	for _, v := range near[:min(len(near), maxNearAsked)] {
		list = append(list, v)
	}
	return list
}

// again has every gap looked at: somebody is there who may be asked.
func (f *fetcher) again() {
	now := time.Now()
	for l := range f.e.inbound.gaps {
		if l.fetching == 0 {
			l.due = now
		}
	}
}

// visits keeps a backlog stream to each of the members that are near. It is called with who they are, by one goroutine.
type visits struct {
	n    *Node
	wg   sync.WaitGroup
	open map[peer.ID]context.CancelFunc
}

func (vs *visits) are(ctx context.Context, near []peer.ID) {
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
			vs.wg.Go(func() { vs.n.visit(one, id) })
		}
	}
}

// close ends them all and waits.
func (vs *visits) close() {
	for _, end := range vs.open {
		end()
	}
	vs.wg.Wait()
}

// visit keeps a backlog stream to a member until ctx ends.
func (n *Node) visit(ctx context.Context, to peer.ID) {
	for failures := 0; ctx.Err() == nil; failures++ {
		began := time.Now()
		err := n.visitOnce(ctx, to)
		if ctx.Err() != nil {
			return
		}
		n.cfg.Log.Debug("a backlog stream ended", "peer", to, "err", err)
		if time.Since(began) > visitSilence {
			failures = 0
		}
		select {
		case <-time.After(min(visitRetry<<min(failures, 10), visitRetryMax)):
		case <-ctx.Done():
		}
	}
}

// visitOnce is the life of one backlog stream on the side that asks.
func (n *Node) visitOnce(ctx context.Context, to peer.ID) error {
	s, err := overlay.OpenStream(ctx, n.host, to, overlay.BacklogProtocol)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	v := &visit{to: to, out: make(chan wire.Message, visitQueue)}
	v.offer(&wire.RosterUpdate{Envelope: n.roster.Load().Envelope})
	var writer sync.WaitGroup
	defer writer.Wait()
	defer end(nil)
	writer.Go(func() { end(v.write(ctx, s)) })
	n.post(ctx, func(e *engine) { e.near.up(v) })
	defer n.post(n.life, func(e *engine) { e.near.down(v) })
	err = v.read(ctx, n, s)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if isTimeout(err) {
		n.cfg.Log.Info("a member that was near does not answer", "peer", to)
		closeDirect(n.host.Network(), to)
	}
	return err
}

// write sends what is asked for, and probes, until ctx ends or the stream breaks.
func (v *visit) write(ctx context.Context, s network.Stream) error {
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
	if err := s.SetWriteDeadline(time.Now().Add(visitSilence)); err != nil {
		return err
	}
	_, err = s.Write(data)
	return err
}

// read hands what a member says to the engine until the stream ends.
func (v *visit) read(ctx context.Context, n *Node, s network.Stream) error {
	in := bufio.NewReader(s)
	for {
		if err := s.SetReadDeadline(time.Now().Add(visitSilence)); err != nil {
			return err
		}
		m, err := wire.ReadMessage(in, wire.TypeHeads, wire.TypeFetched, wire.TypePong)
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		switch m := m.(type) {
		case *wire.Heads:
			heads := m.Heads[:min(len(m.Heads), maxNearHeads)]
			n.post(ctx, func(e *engine) { e.inbound.headsAre(v.to, heads, m.Full) })
		case *wire.Fetched:
			batches := n.verifiedFrames(m.Batches)
			n.post(ctx, func(e *engine) { e.inbound.fetch.fetched(v, m.Seq, batches, m.More) })
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
