package relaynode

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
	"conclave/overlay/wire"
	"conclave/relaynode/pace"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// peerService is the name under which the resource manager accounts for streams between relay nodes.
	peerService = "conclave.peer"
	// peerRedialMin and peerRedialMax bound the wait before a relay node is dialled again. Arbitrary.
	peerRedialMin = 200 * time.Millisecond
	peerRedialMax = 4 * time.Second
	// peerPing and peerSilence are how soon a relay node that is gone without a word is noticed.
	peerPing    = 3 * time.Second
	peerSilence = 9 * time.Second
	// youngLink is how long the better one of two sessions that were begun at once keeps its place. Arbitrary.
	youngLink = 5 * time.Second
	// viaRetry is the wait after a circuit slot was refused.
	viaRetry = 10 * time.Second
)

// errTwice is the reason of a session that ended because there is another one with the same relay node.
var errTwice = errors.New("there is another session with that relay node")

// peering keeps a session with every other relay node of the roster. Each side dials the other, if it knows where; of two
// sessions at once one is kept.
type peering struct {
	// static after construction
	n         *Node
	handshake session.Config
	extra     map[peer.ID][]ma.Multiaddr // addresses beside the roster's
	roster    pace.Bell                  // rung when there is another roster

	mu    sync.Mutex
	links map[peer.ID]*peerLink // guarded by mu
}

func newPeering(n *Node) *peering {
	p := &peering{n: n, extra: make(map[peer.ID][]ma.Multiaddr), roster: pace.NewBell(), links: make(map[peer.ID]*peerLink)}
	for _, a := range append(slices.Clone(n.cfg.Peers), n.cfg.Via...) {
		_, id := peer.SplitAddr(a)
		p.extra[id] = append(p.extra[id], a)
	}
	return p
}

// open begins to accept sessions.
func (p *peering) open() *overlay.StreamServer {
	n := p.n
	p.handshake = n.handshake
	p.handshake.Peering, p.handshake.Nonces = true, session.NewNonceCache()
	p.handshake.Ping, p.handshake.Silence = peerPing, peerSilence
	limits := overlay.StreamLimits{
		Service: peerService, Memory: wire.MaxSessionMessage, Deadline: n.cfg.Limits.Admission, Streams: 4 * n.size(),
	}
	return overlay.HandleStream(n.host, overlay.PeerProtocol, limits, p.accept, n.log)
}

// accept is the handler of a stream that another relay node opened.
func (p *peering) accept(ctx context.Context, s network.Stream) error {
	conn, err := session.Accept(ctx, s, p.handshake)
	if err != nil {
		p.n.door.Refused(s.Conn().RemotePeer(), "peering", peeringFailed)
		return err
	}
	p.n.serveLink(ctx, conn, false)
	return nil // the stream has ended: a reset would take away what the other has not read yet
}

// run dials the relay nodes of the roster, whichever it is, until ctx ends.
func (p *peering) run(ctx context.Context) error {
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
	return nil
}

// dialler is a goroutine that keeps a session with one relay node.
type dialler struct {
	stop  context.CancelFunc
	again pace.Bell // ends its rest
}

// others returns the other relay nodes of the present roster.
func (p *peering) others() []peer.ID {
	var all []peer.ID
	for _, r := range p.n.roster.Load().Relays {
		if r.Peer != p.n.host.ID() {
			all = append(all, r.Peer)
		}
	}
	return all
}

// addrs returns where a relay node can be dialled. What leads through this relay node itself does not count.
func (p *peering) addrs(id peer.ID) []ma.Multiaddr {
	known := slices.Clone(p.extra[id])
	if r, ok := p.n.roster.Load().Relay(id); ok {
		known = append(known, r.Addrs...)
	}
	var addrs []ma.Multiaddr
	for _, a := range known {
		transport, _ := peer.SplitAddr(a)
		if transport == nil || through(a) == p.n.host.ID() {
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
func (p *peering) keep(ctx context.Context, id peer.ID, again pace.Bell) {
	if p.n.host.ID() > id { // both sides may come up at the same time: one of them begins
		rest(ctx, peerRedialMin, nil)
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
			p.n.log.Debug("no session with a relay node", "relay", p.n.roleOf(id), "err", err)
			failures++
		} else {
			failures = 0
		}
		if p.get(id) == nil && ctx.Err() == nil {
			p.closeOld(id)
			rest(ctx, backoff.Wait(peerRedialMin, peerRedialMax, failures), again)
		}
	}
}

// closeOld closes connections to a relay node without a session: one that is dead in one direction would be taken for a
// living one by the next dial, and pubsub greets anew only on a new one. A young one is left: the other side may have
// begun it, and be about to begin a session.
func (p *peering) closeOld(id peer.ID) {
	for _, c := range p.n.host.Network().ConnsToPeer(id) {
		if time.Since(c.Stat().Opened) > p.n.cfg.Limits.Admission {
			_ = c.Close()
		}
	}
}

// rest waits for d, with jitter, or until the bell is rung.
func rest(ctx context.Context, d time.Duration, again pace.Bell) {
	t := time.NewTimer(backoff.Jitter(d, rand.N))
	defer t.Stop()
	select {
	case <-t.C:
	case <-again:
	case <-ctx.Done():
	}
}

// dial connects to a relay node and returns when the session is over. It returns an error when there was none.
func (p *peering) dial(ctx context.Context, id peer.ID) error {
	addrs := p.addrs(id)
	if len(addrs) == 0 && len(p.n.host.Network().ConnsToPeer(id)) == 0 {
		return errors.New("no address of it is known")
	}
	limited, cancel := context.WithTimeout(ctx, p.n.cfg.Limits.Admission)
	defer cancel()
	if err := overlay.Connect(limited, p.n.host, peer.AddrInfo{ID: id, Addrs: addrs}); err != nil {
		return err
	}
	s, err := overlay.OpenStream(limited, p.n.host, id, overlay.PeerProtocol)
	if err != nil {
		return err
	}
	conn, err := session.Initiate(limited, s, p.handshake)
	if err != nil {
		return err
	}
	p.n.serveLink(ctx, conn, true)
	return nil
}

// get returns the session with a relay node, or nil.
func (p *peering) get(id peer.ID) *peerLink {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.links[id]
}

// all returns the sessions in the order of peer IDs.
func (p *peering) all() []*peerLink {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*peerLink, 0, len(p.links))
	for _, l := range p.links {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *peerLink) int { return compareIDs(a.peer, b.peer) })
	return all
}

// enter makes l the session with its relay node. It returns the one whose place it took, if any, or false when l is not
// to be: of two that both sides began at once, the one stays that the side with the lesser peer ID began. Both see it so.
func (p *peering) enter(l *peerLink) (before *peerLink, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before = p.links[l.peer]
	lesser := p.n.host.ID() < l.peer
	if before != nil && before.dialled == lesser && l.dialled != lesser && time.Since(before.began) < youngLink {
		return nil, false
	}
	p.links[l.peer] = l
	return before, true
}

// leave ends l's time and reports whether it was the session with its relay node.
func (p *peering) leave(l *peerLink) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links[l.peer] != l {
		return false
	}
	delete(p.links, l.peer)
	return true
}

// at returns the relay nodes that say that a member is there.
func (p *peering) at(member peer.ID) []*peerLink {
	return slices.DeleteFunc(p.all(), func(l *peerLink) bool { return !l.has(member) })
}

// present returns everybody who has a session here or is said to have one at another relay node, sorted.
func (n *Node) present() []peer.ID {
	all := n.table.present()
	for _, l := range n.peering.all() {
		all = append(all, l.members()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
