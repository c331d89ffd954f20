package overlay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	msmux "github.com/multiformats/go-multistream"
)

// OpenError is returned when a peer cannot be reached or does not open a stream. It carries the cause.
type OpenError struct {
	Peer     peer.ID
	Protocol string // "" for a connection
	Cause    Cause
	Err      error
}

// Error names peer, protocol and cause.
func (e *OpenError) Error() string {
	what := "connecting to "
	if e.Protocol != "" {
		what = "opening " + e.Protocol + " to "
	}
	return fmt.Sprintf("%s%s: %s: %v", what, e.Peer, e.Cause, e.Err)
}

// Unwrap returns the library's error.
func (e *OpenError) Unwrap() error { return e.Err }

// CauseOf returns the cause that an error of this package carries.
func CauseOf(err error) (Cause, bool) {
	var e *OpenError
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Cause, true
}

// allowLimited marks ctx so that a stream over a limited circuit opens too: without it the library waits for a better
// connection until the deadline.
func allowLimited(ctx context.Context) context.Context {
	return network.WithAllowLimitedConn(ctx, "conclave")
}

// withDeadline gives ctx a deadline of streamDeadline unless it has one.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, streamDeadline)
}

// OpenStream opens a stream to that peer, dialling it at its known addresses if need be, also over a limited circuit.
// It takes at most as long as ctx allows, or 10 s, and that is then also the stream's own deadline: clear it with
// SetDeadline when the stream lives longer. A failure is an OpenError.
func OpenStream(ctx context.Context, h host.Host, p peer.ID, proto protocol.ID) (network.Stream, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	s, err := h.NewStream(allowLimited(ctx), p, proto)
	if err != nil {
		return nil, openError(ctx, p, string(proto), err)
	}
	deadline, _ := ctx.Deadline()
	if err := s.SetDeadline(deadline); err != nil {
		_ = s.Reset()
		return nil, openError(ctx, p, string(proto), err)
	}
	return s, nil
}

// Negotiate agrees on the protocol of a stream that was opened on a connection and not by the host, and gives it the deadline
// of ctx, if there is one.
func Negotiate(ctx context.Context, s network.MuxedStream, proto protocol.ID) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.SetDeadline(deadline); err != nil {
			return err
		}
	}
	return msmux.SelectProtoOrFail(proto, s)
}

// StreamLimits bounds the handler of one protocol.
type StreamLimits struct {
	// Service is the name under which the resource manager accounts for the streams. Required.
	Service string
	// Memory is what one stream reserves in bytes while it is handled: its largest message, at least 1 KiB.
	Memory int
	// Deadline is set on the stream before the handler starts; the handler moves it if the stream lives longer.
	// Default 10 s.
	Deadline time.Duration
	// Streams is how many streams are handled at once, over all peers; one more is reset. Default 1,024.
	Streams int
}

// StreamHandler handles one stream whose deadline is set. A nil return closes the stream, an error resets it. ctx ends
// when the server closes.
type StreamHandler func(ctx context.Context, s network.Stream) error

// StreamServer serves one protocol on one host. See HandleStream.
type StreamServer struct {
	// Static after construction.
	host   host.Host
	proto  protocol.ID
	limits StreamLimits
	handle StreamHandler
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{}

	mu     sync.Mutex // guards closed, and wg.Add against wg.Wait
	closed bool
	wg     sync.WaitGroup
}

type streamVerdict int

// How a stream ended.
const (
	streamDone streamVerdict = iota
	streamFailed
	streamBusy
	streamNoResources
	verdictCount
)

var streamVerdictNames = [verdictCount]string{
	streamDone: "done", streamFailed: "failed", streamBusy: "too many streams", streamNoResources: "no resources",
}

// HandleStream serves a protocol: every stream gets its service, its memory reservation and its deadline before the
// handler sees it, and ends in one place that closes or resets and logs (at debug level: a stranger can trigger it). Close the server before the host.
func HandleStream(h host.Host, proto protocol.ID, limits StreamLimits, handle StreamHandler, log *slog.Logger) *StreamServer {
	limits.Memory = max(limits.Memory, 1<<10)
	if limits.Deadline <= 0 {
		limits.Deadline = streamDeadline
	}
	if limits.Streams <= 0 {
		limits.Streams = 1024
	}
	v := &StreamServer{
		host: h, proto: proto, limits: limits, handle: handle, log: log, slots: make(chan struct{}, limits.Streams),
	}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	h.SetStreamHandler(proto, v.serve)
	return v
}

// serve is called in a goroutine of the host's, whose stack negotiation has made deep. The stream gets a goroutine of its
// own, which a long-lived one keeps shallow.
func (v *StreamServer) serve(s network.Stream) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		_ = s.Reset()
		return
	}
	v.wg.Go(func() { v.handleOne(s) })
}

func (v *StreamServer) handleOne(s network.Stream) {
	verdict, err := v.run(s)
	v.end(s, verdict, err)
}

// end is not part of handleOne, whose frame is on the stack for as long as a stream lives.
func (v *StreamServer) end(s network.Stream, verdict streamVerdict, err error) {
	if verdict == streamDone {
		_ = s.Close()
		return
	}
	_ = s.Reset()
	v.log.Debug("stream ended", "protocol", v.proto, "peer", s.Conn().RemotePeer(), "verdict", streamVerdictNames[verdict], "err", err)
}

func (v *StreamServer) run(s network.Stream) (streamVerdict, error) {
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	default:
		return streamBusy, nil
	}
	if err := s.Scope().SetService(v.limits.Service); err != nil {
		return streamNoResources, err
	}
	if err := s.Scope().ReserveMemory(v.limits.Memory, network.ReservationPriorityAlways); err != nil {
		return streamNoResources, err
	}
	defer s.Scope().ReleaseMemory(v.limits.Memory)
	if err := s.SetDeadline(time.Now().Add(v.limits.Deadline)); err != nil {
		return streamFailed, err
	}
	stop := context.AfterFunc(v.ctx, func() { _ = s.Reset() })
	defer stop()
	if err := v.handle(v.ctx, s); err != nil {
		return streamFailed, err
	}
	return streamDone, nil
}

// Close takes the protocol off the host, resets the open streams and returns when every handler has.
func (v *StreamServer) Close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.host.RemoveStreamHandler(v.proto)
	v.cancel()
	v.wg.Wait()
}
