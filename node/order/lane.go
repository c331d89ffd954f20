package order

import (
	"cmp"
	"math"
	"slices"
)

// MaxHeld and MaxHeldBytes are how many frames, and how many bytes of them, a lane holds while something before them is
// missing or their reader is slow: those that are nearest to their turn. What comes on top is not kept, and is wanted again
// later. Arbitrary: some seconds of the fastest sender.
const (
	MaxHeld      = 16_384
	MaxHeldBytes = 16 << 20
)

// Position is a frame's place among its sender's: first the start, then the counter.
type Position struct{ Start, Counter uint32 }

// Verdict is what became of a Put.
type Verdict int

// The verdicts.
const (
	Held      Verdict = iota + 1 // it waits for its turn, which may be now
	Behind                       // the lane has gone past its position
	Duplicate                    // its position is taken
	Full                         // no room for one so far ahead; it will be wanted again
)

// Want is a run of counters of one start that is missing: both ends are included.
type Want struct {
	Start    uint32
	From, To uint32
	// Tail is set when nothing says that these exist: the sender went on to something later, and it is to be asked
	// whether all of this start is here.
	Tail bool
	// Low is the lowest counter of the start that the hints say still exists.
	Low uint32
	// Claimed is set when nothing but a hint says that these exist. Whoever holds a backlog can claim anything: it is
	// worth a question, and nothing else may wait for the answer.
	Claimed bool
}

// Lane orders the frames of one sender in one session. T is what a frame is carried in.
type Lane[T any] struct {
	cur, next uint32                  // the position that comes next
	tail      bool                    // it was asked whether the present start goes on, and it does not
	ended     bool                    // the sender has gone on to another session
	begun     bool                    // a frame or a hint came, or the lane was restored
	held      map[uint32][]waiting[T] // of each start, by ascending counters; never empty
	count     int                     // frames in held
	bytes     int                     // their sizes
	room      int                     // most frames in held
	roomBytes int                     // most bytes of them
	size      func(T) int
	hints     map[uint32]hint
}

// waiting is a frame that waits for its turn.
type waiting[T any] struct {
	counter uint32
	frame   T
}

// hint is what is said to exist of one start. sender says that the sender said so, and not only who holds a backlog.
type hint struct {
	low, high uint32
	sender    bool
}

// maxHints is how many starts a lane has hints of: those that come first. A sender begins a start each time its process does.
const maxHints = 64

// New returns a lane that goes on at a position; the zero position begins a new one. size returns how many bytes a frame has.
func New[T any](at Position, size func(T) int) *Lane[T] {
	return &Lane[T]{
		cur: at.Start, next: at.Counter, begun: at != Position{},
		held: make(map[uint32][]waiting[T]), room: MaxHeld, roomBytes: MaxHeldBytes, size: size, hints: make(map[uint32]hint),
	}
}

// At returns the position that comes next.
func (l *Lane[T]) At() Position { return Position{l.cur, l.next} }

// Begun reports whether anything is known of the sender in this session.
func (l *Lane[T]) Begun() bool { return l.begun }

// Held returns how many frames wait.
func (l *Lane[T]) Held() int { return l.count }

// Put takes a frame in. When the lane is full, the frame that is farthest from its turn has to go: if far ones kept near
// ones out, whoever fetches a gap could use one frame of each answer. The one whose turn it is always has room.
func (l *Lane[T]) Put(p Position, frame T) Verdict {
	l.begun = true
	if p.Start < l.cur || p.Start == l.cur && p.Counter < l.next {
		return Behind
	}
	at, taken := l.place(p)
	if taken {
		return Duplicate
	}
	size := l.size(frame)
	for p != l.At() && (l.count >= l.room || l.bytes+size > l.roomBytes) {
		if !l.makeRoom(p) {
			l.hint(p.Start, hint{p.Counter, p.Counter, true})
			return Full
		}
	}
	l.held[p.Start] = slices.Insert(l.held[p.Start], at, waiting[T]{p.Counter, frame})
	l.count++
	l.bytes += size
	return Held
}

// place returns where among its start's a frame belongs, and whether it is there.
func (l *Lane[T]) place(p Position) (at int, taken bool) {
	of := l.held[p.Start]
	if n := len(of); n == 0 || of[n-1].counter < p.Counter {
		return n, false // in order, as most come
	}
	return slices.BinarySearchFunc(of, p.Counter, func(w waiting[T], c uint32) int { return cmp.Compare(w.counter, c) })
}

// makeRoom drops the frame that is farthest from its turn, if it is farther than p.
func (l *Lane[T]) makeRoom(p Position) bool {
	if l.count == 0 {
		return false
	}
	start := l.cur
	for s := range l.held {
		start = max(start, s)
	}
	of := l.held[start]
	end := len(of) - 1
	last := of[end].counter
	if start < p.Start || start == p.Start && last < p.Counter {
		return false
	}
	l.drop(start, &of[end], of[:end])
	l.hint(start, hint{last, last, true})
	return true
}

// drop empties the place of a frame of a start that goes. left are the others.
func (l *Lane[T]) drop(start uint32, gone *waiting[T], left []waiting[T]) {
	l.count--
	l.bytes -= l.size(gone.frame)
	*gone = waiting[T]{}
	if l.held[start] = left; len(left) == 0 {
		delete(l.held, start)
	}
}

// Hint says that somebody claims to hold the counters low to high of a start, or some of them.
func (l *Lane[T]) Hint(start, low, high uint32) { l.hint(start, hint{low: low, high: high}) }

