package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// relays looks at every relay node up to the reservation and reports whether one of them is well so far.
func (e *examination) relays(ctx context.Context) bool {
	order, addrs, err := e.relayAddrs()
	if err != nil {
		e.fail(Name, err.Error(), "give a relay node's whole address with --relay; it prints it when it starts")
		e.skipFrom(Clock, "no relay node is known")
		return false
	}
	h, err := overlay.NewHost(overlay.HostConfig{Identity: e.cfg.Identity, Peers: len(e.cfg.Roster.Members) + len(e.cfg.Roster.Relays), Log: e.cfg.Log, ListenUDP: e.cfg.ListenUDP})
	if err != nil {
		e.fail(Transport, "no host can be made on this machine: "+err.Error(), "")
		return false
	}
	e.host = h
	defer h.Close()
	well := 0
	for _, id := range order {
		if e.relay(ctx, id, addrs[id]) {
			well++
		}
	}
	if well == 0 {
		e.skipFrom(Clock, "no relay node is reached that far")
		return false
	}
	return true
}

// relayAddrs returns the relay nodes in the order in which they are named, and the addresses of each.
func (e *examination) relayAddrs() (order []peer.ID, addrs map[peer.ID][]ma.Multiaddr, err error) {
	addrs = make(map[peer.ID][]ma.Multiaddr)
	add := func(id peer.ID, a ma.Multiaddr) {
		if !slices.Contains(order, id) {
			order = append(order, id)
		}
		addrs[id] = append(addrs[id], a)
	}
	for _, a := range e.cfg.Relays {
		id, err := overlay.RelayID(a)
		if err != nil && len(e.cfg.Roster.Relays) != 1 {
			return nil, nil, err
		}
		if err != nil {
			id = e.cfg.Roster.Relays[0].Peer
		}
		add(id, a)
	}
	if len(order) == 0 {
		for _, r := range e.cfg.Roster.Relays {
			for _, a := range r.Addrs {
				add(r.Peer, a)
			}
		}
	}
	if len(order) == 0 {
		return nil, nil, errors.New("neither --relay nor the roster names a relay node")
	}
	return order, addrs, nil
}

// relay goes to one relay node by each of its addresses, and on from the one that works.
func (e *examination) relay(ctx context.Context, id peer.ID, addrs []ma.Multiaddr) bool {
	var all []addressCheck
	works := -1
	for _, a := range addrs {
		t := e.address(ctx, id, a)
		if t.connected() && works < 0 {
			works = len(all)
		}
		all = append(all, t)
	}
	for _, t := range all {
		switch {
		case t.connected():
			e.ok(Transport, "connected over "+t.addr.String())
		case works >= 0:
			e.say(t.hop, Warn, t.what, t.hint)
		default:
			e.fail(t.hop, t.what, t.hint)
		}
	}
	if works < 0 {
		return false
	}
	if len(e.host.Network().ConnsToPeer(id)) == 0 { // a later address was tried in its place
		if t := e.address(ctx, id, all[works].addr); !t.connected() {
			e.fail(t.hop, t.what, t.hint)
			return false
		}
	}
	if hostname, named := nameIn(all[works].addr); named {
		e.ok(Name, hostname+" can be resolved")
	} else {
		e.ok(Name, "there is no name to resolve in "+all[works].addr.String())
	}
	e.ok(Port, "something listens there")
	if !e.shake(ctx, id) {
		return false
	}
	if overlay.IsCircuit(all[works].addr) {
		e.say(Reservation, Skipped, "this relay node is reached through another, which is the one that keeps slots", "")
		return true
	}
	e.reserve(ctx, id)
	return true
}

// shake does the handshake as far as it goes without a session.
func (e *examination) shake(ctx context.Context, id peer.ID) bool {
	r := e.cfg.Roster
	entry, known := r.Relay(id)
	if !known {
		e.fail(Identity, fmt.Sprintf("%s is not a relay node of roster version %d", id, r.Version), hintRoster+"; or use a relay node of this group")
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, e.opts.Patience)
	defer cancel()
	s, err := overlay.OpenStream(ctx, e.host, id, overlay.SessionProtocol)
	if err != nil {
		e.fail(Identity, "it speaks libp2p but is no relay node of Conclave: "+plainly(err), "use the address of a relay node of this group")
		return false
	}
	newer := uint64(0)
	greeting, err := session.Greet(ctx, s, session.Config{
		Group: e.cfg.Group, Cert: e.cfg.Certificate, Identity: e.cfg.Identity, Roster: func() *pki.Roster { return r }, Now: e.now,
		Nonces: session.NewNonceCache(), Log: e.cfg.Log, AttachRoster: true, Timeout: e.opts.Patience,
		OfferRoster: func(envelope []byte) error { newer = e.offered(envelope); return nil },
	})
	if err != nil {
		return e.unshaken(err)
	}
	e.ok(Clock, fmt.Sprintf("within %s of the relay node's", max(greeting.Skew.Abs(), time.Millisecond).Round(time.Millisecond)))
	e.ok(Identity, fmt.Sprintf("it is the relay node %s of this group", entry.Certificate.Role))
	e.ok(Certificate, fmt.Sprintf("that of %s is good, and the relay node takes it", e.self))
	e.rosters(greeting.RosterVersion, newer)
	return true
}

