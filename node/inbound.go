package node

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"conclave/node/frame"
	"conclave/node/keyagreement"
	"conclave/node/order"
	"conclave/node/state"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxStrayFrames and maxStrayBytes bound the frames that are kept though their session is not known here. What
	// finds no room is fetched from the backlog when the session is complete.
	maxStrayFrames = 4096
	maxStrayBytes  = 8 << 20
	// maxStrayHeads bounds the heads of sessions that are not known here.
	maxStrayHeads = wire.MaxListItems
	// behindEvery is the shortest distance of two warnings to a sender whose start number is behind.
	behindEvery = 10 * time.Second
)

// inbound is what arrives: frames on their way to the screens.
type inbound struct {
	e        *engine
	rows     map[wire.Role]*row // the lanes of each sender
	gaps     map[*lane]struct{} // lanes that wait for something
	touched  []*lane            // lanes that got something in this turn, and some that were looked at since
	stalled  bool               // a subscription is full: frames stay where they are
	fetch    fetcher
	acks     acks
	previous previous
	plain    []byte // room for the plaintext of one frame

	shown map[state.Shown]struct{}
	ring  []state.Shown // oldest first

	strays     map[wire.Prefix][]stray
	strayCount int
	strayBytes int
	heads      map[wire.Prefix]map[headKey]wire.Head
	headCount  int
}

// stray is a frame of a session that is not known here.
type stray struct {
	signer []byte
	data   []byte
}

type headKey struct {
	sender uint16
	start  uint32
	signer wire.Signer
	relay  peer.ID // who said so
}

func newInbound(e *engine, shown []state.Shown) inbound {
	in := inbound{
		e: e, rows: make(map[wire.Role]*row), gaps: make(map[*lane]struct{}),
		shown: make(map[state.Shown]struct{}), strays: make(map[wire.Prefix][]stray), heads: make(map[wire.Prefix]map[headKey]wire.Head),
	}
	in.fetch, in.previous = newFetcher(e), newPrevious(e)
	for _, s := range shown {
		in.remember(s)
	}
	for _, s := range shown[max(0, len(shown)-ackAgain):] {
		in.acks.add(e, s)
	}
	return in
}

// remember notes that a message was shown, and reports whether it is new.
func (in *inbound) remember(s state.Shown) bool {
	if _, known := in.shown[s]; known {
		return false
	}
	in.shown[s] = struct{}{}
	in.ring = append(in.ring, s)
	if len(in.ring) > state.MaxShown {
		delete(in.shown, in.ring[0])
		in.ring = in.ring[1:]
	}
	return true
}

// arrived takes in what came over the topic.
func (in *inbound) arrived(b wire.Batch) {
	in.e.carried.heard()
	in.e.reach.Heard(b.Sender, true)
	in.e.keep.Received(b, in.e.relays.Ready())
	in.take(b, true)
}

// take takes in a verified batch. live says that it came over the topic, not out of the backlog.
func (in *inbound) take(b wire.Batch, live bool) {
	if b.Kind == wire.BatchControl {
		for _, item := range b.Items {
			in.e.step(keyagreement.Control{Raw: item})
		}
		return
	}
	for _, item := range b.Items {
		if !in.frame(b.Sender, item, live) {
			in.e.cfg.Log.Debug("a batch holds a frame that its signer may not send", "signer", b.Sender)
			return
		}
	}
}

// frame takes in one frame. It reports false when the rest of its batch is not worth looking at.
func (in *inbound) frame(signer, data []byte, live bool) bool {
	h, err := wire.ParseFrameHeader(data)
	if err != nil {
		return false
	}
	if in.e.cfg.LeaveMessages {
		return true
	}
	ch := in.e.chats.byPrefix[h.Prefix]
	if ch == nil {
		in.keepStray(h.Prefix, signer, data)
		return true
	}
	l := ch.lane(h.Sender, signer)
	if l == nil {
		return in.own(ch, h.Sender, signer, data)
	}
	at := order.Position{Start: h.Start, Counter: h.Counter}
	switch l.queue.Put(at, data) {
	case order.Behind:
		in.late(l, at, data, live)
	case order.Held, order.Full:
		in.touch(l)
	}
	return true
}

