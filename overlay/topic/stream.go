package topic

import (
	"context"
	"sync/atomic"
	"time"

	"conclave/overlay"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio/pbio"
	"golang.org/x/time/rate"
)

// gatedHost is the host as pubsub sees it: no pubsub stream is opened to or accepted from a peer that is not in the
// roster, nor over a circuit to another member. Who is behind the gate does not count as connected.
type gatedHost struct {
	host.Host
	id    peer.ID // which the library asks for several times with each message
	guard *guard
	ctx   context.Context // ends with the topic
	hello func() *pb.RPC  // says what this node is subscribed to
}

// ID returns the host's peer ID.
func (h *gatedHost) ID() peer.ID { return h.id }

// Network returns the network as pubsub sees it.
func (h *gatedHost) Network() network.Network { return &gatedNetwork{h.Host.Network(), h} }

// gatedNetwork does not call a peer connected that the gate keeps out. Otherwise the library tries and fails to open a
// stream when a member's circuit comes, and if the direct connection comes just then, takes that for the same peer which
// it is about to forget.
type gatedNetwork struct {
	network.Network
	host *gatedHost
}

// Connectedness returns Limited for a peer with which there are only connections that topic traffic may not use.
func (n *gatedNetwork) Connectedness(p peer.ID) network.Connectedness {
	c := n.Network.Connectedness(p)
	if c == network.Connected && n.host.conn(p, nil) == nil {
		return network.Limited
	}
	return c
}

// conn returns a connection that topic traffic with that peer may use, but not that one. It is nil if there is none.
func (h *gatedHost) conn(p peer.ID, not network.Conn) network.Conn {
	for _, c := range h.Host.Network().ConnsToPeer(p) {
		if c != not && !c.IsClosed() && h.guard.lets(c) {
			return c
		}
	}
	return nil
}

// NewStream opens a stream if the gate lets it. It tries again while there is a connection: the library asks once for each
// that comes, and one that is about to close must not make it forget the peer.
func (h *gatedHost) NewStream(ctx context.Context, p peer.ID, protos ...protocol.ID) (s network.Stream, err error) {
	err = errDropped
	for range maxMoves {
		if h.conn(p, nil) == nil {
			return nil, err
		}
		if s, err = h.Host.NewStream(ctx, p, protos...); err == nil {
			return &movingStream{Stream: s, host: h, moving: make(chan struct{}, 1)}, nil
		}
	}
	return nil, err
}

// SetStreamHandler registers a handler behind the gate.
func (h *gatedHost) SetStreamHandler(id protocol.ID, handle network.StreamHandler) {
	h.Host.SetStreamHandler(id, func(s network.Stream) {
		if !h.guard.lets(s.Conn()) {
			h.guard.drops.add(DropStream, 1)
			_ = s.Reset()
			return
		}
		handle(s)
	})
}

// movingStream is a stream to a peer that outlives the connection under it: it moves to another one if there is one. Two
// peers that dial each other at once have several, of which some are closed at once; and pubsub, when its own stream to a
// peer ends, forgets also what that peer is subscribed to, which the peer, whose stream to here may well live, never says
// again. What was on the way when the connection ended is lost, as it is between two streams.
type movingStream struct {
	network.Stream // the first; only what does not change with a move is asked of it
	host           *gatedHost

	now    atomic.Pointer[network.Stream] // nil: the first
	ended  atomic.Bool                    // by pubsub
	moving chan struct{}                  // holds one token while the stream moves: the network is waited for meanwhile
	moves  *rate.Limiter                  // guarded by moving; nil before the first move
}

// at returns the stream as it is now.
func (s *movingStream) at() network.Stream {
	if now := s.now.Load(); now != nil {
		return *now
	}
	return s.Stream
}

// Read waits until the stream ends for good: nobody writes to this side of it.
func (s *movingStream) Read(p []byte) (int, error) { return s.try(network.Stream.Read, p) }

// Write writes one RPC, whole, to one connection.
func (s *movingStream) Write(p []byte) (int, error) { return s.try(network.Stream.Write, p) }

// try reads or writes on the stream as it is, again after each move.
func (s *movingStream) try(do func(network.Stream, []byte) (int, error), p []byte) (int, error) {
	for {
		at := s.at()
		n, err := do(at, p)
		if err == nil || !s.move(at) {
			return n, err
		}
	}
}

// move has the stream go on over another connection than the one under the stream that has ended, and reports whether it
// does.
func (s *movingStream) move(from network.Stream) bool {
	select {
	case s.moving <- struct{}{}:
		defer func() { <-s.moving }()
	case <-s.host.ctx.Done():
		return false
	}
	if s.at() != from {
		return true // it has moved already
	}
	if s.moves == nil {
		s.moves = rate.NewLimiter(rate.Every(moveEvery), maxMoves)
	}
	under := from.Conn()
	for !s.ended.Load() {
		c := s.host.conn(under.RemotePeer(), under)
		if c == nil || !s.moves.Allow() {
			return false
		}
		next, err := s.greet(c)
		if err != nil {
			continue
		}
		_ = from.Reset()
		s.now.Store(&next)
		if s.ended.Load() {
			_ = next.Reset() // whoever ended it may have seen the one before
		}
		return true
	}
	return false
}

// greet opens a topic stream on a connection and says what this node is subscribed to, as pubsub does on a new one.
func (s *movingStream) greet(c network.Conn) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(s.host.ctx, moveTimeout)
	defer cancel()
	next, err := c.NewStream(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.introduce(ctx, next); err != nil {
		_ = next.Reset()
		return nil, err
	}
	return next, nil
}

func (s *movingStream) introduce(ctx context.Context, next network.Stream) error {
	if err := next.SetProtocol(s.Protocol()); err != nil {
		return err
	}
	if err := overlay.Negotiate(ctx, next, s.Protocol()); err != nil {
		return err
	}
	if err := pbio.NewDelimitedWriter(next).WriteMsg(s.host.hello()); err != nil {
		return err
	}
	return next.SetReadDeadline(time.Time{}) // pubsub reads until the end, and sets a deadline before it writes
}

// Close ends the stream.
func (s *movingStream) Close() error {
	s.ended.Store(true)
	return s.at().Close()
}

// Reset ends the stream at once.
func (s *movingStream) Reset() error {
	s.ended.Store(true)
	return s.at().Reset()
}

// SetWriteDeadline bounds the next writes.
func (s *movingStream) SetWriteDeadline(t time.Time) error { return s.at().SetWriteDeadline(t) }
