package order

import (
	"testing"

	"pgregory.net/rapid"
)

// one is the size of every frame of these tests.
func one(Position) int { return 1 }

// drain takes out everything whose turn it is.
func drain(l *Lane[Position]) []Position {
	var out []Position
	for {
		f, at, ok := l.Next()
		if !ok {
			return out
		}
		if f != at {
			panic("a frame came out at another frame's position")
		}
		out = append(out, f)
		l.Advance()
	}
}

func put(t *testing.T, l *Lane[Position], want Verdict, start, counter uint32) {
	t.Helper()
	p := Position{start, counter}
	if got := l.Put(p, p); got != want {
		t.Fatalf("Put(%v) = %v, want %v", p, got, want)
	}
}

func TestInOrder(t *testing.T) {
	l := New(Position{}, one)
	for i := range uint32(3) {
		put(t, l, Held, 0, i)
		if got := drain(l); len(got) != 1 || got[0].Counter != i {
			t.Fatalf("after %d: %v", i, got)
		}
	}
	if _, ok := l.Want(); ok {
		t.Fatal("wants something though nothing is missing")
	}
	put(t, l, Behind, 0, 1)
}

func TestGapWaitsAndIsSkippedOnGiveUp(t *testing.T) {
	l := New(Position{}, one)
	put(t, l, Held, 0, 5)
	put(t, l, Held, 0, 6)
	put(t, l, Duplicate, 0, 6)
	if got := drain(l); len(got) != 0 {
		t.Fatalf("showed %v over a gap", got)
	}
	w, ok := l.Want()
	if !ok || w != (Want{Start: 0, From: 0, To: 4}) {
		t.Fatalf("wants %+v, %v", w, ok)
	}
	put(t, l, Held, 0, 0)
	drain(l)
	w, _ = l.Want()
	if n := l.GiveUp(w); n != 4 {
		t.Fatalf("skipped %d, want 4", n)
	}
	if got := drain(l); len(got) != 2 {
		t.Fatalf("after giving up: %v", got)
	}
}

func TestHintNeverMovesTheLane(t *testing.T) {
	l := New(Position{}, one)
	l.Hint(0, 0, 1<<30)
	w, ok := l.Want()
	if !ok || w.To != 1<<30 {
		t.Fatalf("wants %+v, %v", w, ok)
	}
	if n := l.GiveUp(w); n != 0 {
		t.Fatalf("a hint made the lane skip %d frames", n)
	}
	l.Hint(7, 0, 3)
	w, _ = l.Want()
	if !w.Tail || w.Start != 0 {
		t.Fatalf("a hint at a later start leads to %+v first", w)
	}
	l.GiveUp(w)
	w, _ = l.Want()
	if w.Start != 7 || w.To != 3 || w.Tail {
		t.Fatalf("then to %+v", w)
	}
	l.GiveUp(w)
	put(t, l, Held, 0, 0)
	if got := drain(l); len(got) != 1 {
		t.Fatalf("the lane moved: %v", got)
	}
}

func TestNewStartWaitsForTheTailOfTheOld(t *testing.T) {
	l := New(Position{Start: 1, Counter: 3}, one)
	put(t, l, Held, 2, 0)
	if got := drain(l); len(got) != 0 {
		t.Fatalf("showed %v before the tail was asked for", got)
	}
	w, ok := l.Want()
	if !ok || !w.Tail || w.Start != 1 || w.From != 3 {
		t.Fatalf("wants %+v, %v", w, ok)
	}
	put(t, l, Held, 1, 3) // the fetch brings it
	l.GiveUp(w)           // and there is no more
	got := drain(l)
	if len(got) != 1 || got[0] != (Position{1, 3}) {
		t.Fatalf("showed %v", got)
	}
	w, _ = l.Want() // the start went on, so it is asked again
	l.GiveUp(w)
	if got := drain(l); len(got) != 1 || got[0] != (Position{2, 0}) {
		t.Fatalf("showed %v", got)
	}
}

func TestEndAsksForTheTail(t *testing.T) {
	l := New(Position{Counter: 2}, one)
	if l.Done() {
		t.Fatal("done before it ended")
	}
	l.End()
	w, ok := l.Want()
	if !ok || !w.Tail || w.From != 2 {
		t.Fatalf("wants %+v, %v", w, ok)
	}
	l.GiveUp(w)
	if !l.Done() {
		t.Fatal("not done")
	}
}

// A sender's word that it sent something is a reason to fetch it; that it began a start without sending is one to ask.
func TestBefore(t *testing.T) {
	l := New(Position{}, one)
	l.Before(Position{0, 3})
	if w, ok := l.Want(); !ok || w.From != 0 || w.To != 2 || w.Tail {
		t.Fatalf("wants %+v, %v", w, ok)
	}
	for i := range uint32(3) {
		put(t, l, Held, 0, i)
	}
	if got := drain(l); len(got) != 3 {
		t.Fatalf("showed %v", got)
	}
	l.Before(Position{0, 3})
	if w, ok := l.Want(); ok {
		t.Fatalf("has it all and wants %+v", w)
	}

	l = New(Position{}, one)
	l.Before(Position{2, 0})
	if _, ok := l.Want(); ok || !l.Begun() {
		t.Fatal("wants something before the sender has gone on, or does not know of the sender")
	}
	l.End()
	if w, ok := l.Want(); !ok || !w.Tail || w.Start != 0 {
		t.Fatalf("wants %+v, %v", w, ok)
	}
}

func TestFullLaneWantsItAgain(t *testing.T) {
	l := New(Position{}, one)
	for i := range uint32(MaxHeld) {
		put(t, l, Held, 0, i+1)
	}
	put(t, l, Full, 0, MaxHeld+1)
	put(t, l, Held, 0, 0) // the one it waits for always has room
	drain(l)
	if w, ok := l.Want(); !ok || w.From != MaxHeld+1 || w.To != MaxHeld+1 {
		t.Fatalf("wants %+v, %v", w, ok)
	}
}

