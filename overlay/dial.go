package overlay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"

	ma "github.com/multiformats/go-multiaddr"
)

// IsCircuit says whether an address runs through a relay node.
func IsCircuit(a ma.Multiaddr) bool {
	if a == nil {
		return false
	}
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// CircuitAddr returns the address of a member behind a relay node: <relay>/p2p-circuit. The relay address must end in
// the relay node's /p2p/ part. The member's own /p2p/ part is left out, because dialling takes it as a peer ID.
func CircuitAddr(relay ma.Multiaddr) (ma.Multiaddr, error) {
	if _, err := RelayID(relay); err != nil {
		return nil, err
	}
	if IsCircuit(relay) {
		return nil, fmt.Errorf("the relay address %s is a circuit's: nobody has a slot behind it", relay)
	}
	return relay.Encapsulate(ma.StringCast("/p2p-circuit")), nil
}

// Direct says whether there is a connection to that peer that does not run through a relay node.
func Direct(h host.Host, p peer.ID) bool {
	for _, c := range h.Network().ConnsToPeer(p) {
		if !IsCircuit(c.RemoteMultiaddr()) {
			return true
		}
	}
	return false
}

// Connect makes sure that there is a connection to that peer. Unlike Host.Connect it dials at once also after a dial
// that failed: whoever calls it paces itself. It needs a deadline on ctx, or takes 10 s.
func Connect(ctx context.Context, h host.Host, to peer.AddrInfo) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	if s, ok := h.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(to.ID)
	}
	if err := h.Connect(allowLimited(ctx), to); err != nil {
		return openError(ctx, to.ID, "", err)
	}
	return nil
}

// Reserve takes or renews a circuit slot at a connected relay node and returns when it ends. Members reach this node
// through it at CircuitAddr of the relay node's address.
func Reserve(ctx context.Context, h host.Host, relay peer.ID) (time.Time, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	until := &untilHost{Host: h, stop: func() bool { return true }}
	defer func() { until.stop() }()
	r, err := client.Reserve(ctx, until, peer.AddrInfo{ID: relay})
	if err != nil {
		var refused client.ReservationError
		if errors.As(err, &refused) && refused.Status != 0 && ctx.Err() == nil {
			return time.Time{}, &OpenError{Peer: relay, Cause: reservationCause(refused), Err: err}
		}
		return time.Time{}, openError(ctx, relay, "", err)
	}
	return r.Expiration, nil
}

// untilHost resets the stream that it opens when the context ends: once its stream is open, the library's Reserve heeds
// nothing but a deadline of its own, a minute away.
type untilHost struct {
	host.Host
	stop func() bool
}

func (h *untilHost) NewStream(ctx context.Context, p peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	s, err := h.Host.NewStream(ctx, p, protocols...)
	if err == nil {
		h.stop = context.AfterFunc(ctx, func() { _ = s.Reset() })
	}
	return s, err
}

func reservationCause(e client.ReservationError) Cause {
	switch e.Status.String() {
	case "PERMISSION_DENIED":
		return CauseDenied
	case "RESERVATION_REFUSED", "RESOURCE_LIMIT_EXCEEDED":
		return CauseLimit
	}
	return CauseUnreachable
}

// rankDials replaces the library's ranker, which lets TCP wait 30 or 250 ms behind QUIC.
func rankDials(addrs []ma.Multiaddr) []network.AddrDelay {
	var direct, tcp bool
	for _, a := range addrs {
		direct = direct || !IsCircuit(a)
		tcp = tcp || isTCP(a)
	}
	ranked := make([]network.AddrDelay, 0, len(addrs))
	for _, a := range addrs {
		var delay time.Duration
		switch {
		case IsCircuit(a) && direct:
			delay = circuitDelay
		case IsWebSocket(a) && tcp:
			delay = webSocketStart
		case !IsCircuit(a) && !isTCP(a) && tcp:
			delay = quicDelay
		}
		ranked = append(ranked, network.AddrDelay{Addr: a, Delay: delay})
	}
	return ranked
}

func isTCP(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_TCP)
	return err == nil && !IsCircuit(a) && !IsWebSocket(a)
}

// Cause says why a peer could not be reached.
type Cause int

// The causes.
const (
	CauseUnreachable Cause = iota // no address of it answered
	CauseNoAddress                // no address of it is known
	CauseNoCircuit                // the relay node has no reservation of that peer
	CauseDenied                   // the relay node does not admit this node, or not to that peer
	CauseLimit                    // a limit of the relay node or of this host
	CauseUnsupported              // the peer does not speak the protocol
	CauseTimeout                  // the deadline passed
	CauseCancelled                // the context was cancelled
)

var causeNames = [...]string{
	CauseUnreachable: "unreachable", CauseNoAddress: "no address known", CauseNoCircuit: "not connected to the relay node",
	CauseDenied: "denied", CauseLimit: "over a limit", CauseUnsupported: "does not speak the protocol",
	CauseTimeout: "timed out", CauseCancelled: "cancelled",
}

// String names the cause.
func (c Cause) String() string {
	if c < 0 || int(c) >= len(causeNames) {
		return fmt.Sprintf("cause %d", int(c))
	}
	return causeNames[c]
}

// openError finds the cause of a dial's or stream's failure. The library has no types for most of them.
func openError(ctx context.Context, p peer.ID, proto string, err error) *OpenError {
	e := &OpenError{Peer: p, Protocol: proto, Err: err}
	text := err.Error()
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Cause = CauseCancelled
	case strings.Contains(text, "NO_RESERVATION"):
		e.Cause = CauseNoCircuit
	case strings.Contains(text, "PERMISSION_DENIED"):
		e.Cause = CauseDenied
	case strings.Contains(text, "RESOURCE_LIMIT_EXCEEDED"), errors.Is(err, network.ErrResourceLimitExceeded):
		e.Cause = CauseLimit
	case strings.Contains(text, "protocols not supported"):
		e.Cause = CauseUnsupported
	case errors.Is(err, swarm.ErrNoAddresses):
		e.Cause = CauseNoAddress
	case errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
		e.Cause = CauseTimeout
	}
	return e
}
