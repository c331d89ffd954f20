package node

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"conclave/node/keyagreement"
	"conclave/overlay"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

// maxCircuits is how many circuits a member opens at once (DESIGN.md section 5).
const maxCircuits = 8

// circuits bring shares to members who are present, over a stream to each. What cannot be brought so goes into the
// mailbox, which hands it on at once, and so does what would have to wait for a circuit to be made.
type circuits struct {
	e     *engine
	open  map[peer.ID]*circuit
	check time.Time // when there is something to begin or to close
}

// circuit is a way to one member, in use or kept a little longer.
type circuit struct {
	waiting []letter
	begin   time.Time // when what waits sets out, unless something sets out before
	busy    bool
	held    bool      // a hole is being punched over it
	idle    time.Time // since when it is not used
}

func newCircuits(e *engine) circuits { return circuits{e: e, open: make(map[peer.ID]*circuit)} }

// carry takes a letter if there is a way to its recipient or room for one more.
func (c *circuits) carry(l letter) bool {
	way := c.open[l.item.To]
	if way == nil {
		if len(c.open) >= maxCircuits && !overlay.Direct(c.e.n.host, l.item.To) {
			return false
		}
		way = &circuit{}
		c.open[l.item.To] = way
	}
	way.waiting = append(way.waiting, l)
	switch {
	case way.busy:
	case !l.mailed:
		c.send(l.item.To, way)
	case len(way.waiting) == 1:
		way.begin = time.Now().Add(c.e.cfg.Timing.CircuitAfter)
		c.check = sooner(c.check, way.begin)
	}
	return true
}

// send brings what waits for a member, on a goroutine of its own.
func (c *circuits) send(to peer.ID, way *circuit) {
	n := min(len(way.waiting), wire.MaxShareItems)
	letters := way.waiting[:n:n]
	way.waiting, way.busy = way.waiting[n:], true
	e, ctx := c.e, c.e.ctx
	e.addAddresses(to)
	e.n.carriers.Go(func() {
		accepted, err := e.n.sendShares(ctx, to, letters)
		e.n.post(ctx, func(e *engine) { e.post.circuits.sent(to, letters, accepted, err) })
	})
}

// sent takes in what became of letters: what was not taken goes into the mailbox.
func (c *circuits) sent(to peer.ID, letters []letter, accepted int, err error) {
	e := c.e
	if err != nil {
		e.cfg.Log.Debug("a share goes by mailbox", "to", e.roleOf(to), "err", err)
	}
	e.shareGone(e.n.wayTo(to), true, letters[:accepted]...)
	way := c.open[to]
	way.busy, way.idle = false, time.Now()
	c.check = sooner(c.check, way.idle.Add(e.cfg.Timing.CircuitLinger))
	e.post.remail(letters[accepted:])
	if err != nil {
		e.post.remail(way.waiting)
		delete(c.open, to)
	} else if len(way.waiting) > 0 {
		c.send(to, way)
	}
	for _, l := range letters[:accepted] {
		e.step(keyagreement.ShareDelivered{Parcel: l.parcel})
	}
}

// tick begins to send what has waited, and closes circuits that were not used for a while. One that carries the other
// side's stream is left to it.
func (c *circuits) tick(now time.Time) {
	if c.check.IsZero() || now.Before(c.check) {
		return
	}
	c.check = time.Time{}
	linger := c.e.cfg.Timing.CircuitLinger
	for to, way := range c.open {
		waits := len(way.waiting) > 0
		switch {
		case way.busy:
		case waits && now.Before(way.begin):
			c.check = sooner(c.check, way.begin)
		case waits:
			c.send(to, way)
		case way.held:
		case now.Sub(way.idle) < linger:
			c.check = sooner(c.check, way.idle.Add(linger))
		default:
			delete(c.open, to)
			c.e.n.closeCircuits(to)
		}
	}
}

func (c *circuits) deadline() time.Time { return c.check }

// hold keeps a circuit for hole punching, if there is one or room for it.
func (c *circuits) hold(to peer.ID) bool {
	way := c.open[to]
	if way == nil {
		if len(c.open) >= maxCircuits {
			return false
		}
		way = &circuit{}
		c.open[to] = way
	}
	way.held = true
	return true
}

// letGo ends hold. The circuit is closed a little later, as after every use.
func (c *circuits) letGo(to peer.ID) {
	if way := c.open[to]; way != nil {
		way.held, way.idle = false, time.Now()
		c.check = sooner(c.check, way.idle.Add(c.e.cfg.Timing.CircuitLinger))
	}
}