// own looks at a frame of this member's, and reports whether it is one. One that it does not know of tells that an old disk was
// restored.
func (in *inbound) own(ch *chat, sender uint16, signer, data []byte) bool {
	if int(sender) != ch.frames.Self() || !bytes.Equal(ch.frames.Members()[sender].Identity, signer) {
		return false
	}
	if _, err := ch.frames.Open(signer, data); errors.Is(err, frame.ErrBehind) {
		in.e.step(keyagreement.StartBehind{Transcript: ch.about.Transcript})
	}
	return true
}

// late opens a frame whose lane has gone past it: a repetition mostly, or one that had been given up.
func (in *inbound) late(l *lane, at order.Position, data []byte, live bool) {
	opened, err := in.unseal(l, data)
	if err == nil {
		in.e.dirty(l.chat.frames)
		l.remember(at, data)
		in.content(l, opened.Content, true)
		return
	}
	refused := errors.Is(err, frame.ErrReplay) && l.other(at, data) || errors.Is(err, frame.ErrTooOld) && at.Start < l.queue.At().Start
	if !live || !refused || time.Since(l.behind) < behindEvery {
		return
	}
	l.behind = time.Now()
	in.e.step(keyagreement.SawBehind{Transcript: l.chat.about.Transcript, Role: l.member.Role, Start: l.queue.At().Start + 1})
}

// settle opens what this turn brought into its order.
func (in *inbound) settle() {
	for {
		for len(in.touched) > 0 {
			last := len(in.touched) - 1
			l := in.touched[last]
			in.touched = in.touched[:last]
			if l.touched {
				in.flow(l)
			}
		}
		in.fetch.settle() // which may give gaps up
		if len(in.touched) == 0 {
			return
		}
	}
}

// touch has a lane looked at at the end of this turn. It is among its sender's from now on: a later one of them may be looked
// at first.
func (in *inbound) touch(l *lane) {
	in.enter(l)
	if !l.touched {
		l.touched = true
		in.touched = append(in.touched, l)
	}
}

// flow opens the frames of a lane whose turn has come.
func (in *inbound) flow(l *lane) {
	l.touched = false
	if in.blocked(l) {
		in.watch(l)
		return
	}
	moved := false
	for !in.pausedNow() {
		data, at, ok := l.queue.Next()
		if !ok {
			break
		}
		what := in.open(l, at, data)
		l.queue.Advance()
		moved = true
		if what == frame.ContentPrevious && in.blocked(l) {
			break
		}
	}
	in.watch(l)
	if moved || l.queue.Done() {
		in.release(l)
	}
}

// pausedNow reports whether a subscription is full, and notes it. Once one was found full, resume says when to go on, to all
// lanes: if one looked again for itself and found room, the lanes that stopped before it would wait for good.
func (in *inbound) pausedNow() bool {
	in.stalled = in.stalled || in.e.n.hub.paused()
	return in.stalled
}

// resume goes on after a subscription was read.
func (in *inbound) resume() {
	if !in.stalled {
		return
	}
	in.stalled = false
	for _, r := range in.rows {
		for _, l := range r.lanes {
			if l.queue.Held() > 0 {
				in.touch(l)
			}
			in.watch(l)
		}
	}
}

// enter puts a lane among its sender's.
func (in *inbound) enter(l *lane) {
	if l.row != nil {
		return
	}
	r := in.rows[l.member.Role]
	if r == nil {
		r = new(row)
		in.rows[l.member.Role] = r
	}
	i, _ := slices.BinarySearchFunc(r.lanes, l, func(a, b *lane) int { return older(a.chat, b.chat) })
	r.lanes, l.row = slices.Insert(r.lanes, i, l), r
}

// blocked reports whether something of the same sender has to come before this lane: what it sent under an earlier
// session, which may have still to come. The last of those that are here is asked for its end.
func (in *inbound) blocked(l *lane) bool {
	lanes := l.row.lanes
	i := slices.Index(lanes, l)
	blocked, last := in.previous.waits(l), true
	for i--; i >= 0; i-- {
		before := lanes[i]
		if !before.queue.Begun() {
			continue
		}
		if last {
			before.queue.End()
		}
		_, wants := before.queue.Want()
		if wants || before.queue.Held() > 0 || last && !before.queue.Done() {
			in.watch(before)
			blocked = true
		}
		last = false
	}
	return blocked
}

