package node

import (
	"slices"
	"time"

	"conclave/node/frame"
	"conclave/node/order"
	"conclave/overlay/wire"
)

// recentFrames is how many frames of a lane are remembered, to tell a repeated frame from another one in its place.
const recentFrames = 64

// hintGrace is how many times longer than a gap that a later frame shows, one waits that only a relay node tells of.
// Arbitrary; with the 250 ms that a relay node waits before it tells, what was lost is here within half a second of the last
// message.
const hintGrace = 4

// lane is one sender's frames in one session, waiting for their turn, and what is done about those that are missing.
type lane struct {
	chat   *chat
	sender uint16
	member frame.Member
	queue  *order.Lane[[]byte]

	row     *row // nil until it was looked at
	touched bool // it got something in this turn

	// What the lane waits for.
	gap      bool
	want     order.Want
	vain     time.Time // since when everybody who is there says not to have it; zero: not known yet
	due      time.Time // when to do something about it; zero while a fetch is under way
	tries    int
	fetching uint64 // the fetch under way, 0: none

	recent []opened // a ring, of which oldest is the next to go
	oldest int
	behind time.Time // when the group was last told that the sender's start number is behind
}

// row is the lanes of one sender, by the age of their sessions.
type row struct{ lanes []*lane }

func newLane(c *chat, sender uint16, m frame.Member, at order.Position) *lane {
	return &lane{
		chat: c, sender: sender, member: m, queue: order.New(at, frameSize),
	}
}

func frameSize(data []byte) int { return len(data) }

// opened is a frame that stood at a position.
type opened struct {
	at  order.Position
	mac [wire.FrameMACSize]byte
}

// remember notes which frame stood at a position.
func (l *lane) remember(p order.Position, data []byte) {
	o := opened{p, macOf(data)}
	if len(l.recent) < recentFrames {
		l.recent = append(l.recent, o)
		return
	}
	l.recent[l.oldest] = o
	l.oldest = (l.oldest + 1) % recentFrames
}

// other reports whether another frame than this one is known to stand at its position.
func (l *lane) other(p order.Position, data []byte) bool {
	i := slices.IndexFunc(l.recent, func(o opened) bool { return o.at == p })
	return i >= 0 && l.recent[i].mac != macOf(data)
}

func macOf(data []byte) [wire.FrameMACSize]byte {
	return [wire.FrameMACSize]byte(data[len(data)-wire.FrameMACSize:])
}

// gapped reports whether the lane waits for something, and notes what.
func (l *lane) gapped(grace time.Duration) bool {
	w, ok := l.queue.Want()
	if !ok {
		l.gap, l.due = false, time.Time{}
		return false
	}
	if !l.gap || w.Start != l.want.Start || w.From != l.want.From || w.Tail != l.want.Tail {
		l.gap, l.vain, l.tries = true, time.Time{}, 0
		if l.fetching == 0 {
			l.due = time.Now()
			switch {
			case w.Tail: // whether a start goes on does not tell itself
			case l.queue.Held() > 0:
				l.due = l.due.Add(grace) // what is missing may be on its way
			default: // nothing overtook it, so it probably is: only a relay node says that it exists
				l.due = l.due.Add(hintGrace * grace)
			}
		}
	}
	l.want = w
	return true
}

// inVain is how long the lane has known that nobody who is there has what it misses. The first call begins to count.
func (l *lane) inVain() time.Duration {
	if l.vain.IsZero() {
		l.vain = time.Now()
	}
	return time.Since(l.vain)
}