// offered returns the version of a newer roster that the relay node has, if it is one.
func (e *examination) offered(envelope []byte) uint64 {
	r, err := pki.OpenRoster(e.cfg.Group, envelope, e.now())
	if err != nil {
		return 0
	}
	return r.Version
}

func (e *examination) rosters(theirs, newer uint64) {
	ours := e.cfg.Roster.Version
	switch {
	case newer > ours:
		e.say(Roster, Warn, fmt.Sprintf("this machine has version %d, the relay node version %d", ours, newer), "the newer one is taken by itself when the member runs")
	case theirs > ours:
		e.fail(Roster, fmt.Sprintf("the relay node says that it has version %d, and does not give one that is good", theirs), hintRoster)
	default:
		e.ok(Roster, fmt.Sprintf("version %d is in force here and there, until %s", ours, day(e.cfg.Roster.Expires)))
	}
}

// unshaken says why the handshake failed.
func (e *examination) unshaken(err error) bool {
	var skew *session.SkewError
	var refused *session.RefusedError
	switch {
	case errors.As(err, &skew):
		e.fail(Clock, "clocks differ: "+skew.Error(), hintClock+"; if it is right, the relay node's is wrong")
	case errors.As(err, &refused) && refused.Refusal.Code == wire.RefusedProfile:
		e.fail(Certificate, "the relay node refuses this member's certificate: it is out of date there, or another one is in the relay node's roster", hintRenew)
	case errors.As(err, &refused):
		e.fail(Certificate, "the relay node refuses the handshake: "+refused.Refusal.Code.String(), "try again in two minutes")
	case errors.Is(err, session.ErrCertificate):
		e.fail(Identity, "the relay node's own certificate is refused: "+plainly(err), "the relay node's keeper takes a new one: go run ./cmd/ca renew, then export --relay")
	case errors.Is(err, session.ErrSignature), errors.Is(err, session.ErrVersion):
		e.fail(Identity, "the relay node's answer does not hold: "+plainly(err), "check that it runs this version of the program, for this group")
	case closedWithoutWord(err):
		e.fail(Roster, fmt.Sprintf("the relay node closes without a word: %s is not in its roster, which is newer than version %d here, or another group's", e.self, e.cfg.Roster.Version), hintMember)
	default:
		e.fail(Transport, "the handshake does not get through: "+plainly(err), "try again; if it stays so, look at the relay node's log")
	}
	return false
}

// closedWithoutWord reports whether the other side ended the stream itself.
func closedWithoutWord(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, network.ErrReset) || strings.Contains(err.Error(), "reset")
}

// reserve takes a circuit slot, which ends with the connection.
func (e *examination) reserve(ctx context.Context, id peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Patience)
	defer cancel()
	until, err := overlay.Reserve(ctx, e.host, id)
	if err == nil {
		e.ok(Reservation, "the relay node keeps a slot, until "+until.UTC().Format("15:04 UTC"))
		return
	}
	what, hint := "the relay node keeps no circuit slot: "+plainly(err), "look at the relay node's log"
	switch cause, _ := overlay.CauseOf(err); cause {
	case overlay.CauseLimit:
		what, hint = "the relay node has no circuit slot free", "too many members use it at once: restart it with the newest roster, which sizes its slots, or add another relay node"
	case overlay.CauseDenied:
		what, hint = "the relay node denies a circuit slot", "its roster may be an older one: hand it the newest with: go run ./cmd/relay roster FILE; a relay node that is reached through another never keeps slots"
	case overlay.CauseUnsupported:
		what, hint = "the relay node serves no circuits", "it does not run this program, or not its present version"
	}
	e.fail(Reservation, what, hint+". Until then shares come by mailbox, which works but takes longer")
}
