package delivery

import (
	"slices"
	"time"

	"conclave/node/frame"
	"conclave/node/order"
	"conclave/overlay/wire"
)

const (
	// recentFrames is how many frames of a lane are remembered, to tell a repeated frame from another one in its place.
	recentFrames = 64
	// hintGrace is how many times longer than a gap that a later frame shows, one waits that only a relay node tells of.
	// Arbitrary; with the 250 ms that a relay node waits before it tells, what was lost is here within half a second of
	// the last message.
	hintGrace = 4
)

// lane is one sender's frames in one session, waiting for their turn, and what is done about those that are missing.
type lane struct {
	session *session
	sender  uint16
	member  frame.Member
	queue   *order.Lane[[]byte]

	// Owned by the reader.
	row     *senderLanes // nil until it was looked at
	touched bool         // it is among those to be looked at
	recent  []frameMark
	oldest  int       // of recent, which is a ring
	behind  time.Time // when the group was last told that the sender's start number is behind

	gap gap // owned by the fetcher
}

// gap is what a lane waits for.
type gap struct {
	open     bool
	want     order.Want
	at       order.Position // of the lane, from which on the time counts
	since    time.Time      // since when somebody could be asked, or may send it by itself; zero: nobody can
	waited   time.Duration  // the same before since
	due      time.Time      // when to do something about it; zero while a request is under way
	tries    int
	fetching uint64 // the request under way, 0: none
}

// senderLanes is the lanes of one sender, by the age of their sessions.
type senderLanes struct{ lanes []*lane }

// frameMark is a frame that stood at a position.
type frameMark struct {
	at  order.Position
	mac [wire.FrameMACSize]byte
}

func newLane(s *session, sender uint16, m frame.Member, at order.Position) *lane {
	return &lane{session: s, sender: sender, member: m, queue: order.New(at, func(data []byte) int { return len(data) })}
}

// remember notes which frame stood at a position.
func (l *lane) remember(p order.Position, data []byte) {
	s := frameMark{p, macOf(data)}
	if len(l.recent) < recentFrames {
		l.recent = append(l.recent, s)
		return
	}
	l.recent[l.oldest] = s
	l.oldest = (l.oldest + 1) % recentFrames
}

// other reports whether another frame than this one is known to stand at its position.
func (l *lane) other(p order.Position, data []byte) bool {
	i := slices.IndexFunc(l.recent, func(s frameMark) bool { return s.at == p })
	return i >= 0 && l.recent[i].mac != macOf(data)
}

func macOf(data []byte) [wire.FrameMACSize]byte {
	return [wire.FrameMACSize]byte(data[len(data)-wire.FrameMACSize:])
}

// gapped reports whether the lane waits for something, and notes what.
func (l *lane) gapped(t Timing, starved bool, now time.Time) bool {
	g := &l.gap
	w, ok := l.queue.Want()
	if !ok {
		g.open, g.due = false, time.Time{}
		return false
	}
	if !g.open || w.Start != g.want.Start || w.From != g.want.From || w.Tail != g.want.Tail {
		if at := l.queue.At(); !g.open || at != g.at { // another question about the same place is as old as the first
			g.at, g.since, g.waited = at, time.Time{}, 0
			if starved {
				g.waited = max(t.GapGiveUp-starvedChance, 0)
			}
		}
		g.open, g.tries = true, 0
		if g.fetching == 0 {
			g.due = now.Add(l.patience(w, t.GapGrace))
		}
	}
	g.want = w
	return true
}

// patience is how long something that is missing may come by itself.
func (l *lane) patience(w order.Want, grace time.Duration) time.Duration {
	switch {
	case w.Tail: // whether a start goes on does not tell itself
		return 0
	case l.queue.Held() > 0: // what is missing may be on its way
		return grace
	}
	return hintGrace * grace // nothing overtook it, so it probably is: only a relay node says that it exists
}

// run has the time count in which what is missing could have come, whatever came back instead.
func (g *gap) run(now time.Time) {
	if g.since.IsZero() {
		g.since = now
	}
}

// pause has the time not count while nobody is there. At least left of it remains once somebody is.
func (g *gap) pause(now time.Time, most, left time.Duration) {
	if !g.since.IsZero() {
		g.waited, g.since = g.age(now), time.Time{}
	}
	g.waited = min(g.waited, max(most-left, 0))
}

// age is for how long what is missing could have come.
func (g *gap) age(now time.Time) time.Duration {
	if g.since.IsZero() {
		return g.waited
	}
	return g.waited + now.Sub(g.since)
}
