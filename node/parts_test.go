package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"conclave/node/frame"
	"conclave/node/state"
	"conclave/overlay/wire"
)

// TestKeyHides prints a key in every way but the one that is asked for.
func TestKeyHides(t *testing.T) {
	var k Key
	k.bytes[0] = 0xab
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %x %s %v", k, k, k, k, k, text, k.LogValue())
	if strings.Contains(shown, "ab00") || strings.Contains(shown, "171") || strings.Contains(shown, "0xab") {
		t.Errorf("a key shows itself: %s", shown)
	}
	if got := k.Reveal(); got != "ab"+strings.Repeat("0", 62) {
		t.Errorf("revealed as %s", got)
	}
}

// TestSubscriptionEnds reads what is left after the hub was closed, then ends.
func TestSubscriptionEnds(t *testing.T) {
	h := newHub(time.Now)
	s := h.subscribe()
	h.publish(Note{Text: "last"})
	h.close()
	if e, ok := s.Next(t.Context()); !ok || e.(Note).Text != "last" {
		t.Fatalf("got %v, %v", e, ok)
	}
	if e, ok := s.Next(t.Context()); ok {
		t.Fatalf("got %v after the end", e)
	}
	if _, ok := h.subscribe().Next(t.Context()); ok {
		t.Fatal("a late subscription does not end")
	}
}

// TestSubscriptionLags drops, counts and says so.
func TestSubscriptionLags(t *testing.T) {
	h := newHub(time.Now)
	s := h.subscribe()
	for range maxEvents + 5 {
		h.publish(Note{})
	}
	if !h.paused() {
		t.Fatal("a full subscription does not pause")
	}
	for range maxEvents {
		if _, ok := s.Next(t.Context()); !ok {
			t.Fatal("ended")
		}
	}
	select {
	case <-h.resume:
	default:
		t.Fatal("nobody is told that there is room again")
	}
	h.publish(Note{Text: "next"})
	if e, _ := s.Next(t.Context()); e.(Lagged).Events != 5 {
		t.Fatalf("got %+v", e)
	}
	if e, _ := s.Next(t.Context()); e.(Note).Text != "next" {
		t.Fatalf("got %+v", e)
	}
}

// TestInboxFills refuses and waits.
func TestInboxFills(t *testing.T) {
	b := newInbox()
	random := rand.Reader
	for range maxOutbox {
		if _, err := b.put("x", time.Now(), random); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.put("x", time.Now(), random); !errors.Is(err, ErrOutboxFull) {
		t.Fatalf("one too many: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("waiting in a full inbox: %v", err)
	}
	b.done(1)
	if err := b.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.put("x", time.Now(), random); err != nil {
		t.Fatal(err)
	}
	b.close()
	if _, err := b.put("x", time.Now(), random); !errors.Is(err, ErrClosed) {
		t.Fatalf("after close: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestInboxGoesOn numbers on after what the state file holds.
func TestInboxGoesOn(t *testing.T) {
	b := newInbox()
	b.restore("A", nil, []state.Outgoing{{Seq: 4}, {Seq: 9}})
	if _, err := b.put("x", time.Now(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if got := b.take(); len(got) != 1 || got[0].Seq != 10 || b.count() != 3 {
		t.Fatalf("took %+v of %d", got, b.count())
	}
}

// TestTally knows its own messages only, and each member once.
func TestTally(t *testing.T) {
	y := newTally()
	id := wire.MessageID{1, 15: 9}
	if _, _, news := y.acknowledge(id.Short(), "B"); news {
		t.Fatal("a message that is not known counts as acknowledged")
	}
	y.add(id)
	for _, by := range []wire.Role{"C", "B", "C"} {
		y.acknowledge(id.Short(), by)
	}
	got, all, news := y.acknowledge(id.Short(), "A")
	if !news || got != id || fmt.Sprint(all) != "[A B C]" {
		t.Fatalf("%v is acknowledged by %v, %v", got, all, news)
	}
	if _, _, news := y.acknowledge(wire.MessageID{2, 15: 9}.Short(), "D"); news {
		t.Fatal("a message with another ID counts as this one")
	}
}

// TestTallyDraws gives no message the short ID of another that is remembered.
func TestTallyDraws(t *testing.T) {
	y := newTally()
	first, second := wire.MessageID{1, 15: 1}, wire.MessageID{2}
	like := wire.MessageID{1, 15: 2}
	random := bytes.NewReader(slices.Concat(first[:], like[:], second[:]))
	for _, want := range []wire.MessageID{first, second} {
		if got, err := y.draw(random); err != nil || got != want {
			t.Fatalf("drew %v, %v, want %v", got, err, want)
		}
	}
	for i := range uint32(maxMine) {
		y.add(wire.MessageID{3, byte(i >> 16), byte(i >> 8), byte(i)})
	}
	if got, err := y.draw(bytes.NewReader(like[:])); err != nil || got != like {
		t.Fatalf("drew %v, %v after the first was forgotten", got, err)
	}
	if _, err := y.draw(zeros{}); err != nil {
		t.Fatal(err)
	}
	if _, err := y.draw(zeros{}); !errors.Is(err, errRandom) {
		t.Fatalf("a source of zeros: %v", err)
	}
}

// TestAcknowledgedWhoseMessage has a member send a message with the ID of another's: who shows it acknowledges only that one.
func TestAcknowledgedWhoseMessage(t *testing.T) {
	e := &engine{n: &Node{in: newInbox(), hub: newHub(time.Now)}, cfg: Config{Now: time.Now}, random: rand.Reader}
	o := &outbox{e: e, open: make(map[wire.MessageID]*pending)}
	id := wire.MessageID{1}
	e.n.in.mine.add(id)
	screen := e.n.hub.subscribe()
	ch := &chat{index: map[wire.Role]uint16{"A": 0, "M": 1}}
	for _, c := range []struct {
		sender wire.Role
		want   int
	}{{"M", 0}, {"A", 1}} { // the second is what the first would be if senders did not count
		s := &sealed{chat: ch}
		o.thank(s, []owed{{"Z", id.Short()}, {c.sender, id.Short()}}, func(content frame.Content) bool {
			o.delivered("B", 0, content.Acks())
			return true
		})
		if len(s.acks) != 2 {
			t.Errorf("%d acknowledgements are noted", len(s.acks))
		}
		got := 0
		for _, ok, _ := screen.take(); ok; _, ok, _ = screen.take() {
			got++
		}
		if got != c.want {
			t.Errorf("B has shown %s's message: A's counts as delivered %d times", c.sender, got)
		}
	}
}

// TestTimingDefaults fills what is zero, keeps what is not, and refuses what is negative.
func TestTimingDefaults(t *testing.T) {
	got := Timing{AckBase: time.Hour}.withDefaults()
	if got.AckBase != time.Hour || got.StoreAfter != 2*time.Second || got.WindowCommit != 50*time.Millisecond {
		t.Fatalf("defaults are %+v", got)
	}
	w := newWorld(t, "A")
	cfg := w.config("A")
	cfg.Timing.GapGrace = -1
	if _, err := New(cfg); err == nil {
		t.Fatal("a negative time was taken")
	}
	cfg = w.config("A")
	cfg.Group = nil
	if _, err := New(cfg); err == nil {
		t.Fatal("a node without a group was made")
	}
}
