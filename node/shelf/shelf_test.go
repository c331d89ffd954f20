package shelf

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"conclave/overlay/batch"
	"conclave/overlay/wire"
)

var prefix = wire.Prefix{1, 2, 3}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sealed returns a batch with the frames from low to high of a start.
func sealed(t *testing.T, key ed25519.PrivateKey, sender uint16, start, low, high uint32) wire.Batch {
	t.Helper()
	var frames [][]byte
	for c := low; c <= high; c++ {
		h := wire.FrameHeader{Prefix: prefix, Sender: sender, Start: start, Counter: c, Length: wire.ContentHeaderSize + wire.MinBody}
		frames = append(frames, append(h.Append(nil), make([]byte, wire.FrameOverhead-wire.FrameHeaderSize+int(h.Length))...))
	}
	data, err := batch.Sign(key, "topic", wire.BatchFrames, frames)
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire.ParseBatch(data)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signerOf(key ed25519.PrivateKey) wire.Signer {
	return wire.Signer(key.Public().(ed25519.PublicKey))
}

func fetch(key ed25519.PrivateKey, sender uint16, start, from, to uint32) wire.Fetch {
	return wire.Fetch{Prefix: prefix, Sender: sender, Start: start, From: from, To: to, Signer: signerOf(key)}
}

// put puts a batch in that has to be new.
func put(t *testing.T, s *Shelf, b wire.Batch, own bool) int64 {
	t.Helper()
	seq, _ := s.Put(b, 0, own)
	if seq == 0 {
		t.Fatal("the batch is not taken")
	}
	return seq
}

// firstFrame returns the first frame of a batch.
func firstFrame(t *testing.T, data []byte) []byte {
	t.Helper()
	b, err := wire.ParseBatch(data)
	if err != nil {
		t.Fatal(err)
	}
	return b.Items[0]
}

func TestFetchIsInOrder(t *testing.T) {
	t.Parallel()
	s, key := New(DefaultLimits), newKey(t)
	put(t, s, sealed(t, key, 1, 0, 4, 5), false)
	put(t, s, sealed(t, key, 1, 0, 0, 1), false)
	put(t, s, sealed(t, key, 1, 0, 2, 3), false)
	put(t, s, sealed(t, key, 1, 7, 0, 0), false)
	for _, again := range []wire.Batch{sealed(t, key, 1, 0, 2, 3), sealed(t, key, 1, 0, 1, 2), sealed(t, key, 1, 0, 5, 6)} {
		if seq, _ := s.Put(again, 0, false); seq != 0 {
			t.Error("what is here is taken again")
		}
	}
	got, more := s.Fetch(fetch(key, 1, 0, 1, 100), 1<<20)
	if len(got) != 3 || more {
		t.Fatalf("fetched %d batches, more %v", len(got), more)
	}
	for i, low := range []uint32{0, 2, 4} {
		if h, err := wire.ParseFrameHeader(firstFrame(t, got[i])); err != nil || h.Counter != low {
			t.Errorf("batch %d begins at %d, %v", i, h.Counter, err)
		}
	}
	if got, more = s.Fetch(fetch(key, 1, 0, 0, 100), 1); len(got) != 1 || !more {
		t.Errorf("with no room: %d batches, more %v", len(got), more)
	}
	if got, _ = s.Fetch(fetch(key, 1, 0, 6, 100), 1<<20); len(got) != 0 {
		t.Error("batches outside the range")
	}
	heads := s.Heads(nil, 100)
	if len(heads) != 2 {
		t.Fatalf("%d heads", len(heads))
	}
	for _, h := range heads {
		if h.Start == 0 && (h.Low != 0 || h.High != 5) || h.Start == 7 && (h.Low != 0 || h.High != 0) {
			t.Errorf("head %+v", h)
		}
	}
	if heads = s.Heads(nil, 1); len(heads) != 1 || heads[0].Start != 7 {
		t.Errorf("one head of two: %+v", heads)
	}
}

// TestAttackClaimedIndexOnTheShelf has a member sign frames that claim another's index, before and after the other's.
func TestAttackClaimedIndexOnTheShelf(t *testing.T) {
	t.Parallel()
	s, alice, mallory := New(DefaultLimits), newKey(t), newKey(t)
	put(t, s, sealed(t, mallory, 1, 0, 0, 9), false)
	real := sealed(t, alice, 1, 0, 0, 3)
	put(t, s, real, false)
	want, err := real.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, _ := s.Fetch(fetch(alice, 1, 0, 0, 9), 1<<20)
	if len(got) != 1 || !bytes.Equal(got[0], want) {
		t.Errorf("of %d batches fetched none is the real one alone", len(got))
	}
}

// TestAttackFloodOfTheShelf has one member send more than there is room for.
func TestAttackFloodOfTheShelf(t *testing.T) {
	t.Parallel()
	s, alice, mallory := New(Limits{Batches: 10, Bytes: 1 << 20}), newKey(t), newKey(t)
	for i := range uint32(3) {
		put(t, s, sealed(t, alice, 1, 0, i, i), true)
	}
	for i := range uint32(100) {
		put(t, s, sealed(t, mallory, 2, 0, i, i), false)
	}
	if got, _ := s.Fetch(fetch(alice, 1, 0, 0, 9), 1<<20); len(got) != 3 {
		t.Errorf("%d of 3 of the other's batches are left", len(got))
	}
	if got, _ := s.Fetch(fetch(mallory, 2, 0, 0, 99), 1<<20); len(got) != 7 {
		t.Errorf("%d of the flood are kept, want 7", len(got))
	}
	if heads := s.Heads(nil, 10); len(heads) != 2 {
		t.Errorf("%d heads", len(heads))
	}
	if len(s.entries) != 10 || s.unstored != 10 {
		t.Errorf("%d entries, %d unstored", len(s.entries), s.unstored)
	}
}

func TestUnstored(t *testing.T) {
	t.Parallel()
	s, key := New(DefaultLimits), newKey(t)
	var seqs []int64
	for i := range uint32(4) {
		seqs = append(seqs, put(t, s, sealed(t, key, 1, 0, i, i), true))
	}
	none := func(int64) bool { return false }
	if _, changed := s.SetStored(seqs[1]); !changed {
		t.Fatal("not noted")
	}
	if _, changed := s.SetStored(seqs[1]); changed {
		t.Error("noted twice")
	}
	left := s.Unstored(1<<20, none)
	if len(left) != 3 || left[0].Seq != seqs[0] || left[1].Seq != seqs[2] {
		t.Errorf("left: %+v", left)
	}
	if left = s.Unstored(1, func(seq int64) bool { return seq == seqs[0] }); len(left) != 1 || left[0].Seq != seqs[2] {
		t.Errorf("one at a time: %+v", left)
	}
	s.Unstore()
	if left = s.Unstored(1<<20, none); len(left) != 4 {
		t.Errorf("after a loss %d are left", len(left))
	}
	if _, changed := s.SetKept(seqs[0]); !changed {
		t.Error("not on disk")
	}
}

func TestChangedTellsOfOwnBatches(t *testing.T) {
	t.Parallel()
	s, key := New(DefaultLimits), newKey(t)
	news := s.Changed()
	put(t, s, sealed(t, key, 1, 0, 0, 0), false)
	select {
	case <-news:
		t.Error("another's batch is told")
	default:
	}
	put(t, s, sealed(t, key, 1, 0, 1, 1), true)
	<-news
}
