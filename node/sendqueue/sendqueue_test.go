package sendqueue

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"conclave/node/state"
	"conclave/overlay/wire"
)

const maxOutbox, remembered = 100, 1000

// TestQueueFills refuses and waits.
func TestQueueFills(t *testing.T) {
	b := New(maxOutbox, remembered)
	random := rand.Reader
	for range maxOutbox {
		if _, err := b.Put("x", time.Now(), random); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Put("x", time.Now(), random); !errors.Is(err, ErrFull) {
		t.Fatalf("one too many: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("waiting in a full queue: %v", err)
	}
	b.Done(1)
	if err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put("x", time.Now(), random); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if _, err := b.Put("x", time.Now(), random); !errors.Is(err, ErrClosed) {
		t.Fatalf("after close: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestQueueGoesOn numbers on after what the state file holds.
func TestQueueGoesOn(t *testing.T) {
	b := New(maxOutbox, remembered)
	b.Restore("A", nil, []state.Outgoing{{Seq: 4}, {Seq: 9}})
	if _, err := b.Put("x", time.Now(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if got := b.Take(); len(got) != 1 || got[0].Seq != 10 || b.Count() != 3 {
		t.Fatalf("took %+v of %d", got, b.Count())
	}
}

// TestQueueDraws gives no message the short ID of another that is remembered.
func TestQueueDraws(t *testing.T) {
	b := New(maxOutbox, remembered)
	first, second := wire.MessageID{1, 15: 1}, wire.MessageID{2}
	like := wire.MessageID{1, 15: 2}
	random := bytes.NewReader(slices.Concat(first[:], like[:], second[:]))
	for _, want := range []wire.MessageID{first, second} {
		if got, err := b.draw(random); err != nil || got != want {
			t.Fatalf("drew %v, %v, want %v", got, err, want)
		}
	}
	for i := range uint32(remembered) {
		b.ids.Add(wire.ShortID{3, byte(i >> 16), byte(i >> 8), byte(i)}, struct{}{})
	}
	if got, err := b.draw(bytes.NewReader(like[:])); err != nil || got != like {
		t.Fatalf("drew %v, %v after the first was forgotten", got, err)
	}
	if _, err := b.draw(zeros{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.draw(zeros{}); !errors.Is(err, errRandom) {
		t.Fatalf("a source of zeros: %v", err)
	}
}