// closeCircuits closes the circuits to a member on which no share stream is open.
func (n *Node) closeCircuits(to peer.ID) {
	for _, conn := range n.host.Network().ConnsToPeer(to) {
		if overlay.IsCircuit(conn.RemoteMultiaddr()) && !carriesShares(conn) {
			_ = conn.Close()
		}
	}
}

// connected reports whether there is a connection to a member, of whatever kind.
func (n *Node) connected(to peer.ID) bool { return len(n.host.Network().ConnsToPeer(to)) > 0 }

func carriesShares(conn network.Conn) bool {
	for _, s := range conn.GetStreams() {
		if s.Protocol() == overlay.ShareProtocol {
			return true
		}
	}
	return false
}

// sendShares hands envelopes to a member on a stream and returns how many it holds durably.
func (n *Node) sendShares(ctx context.Context, to peer.ID, letters []letter) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.ShareTimeout)
	defer cancel()
	s, err := overlay.OpenStream(ctx, n.host, to, overlay.ShareProtocol)
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	accepted, err := exchangeShares(s, letters)
	if err != nil {
		_ = s.Reset()
		return 0, fmt.Errorf("handing over shares: %w", err)
	}
	return accepted, s.Close()
}

func exchangeShares(s network.Stream, letters []letter) (int, error) {
	m := &wire.ShareMessage{}
	for _, l := range letters {
		m.Items = append(m.Items, l.item.Payload)
	}
	data, err := wire.AppendMessage(nil, m)
	if err != nil {
		return 0, err
	}
	if _, err := s.Write(data); err != nil {
		return 0, err
	}
	if err := s.CloseWrite(); err != nil {
		return 0, err
	}
	answer, err := wire.ReadMessage(bufio.NewReader(s), wire.TypeShareReply)
	if err != nil {
		return 0, err
	}
	return min(int(answer.(*wire.ShareReply).Accepted), len(letters)), nil
}

// serveShares takes envelopes from another member and answers when the key agreement has them on disk.
func (n *Node) serveShares(ctx context.Context, s network.Stream) error {
	from := s.Conn().RemotePeer()
	if _, _, member := n.roster.Load().MemberByPeer(from); !member {
		return fmt.Errorf("%s is not a member", from)
	}
	m, err := wire.ReadMessage(bufio.NewReader(s), wire.TypeShareMessage)
	if err != nil {
		return err
	}
	way := ByDirect
	if overlay.IsCircuit(s.Conn().RemoteMultiaddr()) {
		way = ByCircuit
	}
	accepted := n.takeShares(ctx, from, way, m.(*wire.ShareMessage).Items)
	data, err := wire.AppendMessage(nil, &wire.ShareReply{Accepted: uint32(accepted)})
	if err != nil {
		return err
	}
	_, err = s.Write(data)
	return err
}

// takeShares hands envelopes to the machine and waits until it has settled them. It returns how many, from the first on.
func (n *Node) takeShares(ctx context.Context, from peer.ID, way Way, items [][]byte) int {
	// The answer has to be written before the sender's own patience ends.
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.ShareTimeout*4/5)
	defer cancel()
	settled := make(chan int, len(items))
	var refs []uint64
	taken := n.post(ctx, func(e *engine) {
		for i, item := range items {
			if ref := e.refs.add(func() { settled <- i }); ref != 0 {
				refs = append(refs, ref)
				e.shareCame(way, e.roleOf(from), item)
				e.step(keyagreement.Envelope{Ref: ref, Raw: item})
			}
		}
	})
	if !taken {
		return 0
	}
	done := make([]bool, len(items))
	for left := len(items); left > 0; left-- {
		select {
		case i := <-settled:
			done[i] = true
		case <-ctx.Done():
			left = 0
		}
	}
	n.post(n.life, func(e *engine) { e.refs.drop(refs...) })
	accepted := 0
	for accepted < len(done) && done[accepted] {
		accepted++
	}
	return accepted
}

// addAddresses makes a member dialable over the relay nodes that this member is connected to. Of one with whom no direct
// connection is wanted the other addresses are forgotten, which identify told over an earlier circuit: otherwise the shares of
// a large group would leave everybody connected to everybody.
func (e *engine) addAddresses(to peer.ID) {
	if e.paths.enough(to) {
		e.n.host.Peerstore().ClearAddrs(to)
	}
	for _, r := range e.relays.All() {
		if r.Conn() == nil {
			continue
		}
		for _, a := range e.relays.Addresses(r) {
			if c, err := overlay.CircuitAddr(a); err == nil {
				e.n.host.Peerstore().AddAddr(to, c, peerstore.TempAddrTTL)
			}
		}
	}
}
