package frame

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"conclave/overlay/wire"
)

// model is what a receiver should know about one sender: plain sets, no keys.
type model struct {
	next   uint32 // first start not heard of
	starts map[uint32]*modelStart
}

// modelStart is one open start.
type modelStart struct {
	next, floor uint32
	seen        map[uint32]bool
}

// clone copies the model, as a commit does.
func (m *model) clone() *model {
	c := &model{next: m.next, starts: map[uint32]*modelStart{}}
	for n, s := range m.starts {
		c.starts[n] = &modelStart{next: s.next, floor: s.floor, seen: maps.Clone(s.seen)}
	}
	return c
}

// waiting lists the unseen counters that can still be opened below next.
func (s *modelStart) waiting() []uint32 {
	var out []uint32
	for n := s.floor; n < s.next; n++ {
		if !s.seen[n] {
			out = append(out, n)
		}
	}
	return out
}

// deliver returns the error that opening must give, and notes the frame as opened when there is none.
func (m *model) deliver(start, counter uint32) error {
	for ; m.next <= start; m.next++ {
		m.starts[m.next] = &modelStart{seen: map[uint32]bool{}}
	}
	for n := range m.starts {
		if n+MaxChains < m.next {
			delete(m.starts, n)
		}
	}
	s := m.starts[start]
	switch {
	case s == nil || counter < s.floor:
		return ErrTooOld
	case s.seen[counter]:
		return ErrReplay
	}
	s.seen[counter] = true
	if counter < s.next {
		return nil
	}
	s.next = counter + 1
	if w := s.waiting(); len(w) > MaxSkipped {
		s.floor = w[len(w)-MaxSkipped-1] + 1
	}
	total := 0
	for _, s := range m.starts {
		total += len(s.waiting())
	}
	for _, n := range slices.Sorted(maps.Keys(m.starts)) {
		w := m.starts[n].waiting()
		if excess := min(total-maxSenderSkipped, len(w)); excess > 0 {
			m.starts[n].floor = w[excess-1] + 1
			total -= excess
		}
	}
	return nil
}

// missing returns what Missing should: the unseen frames up to high that can still be opened.
func (m *model) missing(start, high uint32) []uint32 {
	s := m.starts[start]
	if s == nil {
		return nil
	}
	var out []uint32
	for n := s.floor; n <= high; n++ {
		if !s.seen[n] {
			out = append(out, n)
		}
	}
	return out
}

// flight is a frame on its way.
type flight struct {
	bytes   []byte
	id      wire.MessageID
	at      Position
	content string
}

// TestSchedules lets a sender and a receiver run through random schedules of sealing, long gaps, restarts of both,
// crashes that lose what was not committed, reordering, duplicates, damage and forged headers, and compares every answer
// with the model's. Nothing opens twice but after a crash that lost it.
func TestSchedules(t *testing.T) {
	hits := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			t: t, hits: hits, a: rapidSession(t, 0), b: rapidSession(t, 1),
			model: &model{starts: map[uint32]*modelStart{}}, sealed: map[string]bool{},
		}
		w.commit(t)
		t.Repeat(map[string]func(*rapid.T){
			"seal":          w.seal,
			"deliver":       w.deliver,
			"deliver again": w.deliver,
			"deliver tail":  w.deliverTail,
			"skip":          w.skip,
			"damage":        w.damage,
			"restart A":     w.restartSender,
			"commit":        w.commit,
			"restart B":     w.restartReceiver,
			"":              w.check,
		})
	})
	for _, what := range []string{
		"opened", ErrReplay.Error(), ErrTooOld.Error(), ErrForged.Error(), "skip", "restart A", "restart B", "crash lost",
	} {
		if hits[what] == 0 {
			t.Errorf("no schedule had: %s", what)
		}
	}
	t.Logf("hits: %v", hits)
}

// world is one schedule's state.
type world struct {
	t          *rapid.T
	hits       map[string]int
	a, b       *Session
	model      *model
	flights    []flight
	sealed     map[string]bool // start/counter pairs, each sealed once
	n          int
	saved      []byte // B's committed state, and the model's at that time
	savedModel *model
}

// rapidSession is testSession for rapid.
func rapidSession(t *rapid.T, self int) *Session {
	cfg := testConfigOf(self)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Committed(s.Checkpoint())
	return s
}

