package overlay

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	ma "github.com/multiformats/go-multiaddr"
)

// IsWebSocket says whether an address is a WebSocket's, with or without TLS around it.
func IsWebSocket(a ma.Multiaddr) bool {
	if a == nil || IsCircuit(a) {
		return false
	}
	_, plain := a.ValueForProtocol(ma.P_WS)
	_, secure := a.ValueForProtocol(ma.P_WSS)
	return plain == nil || secure == nil
}

// Race connects to a peer at whichever of its addresses answers first, and returns that address. If first is one of
// them it gets a short start, so that what worked last costs no other dial and what no longer works costs little. TCP,
// QUIC and WebSocket race; a WebSocket on the port of a TCP address is tried when nothing else has come through. It
// needs a deadline on ctx, or takes 10 s, and dials at once also after a dial that failed: whoever calls it paces itself.
func Race(ctx context.Context, h host.Host, to peer.AddrInfo, first ma.Multiaddr) (ma.Multiaddr, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	if conns := h.Network().ConnsToPeer(to.ID); len(conns) > 0 {
		return cameBy(to.Addrs, conns[0].RemoteMultiaddr()), nil
	}
	if s, ok := h.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(to.ID)
	}
	h.Peerstore().ClearAddrs(to.ID) // what is left there of an earlier race would be dialled in the first attempt
	conn, err := (&race{ctx: allowLimited(ctx), h: h, to: to.ID}).run(attempts(to.Addrs, first))
	if err != nil {
		return nil, openError(ctx, to.ID, "", err)
	}
	return cameBy(to.Addrs, conn.RemoteMultiaddr()), nil
}

// attempt is one part of a race: the addresses that are dialled together.
type attempt struct {
	addrs []ma.Multiaddr
	after time.Duration // at the latest, after the attempt before it began; it begins when that one has failed, too
	alone bool          // the addresses of earlier attempts would keep the library from dialling these
}

// attempts divides the addresses: what worked last, everything else, and the WebSockets that the library leaves out
// because raw TCP on the same port is there too.
func attempts(addrs []ma.Multiaddr, first ma.Multiaddr) []attempt {
	var last attempt
	rest, hidden := attempt{}, attempt{after: webSocketDelay, alone: true}
	for _, a := range addrs {
		switch {
		case first != nil && a.Equal(first):
			last.addrs = append(last.addrs, a)
			rest.after = restDelay
		case IsWebSocket(a) && slices.ContainsFunc(addrs, func(b ma.Multiaddr) bool { return a.Equal(withWebSocket(b)) }):
			hidden.addrs = append(hidden.addrs, a)
		default:
			rest.addrs = append(rest.addrs, a)
		}
	}
	return slices.DeleteFunc([]attempt{last, rest, hidden}, func(h attempt) bool { return len(h.addrs) == 0 })
}

// withWebSocket returns the address of a WebSocket on the port of a TCP address.
func withWebSocket(a ma.Multiaddr) ma.Multiaddr { return a.Encapsulate(ma.StringCast("/ws")) }

// race is one call of Race.
type race struct {
	ctx context.Context
	h   host.Host
	to  peer.ID
}

type result struct {
	conn network.Conn
	err  error
}

// run begins one attempt after the other and returns the first connection, or all that went wrong.
func (r *race) run(attempts []attempt) (network.Conn, error) {
	if len(attempts) == 0 {
		attempts = []attempt{{}} // what the host knows by itself
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	results := make(chan result, len(attempts))
	var failed []error
	for i, attempt := range attempts {
		r.begin(ctx, attempt, results)
		var next <-chan time.Time
		if i+1 < len(attempts) {
			next = time.After(attempts[i+1].after)
		}
		for done := false; !done; {
			select {
			case l := <-results:
				if l.err == nil {
					return l.conn, nil
				}
				failed = append(failed, l.err)
				done = len(failed) == i+1
			case <-next:
				done = true
			}
		}
	}
	return nil, errors.Join(failed...)
}

// begin dials the addresses of a attempt on a goroutine that ends with ctx.
func (r *race) begin(ctx context.Context, attempt attempt, results chan<- result) {
	store := r.h.Peerstore()
	if attempt.alone {
		store.ClearAddrs(r.to)
	}
	store.AddAddrs(r.to, attempt.addrs, peerstore.TempAddrTTL)
	go func() {
		conn, err := r.h.Network().DialPeer(ctx, r.to)
		results <- result{conn, err}
	}()
}

// cameBy returns which of the addresses a connection came by: the same one, or for a name that was resolved the one
// with the same port and transport. A connection that was there already may have come by none.
func cameBy(addrs []ma.Multiaddr, remote ma.Multiaddr) ma.Multiaddr {
	for _, a := range addrs {
		if a.Equal(remote) {
			return a
		}
	}
	for _, a := range addrs {
		if _, rest := ma.SplitFirst(a); rest != nil && transportOf(rest) == transportOf(remote) {
			return a
		}
	}
	return nil
}

// transportOf says how an address is dialled: transport and port.
func transportOf(a ma.Multiaddr) string {
	port, err := a.ValueForProtocol(ma.P_TCP)
	switch {
	case IsCircuit(a):
		return "circuit"
	case IsWebSocket(a):
		return "websocket " + port
	case err == nil:
		return "tcp " + port
	}
	port, _ = a.ValueForProtocol(ma.P_UDP)
	return "udp " + port
}
