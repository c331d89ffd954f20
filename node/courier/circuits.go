package courier

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"conclave/node/deadline"
	"conclave/node/keyagreement/event"
	"conclave/overlay"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// maxCircuits is how many circuits a member opens at once. Arbitrary: one for each of a small group.
const maxCircuits = 8

// circuits bring shares to members who are present, over a stream to each. What cannot be brought so goes into the
// mailbox, which hands it on at once, and so does what would have to wait for a circuit to be made.
type circuits struct {
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

func newCircuits() circuits { return circuits{open: make(map[peer.ID]*circuit)} }

// carry takes a letter if there is a way to its recipient or room for one more.
func (c *Courier) carry(l letter) bool {
	way := c.circuits.open[l.item.To]
	if way == nil {
		if len(c.circuits.open) >= maxCircuits && !overlay.Direct(c.host, l.item.To) {
			return false
		}
		way = &circuit{}
		c.circuits.open[l.item.To] = way
	}
	way.waiting = append(way.waiting, l)
	switch {
	case way.busy:
	case !l.mailed:
		c.sendTo(l.item.To, way)
	case len(way.waiting) == 1:
		way.begin = time.Now().Add(c.cfg.Timing.CircuitAfter)
		c.circuits.check = deadline.Sooner(c.circuits.check, way.begin)
	}
	return true
}

// sendTo brings what waits for a member, on a goroutine of its own.
func (c *Courier) sendTo(to peer.ID, way *circuit) {
	n := min(len(way.waiting), wire.MaxShareItems)
	letters := way.waiting[:n:n]
	way.waiting, way.busy = way.waiting[n:], true
	c.cfg.Dialable(to)
	c.wg.Go(func() {
		accepted, err := c.sendShares(c.ctx, to, letters)
		c.cfg.Post(c.ctx, func() { c.sent(to, letters, accepted, err) })
	})
}

// sent takes in what became of letters: what was not taken goes into the mailbox.
func (c *Courier) sent(to peer.ID, letters []letter, accepted int, err error) {
	if err != nil {
		c.cfg.Log.Debug("a share goes by mailbox", "to", c.roleOf(to), "err", err)
	}
	c.gone(c.wayTo(to), true, letters[:accepted]...)
	way := c.circuits.open[to]
	way.busy, way.idle = false, time.Now()
	c.circuits.check = deadline.Sooner(c.circuits.check, way.idle.Add(c.cfg.Timing.CircuitLinger))
	c.remail(letters[accepted:])
	if err != nil {
		c.remail(way.waiting)
		delete(c.circuits.open, to)
	} else if len(way.waiting) > 0 {
		c.sendTo(to, way)
	}
	for _, l := range letters[:accepted] {
		c.cfg.Step(event.ShareDelivered{Parcel: l.parcel})
	}
}

// tickCircuits begins to send what has waited, and closes circuits that were not used for a while. One that carries the other
// side's stream is left to it.
func (c *Courier) tickCircuits(now time.Time) {
	if c.circuits.check.IsZero() || now.Before(c.circuits.check) {
		return
	}
	c.circuits.check = time.Time{}
	linger := c.cfg.Timing.CircuitLinger
	for to, way := range c.circuits.open {
		waits := len(way.waiting) > 0
		switch {
		case way.busy:
		case waits && now.Before(way.begin):
			c.circuits.check = deadline.Sooner(c.circuits.check, way.begin)
		case waits:
			c.sendTo(to, way)
		case way.held:
		case now.Sub(way.idle) < linger:
			c.circuits.check = deadline.Sooner(c.circuits.check, way.idle.Add(linger))
		default:
			delete(c.circuits.open, to)
			c.closeCircuits(to)
		}
	}
}

// Hold keeps a circuit for hole punching, if there is one or room for it.
func (c *Courier) Hold(to peer.ID) bool {
	way := c.circuits.open[to]
	if way == nil {
		if len(c.circuits.open) >= maxCircuits {
			return false
		}
		way = &circuit{}
		c.circuits.open[to] = way
	}
	way.held = true
	return true
}

// LetGo ends Hold. The circuit is closed a little later, as after every use.
func (c *Courier) LetGo(to peer.ID) {
	if way := c.circuits.open[to]; way != nil {
		way.held, way.idle = false, time.Now()
		c.circuits.check = deadline.Sooner(c.circuits.check, way.idle.Add(c.cfg.Timing.CircuitLinger))
	}
}

// closeCircuits closes the circuits to a member on which no share stream is open.
func (c *Courier) closeCircuits(to peer.ID) {
	for _, conn := range c.host.Network().ConnsToPeer(to) {
		if overlay.IsCircuit(conn.RemoteMultiaddr()) && !carriesShares(conn) {
			_ = conn.Close()
		}
	}
}

// connected reports whether there is a connection to a member, of whatever kind.
func (c *Courier) connected(to peer.ID) bool { return len(c.host.Network().ConnsToPeer(to)) > 0 }

func carriesShares(conn network.Conn) bool {
	for _, s := range conn.GetStreams() {
		if s.Protocol() == overlay.ShareProtocol {
			return true
		}
	}
	return false
}

// sendShares hands envelopes to a member on a stream and returns how many it holds durably.
func (c *Courier) sendShares(ctx context.Context, to peer.ID, letters []letter) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timing.ShareTimeout)
	defer cancel()
	s, err := overlay.OpenStream(ctx, c.host, to, overlay.ShareProtocol)
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

// Serve takes envelopes from another member and answers when the key agreement has them on disk.
func (c *Courier) Serve(ctx context.Context, s network.Stream) error {
	from := s.Conn().RemotePeer()
	if _, _, member := c.cfg.Members().MemberByPeer(from); !member { // defence: share-member
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
	accepted := c.takeShares(ctx, from, way, m.(*wire.ShareMessage).Items)
	data, err := wire.AppendMessage(nil, &wire.ShareReply{Accepted: uint32(accepted)})
	if err != nil {
		return err
	}
	_, err = s.Write(data)
	return err
}

// takeShares hands envelopes to the key agreement and waits until that has settled them. It returns how many, from the first on.
func (c *Courier) takeShares(ctx context.Context, from peer.ID, way Way, items [][]byte) int {
	// The answer has to be written before the sender's own patience ends.
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timing.ShareTimeout*4/5)
	defer cancel()
	settled := make(chan int, len(items))
	var refs []uint64
	taken := c.cfg.Post(ctx, func() {
		for i, item := range items {
			if ref := c.refs.add(func() { settled <- i }); ref != 0 {
				refs = append(refs, ref)
				c.came(way, c.roleOf(from), item)
				c.cfg.Step(event.Envelope{Ref: ref, Raw: item})
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
	c.cfg.Post(c.ctx, func() { c.refs.drop(refs...) })
	accepted := 0
	for accepted < len(done) && done[accepted] {
		accepted++
	}
	return accepted
}