func (l *Lane[T]) hint(start uint32, n hint) {
	if start < l.cur || start == l.cur && n.high < l.next {
		return
	}
	l.begun = true
	old, known := l.hints[start]
	switch {
	case !known:
		l.hints[start] = n
		l.boundHints()
	case old.sender && !n.sender: // a claim adds nothing to what the sender said, but where it may be had
		l.hints[start] = hint{min(old.low, n.low), old.high, true}
	case n.sender && !old.sender:
		l.hints[start] = hint{min(old.low, n.low), n.high, true}
	default:
		l.hints[start] = hint{min(old.low, n.low), max(old.high, n.high), n.sender}
	}
}

// boundHints forgets the claim of the last start when there are too many.
func (l *Lane[T]) boundHints() {
	if len(l.hints) <= maxHints {
		return
	}
	last, found := uint32(0), false
	for s, h := range l.hints {
		if !h.sender && (!found || s > last) {
			last, found = s, true
		}
	}
	if found { // defence: hints-bounded
		delete(l.hints, last)
	}
}

// Before says that whatever the sender sent under this session stands before p.
func (l *Lane[T]) Before(p Position) {
	l.begun = true
	if p.Counter > 0 {
		l.hint(p.Start, hint{p.Counter - 1, p.Counter - 1, true})
	}
}

// End says that the sender went on to another session: what may be left of this one is to be asked for.
func (l *Lane[T]) End() { l.ended = true }

// Done reports whether an ended lane has nothing more to come.
func (l *Lane[T]) Done() bool {
	l.settle()
	w, more := l.Want()
	return l.ended && (!more || w.Claimed) && l.count == 0
}

// Next returns the frame whose turn it is.
func (l *Lane[T]) Next() (frame T, at Position, ok bool) {
	l.settle()
	if !l.ready() {
		return frame, l.At(), false
	}
	return l.held[l.cur][0].frame, l.At(), true
}

// ready reports whether the frame that comes next is here.
func (l *Lane[T]) ready() bool {
	first, ok := l.firstHeld()
	return ok && first == l.next
}

// Advance goes past the frame that Next returned.
func (l *Lane[T]) Advance() {
	if !l.ready() {
		return
	}
	of := l.held[l.cur]
	l.drop(l.cur, &of[0], of[1:])
	l.next++
	l.tail = false
	l.trim()
}

// Want returns what is to be fetched before the lane can go on, if anything.
func (l *Lane[T]) Want() (Want, bool) {
	l.settle()
	if l.ready() {
		return Want{}, false
	}
	h, hinted := l.hints[l.cur]
	if first, ok := l.firstHeld(); ok {
		return Want{Start: l.cur, From: l.next, To: first - 1, Low: h.low}, true
	}
	if hinted && (h.sender || !l.ended || l.tail) { // a claim is part of the question for an ended lane's rest
		return Want{Start: l.cur, From: l.next, To: h.high, Low: h.low, Claimed: !h.sender}, true
	}
	start, later := l.laterStart()
	claimed := later && len(l.held[start]) == 0 && !l.hints[start].sender
	switch {
	case (later || l.ended && l.begun) && !l.tail:
		return Want{Start: l.cur, From: l.next, To: math.MaxInt32, Tail: true, Claimed: claimed && !l.ended}, true
	case later:
		h := l.hints[start] // settle has moved on if a frame of that start is held
		return Want{Start: start, To: h.high, Low: h.low, Claimed: claimed}, true
	}
	return Want{}, false
}

// GiveUp says that what a Want named cannot be had, at least not now. It returns how many frames the lane skipped, which
// it only does when a frame behind the gap shows that they existed.
func (l *Lane[T]) GiveUp(w Want) (skipped uint32) {
	if w.Start != l.cur {
		delete(l.hints, w.Start)
		return 0
	}
	if w.Tail {
		l.tail = true
		return 0
	}
	first, ok := l.firstHeld()
	if !ok {
		delete(l.hints, w.Start)
		return 0
	}
	skipped = first - l.next
	l.next = first
	l.trim()
	return skipped
}

// settle goes on to the next start that a frame is held of, once the present one is known to be at its end.
func (l *Lane[T]) settle() {
	for l.tail && len(l.held[l.cur]) == 0 {
		if _, hinted := l.hints[l.cur]; hinted {
			return
		}
		start, later := l.laterStart()
		if !later || len(l.held[start]) == 0 {
			return
		}
		l.cur, l.next, l.tail = start, 0, false
		l.trim()
	}
}

// laterStart returns the first start after the present one that is held or hinted at.
func (l *Lane[T]) laterStart() (uint32, bool) {
	best, found := uint32(0), false
	for s := range l.held {
		if s > l.cur && (!found || s < best) {
			best, found = s, true
		}
	}
	for s := range l.hints {
		if s > l.cur && (!found || s < best) {
			best, found = s, true
		}
	}
	return best, found
}

// firstHeld returns the lowest counter that is held of the present start.
func (l *Lane[T]) firstHeld() (uint32, bool) {
	of := l.held[l.cur]
	if len(of) == 0 {
		return 0, false
	}
	return of[0].counter, true
}

// trim forgets hints that the lane has gone past.
func (l *Lane[T]) trim() {
	for s, h := range l.hints {
		if s < l.cur || s == l.cur && h.high < l.next {
			delete(l.hints, s)
		}
	}
}
