package delivery

import (
	"errors"
	"maps"
	"slices"
	"time"

	"conclave/node/frame"
	"conclave/node/order"
	"conclave/node/recent"
	"conclave/overlay/wire"
)

const (
	// behindEvery is the shortest distance of two warnings to a sender whose start number is behind.
	behindEvery = 10 * time.Second
	// maxOpens is how many frames are opened in one Settle, so that screens that are full are noticed. Arbitrary: a
	// subscription drops events 12,000 after it is full.
	maxOpens = 1024
)

const (
	contentText     = frame.ContentText
	contentAck      = frame.ContentAck
	contentBehind   = frame.ContentBehind
	contentPrevious = frame.ContentPrevious
)

// opening is a frame that was opened. late says that its lane had gone past it.
type opening struct {
	lane    *lane
	content frame.Content
	late    bool
}

// reader opens the frames of others in their order.
type reader struct {
	cfg    *Config
	emit   func(Output)
	opened func(opening, time.Time)
	awaits func(*lane) bool                          // something that is not here yet has to come before the lane
	watch  func(l *lane, paused bool, now time.Time) // the lane may wait for something missing

	rows    map[wire.Role]*senderLanes // the lanes of each sender
	touched []*lane                    // lanes that are to be looked at
	full    bool                       // the screens are: frames stay where they are
	left    int                        // how many frames may still be opened in this Settle
	plain   []byte                     // room for the plaintext of one frame
	shown   *recent.Map[Shown, struct{}]
}

func newReader(cfg *Config, emit func(Output)) *reader {
	r := &reader{cfg: cfg, emit: emit, rows: make(map[wire.Role]*senderLanes), shown: recent.New[Shown, struct{}](cfg.MaxShown)}
	for _, s := range cfg.Shown {
		r.remember(s)
	}
	return r
}

// remember notes that a message was shown, and reports whether it is new.
func (r *reader) remember(s Shown) bool { return r.shown.Add(s, struct{}{}) }

// put takes in a frame of a lane's sender.
func (r *reader) put(l *lane, h wire.FrameHeader, data []byte, live bool, now time.Time) {
	at := order.Position{Start: h.Start, Counter: h.Counter}
	switch l.queue.Put(at, data) {
	case order.Behind:
		r.late(l, at, data, live, now)
	case order.Held, order.Full:
		r.touch(l)
	}
}

// late opens a frame whose lane has gone past it: a repetition mostly, or one that had been given up.
func (r *reader) late(l *lane, at order.Position, data []byte, live bool, now time.Time) {
	content, err := r.unseal(l, data)
	if err == nil {
		l.remember(at, data)
		r.opened(opening{l, content, true}, now)
		return
	}
	refused := errors.Is(err, frame.ErrReplay) && l.other(at, data) || errors.Is(err, frame.ErrTooOld) && at.Start < l.queue.At().Start
	if !live || !refused || now.Sub(l.behind) < behindEvery { // defence: behind-rarely
		return
	}
	l.behind = now
	r.emit(SawBehind{Transcript: l.session.Transcript, Role: l.member.Role, Start: l.queue.At().Start + 1})
}

// begin says whether the screens take more. Once they do again, all lanes that stopped are looked at.
func (r *reader) begin(full bool, now time.Time) {
	r.left = maxOpens
	again := r.full && !full
	r.full = full
	if !again {
		return
	}
	for _, role := range slices.Sorted(maps.Keys(r.rows)) {
		for _, l := range r.rows[role].lanes {
			if l.queue.Held() > 0 {
				r.touch(l)
			}
			r.watch(l, false, now)
		}
	}
}

// settle opens what came into its order. It reports false when more waits, and enough was opened for this time.
func (r *reader) settle(now time.Time) bool {
	for len(r.touched) > 0 {
		if r.left <= 0 {
			return false
		}
		last := len(r.touched) - 1
		l := r.touched[last]
		r.touched = r.touched[:last]
		if l.touched {
			r.flow(l, now)
		}
	}
	return true
}

