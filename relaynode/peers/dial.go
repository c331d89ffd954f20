package peers

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"conclave/overlay"
	"conclave/overlay/backoff"
	"conclave/overlay/session"
	"conclave/relaynode/pace"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// dialAll dials the relay nodes of the roster, whichever it is, until ctx ends.
func (p *Peers) dialAll(ctx context.Context) {
	var dialling sync.WaitGroup
	defer dialling.Wait()
	all := make(map[peer.ID]*dialler)
	for ctx.Err() == nil {
		relays := p.others()
		for id, d := range all {
			if !slices.Contains(relays, id) {
				d.stop()
				delete(all, id)
				continue
			}
			d.again.Ring() // it may have another address now
		}
		for _, id := range relays {
			if all[id] == nil {
				one, stop := context.WithCancel(ctx)
				defer stop()
				d := &dialler{stop: stop, again: pace.NewBell()}
				all[id] = d
				dialling.Go(func() { p.keep(one, id, d.again) })
			}
		}
		select {
		case <-ctx.Done():
		case <-p.roster:
		}
	}
}

// dialler is a goroutine that keeps a session with one relay node.
type dialler struct {
	stop  context.CancelFunc
	again pace.Signal // ends its rest
}

// others returns the other relay nodes of the present roster.
func (p *Peers) others() []peer.ID {
	var all []peer.ID
	for _, r := range p.cfg.Roster().Relays {
		if r.Peer != p.host.ID() {
			all = append(all, r.Peer)
		}
	}
	return all
}

// addrs returns where a relay node can be dialled. What leads through this relay node itself does not count.
func (p *Peers) addrs(id peer.ID) []ma.Multiaddr {
	known := slices.Clone(p.known[id])
	if r, ok := p.cfg.Roster().Relay(id); ok {
		known = append(known, r.Addrs...)
	}
	var addrs []ma.Multiaddr
	for _, a := range known {
		transport, _ := peer.SplitAddr(a)
		if transport == nil || through(a) == p.host.ID() {
			continue
		}
		if !slices.ContainsFunc(addrs, transport.Equal) {
			addrs = append(addrs, transport)
		}
	}
	return addrs
}

// through returns the relay node that a circuit address leads through, empty for another address.
func through(a ma.Multiaddr) peer.ID {
	outer, ok := overlay.Outer(a)
	if !ok {
		return ""
	}
	_, id := peer.SplitAddr(outer)
	return id
}

// keep has a session with one relay node, begun by whichever side, until ctx ends.
func (p *Peers) keep(ctx context.Context, id peer.ID, again pace.Signal) {
	if p.host.ID() > id { // both sides may come up at the same time: one of them begins
		rest(ctx, redialMin, nil)
	}
	for failures := 0; ctx.Err() == nil; {
		if l := p.get(id); l != nil {
			select {
			case <-l.done:
			case <-ctx.Done():
				return
			}
			failures = 0
		} else if err := p.dial(ctx, id); err != nil {
			p.log.Debug("no session with a relay node", "relay", p.roleOf(id), "err", err)
			failures++
		} else {
			failures = 0
		}
		if p.get(id) == nil && ctx.Err() == nil {
			p.closeOld(id)
			rest(ctx, backoff.Wait(redialMin, redialMax, failures), again)
		}
	}
}

// closeOld closes connections to a relay node without a session: one that is dead in one direction would be taken for a
// living one by the next dial, and pubsub greets anew only on a new one. A young one is left: the other side may have
// begun it, and be about to begin a session.
func (p *Peers) closeOld(id peer.ID) {
	for _, c := range p.host.Network().ConnsToPeer(id) {
		if time.Since(c.Stat().Opened) > p.cfg.Limits.Admission {
			_ = c.Close()
		}
	}
}

// rest waits for d, with jitter, or until the bell is rung.
func rest(ctx context.Context, d time.Duration, again pace.Signal) {
	t := time.NewTimer(backoff.Jitter(d, rand.N))
	defer t.Stop()
	select {
	case <-t.C:
	case <-again:
	case <-ctx.Done():
	}
}

// dial connects to a relay node and returns when the session is over. It returns an error when there was none.
func (p *Peers) dial(ctx context.Context, id peer.ID) error {
	addrs := p.addrs(id)
	if len(addrs) == 0 && len(p.host.Network().ConnsToPeer(id)) == 0 {
		return errors.New("no address of it is known")
	}
	limited, cancel := context.WithTimeout(ctx, p.cfg.Limits.Admission)
	defer cancel()
	if err := overlay.Connect(limited, p.host, peer.AddrInfo{ID: id, Addrs: addrs}); err != nil {
		return err
	}
	s, err := overlay.OpenStream(limited, p.host, id, overlay.PeerProtocol)
	if err != nil {
		return err
	}
	conn, err := session.Initiate(limited, s, p.cfg.Handshake)
	if err != nil {
		return err
	}
	p.serve(ctx, conn, true)
	return nil
}