// TestNearFramesHaveRoom fills a lane behind a gap: an answer to its fetch takes the room of the frames that are farthest
// ahead, of which nothing is forgotten.
func TestNearFramesHaveRoom(t *testing.T) {
	const gap = 100
	l := New(Position{}, one)
	for i := range uint32(MaxHeld - 2) {
		put(t, l, Held, 0, gap+i)
	}
	put(t, l, Held, 1, 0)
	put(t, l, Held, 1, 1)
	put(t, l, Full, 1, 2)
	for i := range uint32(gap) {
		put(t, l, Held, 0, i)
	}
	if l.Held() != MaxHeld {
		t.Fatalf("%d frames are held", l.Held())
	}
	const left = MaxHeld - 2 + gap - (gap - 2) // of the first start: two of the second one went first
	if got := len(drain(l)); got != left {
		t.Fatalf("%d frames came out, want %d", got, left)
	}
	if w, ok := l.Want(); !ok || w != (Want{From: left, To: MaxHeld - 3 + gap, Low: left}) {
		t.Fatalf("wants %+v, %v", w, ok)
	}
	for i := range uint32(gap - 2) {
		put(t, l, Held, 0, left+i)
	}
	drain(l)
	w, _ := l.Want()
	l.GiveUp(w) // nothing more of the first start
	if w, ok := l.Want(); !ok || w.Start != 1 || w.To != 2 {
		t.Fatalf("wants %+v, %v of the second start", w, ok)
	}
}

// TestHeldBytes bounds what waits by its bytes too, and lets the one whose turn it is in, whatever its size.
func TestHeldBytes(t *testing.T) {
	l := New(Position{}, func(p Position) int {
		if p.Counter == 0 {
			return 2 * MaxHeldBytes
		}
		return MaxHeldBytes / 4
	})
	for c := uint32(4); c > 0; c-- {
		put(t, l, Held, 0, c)
	}
	put(t, l, Full, 0, 5)
	put(t, l, Held, 0, 0)
	if got := len(drain(l)); got != 5 {
		t.Fatalf("%d frames came out", got)
	}
	for c := uint32(10); c > 5; c-- {
		put(t, l, Held, 0, c)
	}
	if w, ok := l.Want(); !ok || w.From != 5 || l.Held() != 4 {
		t.Fatalf("%d held, wants %+v, %v", l.Held(), w, ok)
	}
}

// TestEverythingOnceInOrder sends frames of several starts through loss, duplication and reordering, and lanes with little
// room. Whoever answers each Want from what the sender sealed gets all of it, once, in order.
func TestEverythingOnceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sealed []Position
		start := uint32(0)
		for range rapid.IntRange(1, 4).Draw(t, "starts") {
			for c := range rapid.Uint32Range(1, 12).Draw(t, "frames") {
				sealed = append(sealed, Position{start, c})
			}
			start += rapid.Uint32Range(1, 2).Draw(t, "step")
		}
		l := New(Position{}, one)
		l.room, l.roomBytes = rapid.IntRange(1, 20).Draw(t, "room"), rapid.IntRange(0, 20).Draw(t, "bytes")
		var out []Position
		order := rapid.Permutation(sealed).Draw(t, "order")
		for _, p := range order {
			if rapid.Bool().Draw(t, "arrives") || p == sealed[len(sealed)-1] {
				l.Put(p, p)
				l.Put(p, p)
			}
			out = append(out, drain(l)...)
		}
		for range 1000 {
			w, ok := l.Want()
			if !ok {
				break
			}
			for _, p := range sealed {
				if p.Start == w.Start && p.Counter >= w.From && p.Counter <= w.To {
					l.Put(p, p)
				}
			}
			out = append(out, drain(l)...)
			if again, still := l.Want(); still && again == w {
				if skipped := l.GiveUp(w); skipped > 0 {
					t.Fatalf("skipped %d frames that were to be had", skipped)
				}
			}
			out = append(out, drain(l)...)
		}
		// A start of which nothing arrived and nobody hinted at may be passed over; all else is there in order.
		seen := map[uint32]bool{}
		for _, p := range out {
			seen[p.Start] = true
		}
		var want []Position
		for _, p := range sealed {
			if seen[p.Start] {
				want = append(want, p)
			}
		}
		if len(out) != len(want) {
			t.Fatalf("%d frames came out, want %d", len(out), len(want))
		}
		for i := range want {
			if out[i] != want[i] {
				t.Fatalf("frame %d is %v, want %v", i, out[i], want[i])
			}
		}
	})
}

// TestClaims keeps no more claims than there is room for, those of the first starts, and tells them from what the sender said.
func TestClaims(t *testing.T) {
	l := New(Position{}, one)
	for start := range uint32(1000) {
		l.Hint(999-start, 0, 5)
	}
	if n := len(l.hints); n != maxHints {
		t.Fatalf("%d claims are kept", n)
	}
	if w, ok := l.Want(); !ok || !w.Claimed || w.Start != 0 || w.To != 5 {
		t.Fatalf("wants %+v, %v", w, ok)
	}
	l.Before(Position{0, 3}) // the sender itself says how many there are
	if w, ok := l.Want(); !ok || w.Claimed || w.To != 2 {
		t.Fatalf("wants %+v, %v", w, ok)
	}
	l.Hint(0, 0, 1<<30)
	if w, ok := l.Want(); !ok || w.Claimed || w.To != 2 {
		t.Fatalf("after another claim it wants %+v, %v", w, ok)
	}
}