// release lets the lanes that waited for this one go on.
func (in *inbound) release(l *lane) {
	lanes := l.row.lanes
	for _, later := range lanes[slices.Index(lanes, l)+1:] {
		if later.queue.Held() > 0 {
			in.touch(later)
		}
	}
}

// watch keeps the list of lanes that wait for something.
func (in *inbound) watch(l *lane) {
	if !in.stalled && l.gapped(in.e.cfg.Timing.GapGrace) {
		in.gaps[l] = struct{}{}
		return
	}
	delete(in.gaps, l)
}

// open opens the frame whose turn it is, and returns what it held.
func (in *inbound) open(l *lane, at order.Position, data []byte) frame.ContentType {
	opened, err := in.unseal(l, data)
	in.e.dirty(l.chat.frames)
	if err != nil {
		in.e.cfg.Log.Warn("a frame cannot be opened", "from", l.member.Role, "start", at.Start, "counter", at.Counter, "err", err)
		return 0
	}
	l.remember(at, data)
	in.content(l, opened.Content, false)
	return opened.Content.Type
}

// unseal opens a frame. Its content is good until the next one is opened.
func (in *inbound) unseal(l *lane, data []byte) (frame.Opened, error) {
	in.plain = slices.Grow(in.plain[:0], len(data))
	return l.chat.frames.OpenTo(in.plain, l.member.Identity, data)
}

// content does what an opened frame says.
func (in *inbound) content(l *lane, c frame.Content, late bool) {
	e := in.e
	switch c.Type {
	case frame.ContentText:
		s := state.Shown{Sender: l.member.Role, ID: c.ID}
		if in.remember(s) {
			e.publish(Message{
				At: e.at(), From: l.member.Role, ID: c.ID, Text: c.Text(), Sent: c.Sent, Epoch: l.chat.about.Number, Late: late,
			})
			e.ledger.Change().Show(s)
		}
		in.acks.add(e, s)
	case frame.ContentAck:
		e.outbox.delivered(l.member.Role, l.chat.frames.Self(), c.Acks())
	case frame.ContentBehind:
		if p, ok := c.Behind(); ok && l.chat.frames.Behind(p) {
			e.step(keyagreement.StartBehind{Transcript: l.chat.about.Transcript})
		}
	case frame.ContentPrevious:
		if session, before, ok := c.Previous(); ok && !late {
			in.previous.told(l, session, before)
		}
	}
}

// keepStray keeps a frame until its session is complete, if there is room.
func (in *inbound) keepStray(p wire.Prefix, signer, data []byte) {
	if in.strayCount >= maxStrayFrames || in.strayBytes+len(data) > maxStrayBytes {
		return
	}
	in.strays[p] = append(in.strays[p], stray{signer, data})
	in.strayCount++
	in.strayBytes += len(data)
}

// awake takes in what waited for a session.
func (in *inbound) awake(ch *chat) {
	p := ch.about.Transcript.Prefix()
	strays := in.strays[p]
	delete(in.strays, p)
	for _, s := range strays {
		in.strayCount--
		in.strayBytes -= len(s.data)
		in.frame(s.signer, s.data, true)
	}
	for _, h := range in.heads[p] {
		in.hint(ch, h)
	}
	in.previous.awake(ch)
	in.headCount -= len(in.heads[p])
	delete(in.heads, p)
}

// forget drops the lanes of a session.
func (in *inbound) forget(ch *chat) {
	for _, l := range ch.lanes {
		if l == nil {
			continue
		}
		delete(in.gaps, l)
		l.touched = false
		in.fetch.forget(l)
		in.previous.forget(l)
		if l.row != nil {
			l.row.lanes = slices.DeleteFunc(l.row.lanes, func(x *lane) bool { return x == l })
			l.row = nil
		}
	}
}