// more reports whether lanes are to be looked at.
func (r *reader) more() bool { return len(r.touched) > 0 }

// deadline is long past when something waits to be opened.
func (r *reader) deadline() time.Time {
	if r.more() {
		return time.Unix(0, 0)
	}
	return time.Time{}
}

// touch has a lane looked at. It is among its sender's from now on: a later one of them may be looked at first.
func (r *reader) touch(l *lane) {
	r.enter(l)
	if !l.touched {
		l.touched = true
		r.touched = append(r.touched, l)
	}
}

// enter puts a lane among its sender's.
func (r *reader) enter(l *lane) {
	if l.row != nil {
		return
	}
	of := r.rows[l.member.Role]
	if of == nil {
		of = new(senderLanes)
		r.rows[l.member.Role] = of
	}
	i, _ := slices.BinarySearchFunc(of.lanes, l, func(a, b *lane) int { return older(a.session, b.session) })
	of.lanes, l.row = slices.Insert(of.lanes, i, l), of
}

// flow opens the frames of a lane whose turn has come.
func (r *reader) flow(l *lane, now time.Time) {
	l.touched = false
	if r.held(l, now) {
		r.watch(l, r.full, now)
		return
	}
	moved := false
	for !r.full {
		data, at, ok := l.queue.Next()
		if !ok {
			break
		}
		if r.left <= 0 {
			r.touch(l)
			break
		}
		r.left--
		what := r.open(l, at, data, now)
		l.queue.Advance()
		moved = true
		if what == contentPrevious && r.held(l, now) {
			break
		}
	}
	r.watch(l, r.full, now)
	if _, wants := l.queue.Want(); moved || !wants && l.queue.Held() == 0 { // it holds nothing back any more
		r.release(l)
	}
}

// held reports whether something of the same sender has to come before this lane: what it sent under an earlier session,
// which may have still to come. The last of those that are here is asked for its end.
func (r *reader) held(l *lane, now time.Time) bool {
	r.enter(l)
	lanes := l.row.lanes
	i := slices.Index(lanes, l)
	held, last := r.awaits(l), true
	for i--; i >= 0; i-- {
		before := lanes[i]
		if !before.queue.Begun() {
			continue
		}
		if last {
			before.queue.End()
		}
		_, wants := before.queue.Want()
		held = held || wants || before.queue.Held() > 0 || last && !before.queue.Done() // defence: earlier-session-first
		if wants {
			r.watch(before, r.full, now)
		}
		last = false
	}
	return held
}

// release lets the lanes that waited for this one go on.
func (r *reader) release(l *lane) {
	lanes := l.row.lanes
	for _, later := range lanes[slices.Index(lanes, l)+1:] {
		if later.queue.Held() > 0 {
			r.touch(later)
		}
	}
}

// open opens the frame whose turn it is, and returns what it held.
func (r *reader) open(l *lane, at order.Position, data []byte, now time.Time) frame.ContentType {
	content, err := r.unseal(l, data)
	if err != nil {
		r.cfg.Log.Warn("a frame cannot be opened", "from", l.member.Role, "start", at.Start, "counter", at.Counter, "err", err)
		return 0
	}
	l.remember(at, data)
	r.opened(opening{lane: l, content: content}, now)
	return content.Type
}

// unseal opens a frame. Its content is good until the next one is opened.
func (r *reader) unseal(l *lane, data []byte) (frame.Content, error) {
	r.plain = slices.Grow(r.plain[:0], len(data))
	opened, err := l.session.Frames.OpenTo(r.plain, l.member.Identity, data)
	if err == nil || errors.Is(err, frame.ErrContent) {
		r.emit(Commit{})
	}
	return opened.Content, err
}

// forget drops a lane. Those that waited for it go on.
func (r *reader) forget(l *lane) {
	l.touched = false
	if l.row != nil {
		r.release(l)
		l.row.lanes = slices.DeleteFunc(l.row.lanes, func(x *lane) bool { return x == l })
		l.row = nil
	}
}