func (w *world) seal(t *rapid.T) {
	w.n++
	at := w.a.Next()
	name := fmt.Sprint(at)
	if w.sealed[name] {
		t.Fatalf("%s is sealed twice", name)
	}
	w.sealed[name] = true
	c := text(w.n)
	frame, err := w.a.Seal(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	w.flights = append(w.flights, flight{bytes: frame, id: c.ID, at: at, content: c.Text()})
}

// skip has A seal frames that never arrive.
func (w *world) skip(t *rapid.T) {
	w.hits["skip"]++
	burn(w.a, rapid.SampledFrom([]int{1, 3, 700, 1999, 2000, 2001, 2600}).Draw(t, "gap"))
	w.seal(t)
}

func (w *world) deliver(t *rapid.T) {
	if len(w.flights) == 0 {
		t.Skip("nothing on its way")
	}
	w.deliverOne(t, w.flights[rapid.IntRange(0, len(w.flights)-1).Draw(t, "which")])
}

// deliverTail delivers one of the last frames, so that schedules go forward too.
func (w *world) deliverTail(t *rapid.T) {
	if len(w.flights) == 0 {
		t.Skip("nothing on its way")
	}
	w.deliverOne(t, w.flights[rapid.IntRange(max(0, len(w.flights)-3), len(w.flights)-1).Draw(t, "which")])
}

func (w *world) deliverOne(t *rapid.T, f flight) {
	want := w.model.deliver(f.at.Start, f.at.Counter)
	got, err := w.b.Open(signer(0), f.bytes)
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Fatalf("%+v: got %v, want %v", f.at, err, want)
	}
	if err != nil {
		w.hits[err.Error()]++
		return
	}
	w.hits["opened"]++
	if got.Position != f.at || got.Content.ID != f.id || got.Content.Text() != f.content {
		t.Fatalf("%+v opened as %+v", f.at, got)
	}
}

// damage delivers a frame with a bit flipped, or with another header.
func (w *world) damage(t *rapid.T) {
	if len(w.flights) == 0 {
		t.Skip("nothing on its way")
	}
	f := w.flights[rapid.IntRange(0, len(w.flights)-1).Draw(t, "which")]
	bad := slices.Clone(f.bytes)
	if rapid.Bool().Draw(t, "header") {
		h, _ := wire.ParseFrameHeader(bad)
		h.Start += uint32(rapid.IntRange(0, 80).Draw(t, "start"))
		h.Counter += uint32(rapid.IntRange(1, 5000).Draw(t, "counter"))
		bad = append(h.Append(nil), bad[wire.FrameHeaderSize:]...)
	} else {
		bad[rapid.IntRange(wire.FrameHeaderSize, len(bad)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	}
	before := w.b.Checkpoint().Bytes()
	_, err := w.b.Open(signer(0), bad)
	if err == nil || errors.Is(err, ErrContent) {
		t.Fatal("a damaged frame opened")
	}
	if !slices.Equal(before, w.b.Checkpoint().Bytes()) {
		t.Fatal("a damaged frame changed the state")
	}
	w.hits[err.Error()]++
}

func (w *world) restartSender(t *rapid.T) {
	w.hits["restart A"]++
	w.a = w.restart(t, w.a.Checkpoint().Bytes())
}

func (w *world) commit(*rapid.T) {
	c := w.b.Checkpoint()
	w.saved, w.savedModel = c.Bytes(), w.model.clone()
	w.b.Committed(c)
}

// restartReceiver crashes B: what was not committed is forgotten.
func (w *world) restartReceiver(t *rapid.T) {
	w.hits["restart B"]++
	if w.b.Dirty() {
		w.hits["crash lost"]++
	}
	w.b = w.restart(t, w.saved)
	w.model = w.savedModel.clone()
	w.commit(t)
}

func (w *world) restart(t *rapid.T, state []byte) *Session {
	s, err := Restore(state, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Committed(s.Checkpoint())
	return s
}

// check compares what is missing.
func (w *world) check(t *rapid.T) {
	if len(w.flights) == 0 {
		return
	}
	f := w.flights[len(w.flights)-1]
	if f.at.Start >= w.model.next {
		return
	}
	var got []uint32
	for _, r := range w.b.Missing(wire.Head{Prefix: w.b.prefix, Start: f.at.Start, High: f.at.Counter}) {
		for n := r.From; n <= r.To; n++ {
			got = append(got, n)
		}
	}
	if want := w.model.missing(f.at.Start, f.at.Counter); !slices.Equal(got, want) {
		t.Fatalf("missing %d frames, want %d", len(got), len(want))
	}
}
