package frame

import (
	"slices"
	"testing"
	"time"

	"conclave/internal/baseline"
	"conclave/overlay/wire"
)

// benchRun is how many frames are sealed or opened in a row before the baseline has its turn. Taking turns makes the
// ratio hold still on a machine that does other things too.
const benchRun = 16

// BenchmarkFrame measures sealing and opening a text, the ratchet step inside the timed loop, beside bare AES-256-CTR
// and HMAC-SHA256 with reused state over the same text. It reports both times and their ratio, "x-bare".
func BenchmarkFrame(b *testing.B) {
	for _, size := range []struct {
		name string
		text int
	}{{"256B", 256}, {"16KiB", 16 << 10}} {
		b.Run("seal/"+size.name, func(b *testing.B) { benchSeal(b, size.text) })
		b.Run("open/"+size.name, func(b *testing.B) { benchOpen(b, size.text) })
	}
}

// BenchmarkBare runs the baseline alone, for its allocations.
func BenchmarkBare(b *testing.B) {
	bare := newBare(256)
	b.Run("seal/256B", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			bare.seal()
		}
	})
	b.Run("open/256B", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			bare.open()
		}
	})
}

// bare is the baseline with what it works on.
type bare struct {
	cipher                *baseline.Cipher
	plain, sealed, opened []byte
}

func newBare(n int) *bare {
	r := &bare{cipher: baseline.NewCipher([32]byte{1}, [32]byte{2}), plain: make([]byte, n)}
	r.seal()
	r.open()
	return r
}

func (r *bare) seal() { r.sealed = r.cipher.Seal(r.sealed[:0], r.plain) }

func (r *bare) open() {
	var err error
	if r.opened, err = r.cipher.Open(r.opened[:0], r.sealed); err != nil {
		panic(err)
	}
}

// stopwatch keeps the time of each run of both sides. Medians are reported: a run that was interrupted says nothing.
type stopwatch struct{ ours, bare []time.Duration }

// add notes a run of ours from t0 to t1 and one of the baseline from t1 to now.
func (w *stopwatch) add(t0, t1 time.Time) {
	w.ours, w.bare = append(w.ours, t1.Sub(t0)), append(w.bare, time.Since(t1))
}

// report gives the figures for one frame.
func (w *stopwatch) report(b *testing.B) {
	slices.Sort(w.ours)
	slices.Sort(w.bare)
	ours, bare := float64(w.ours[len(w.ours)/2]), float64(w.bare[len(w.bare)/2])
	b.ReportMetric(0, "ns/op") // the loop holds both sides
	b.ReportMetric(ours/benchRun, "ns/frame")
	b.ReportMetric(bare/benchRun, "ns/bare")
	b.ReportMetric(ours/bare, "x-bare")
}

func benchSeal(b *testing.B, n int) {
	s, bare := benchSession(b, 0), newBare(n)
	content := benchText(n)
	out := make([]byte, 0, wire.MaxFrame)
	b.Run("allocs", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = s.Seal(out, content)
		}
	})
	b.Run("ratio", func(b *testing.B) {
		var w stopwatch
		for b.Loop() {
			t0 := time.Now()
			for range benchRun {
				if _, err := s.Seal(out, content); err != nil {
					b.Fatal(err)
				}
			}
			t1 := time.Now()
			for range benchRun {
				bare.seal()
			}
			w.add(t0, t1)
		}
		w.report(b)
	})
}

func benchOpen(b *testing.B, n int) {
	a, s, bare := benchSession(b, 0), benchSession(b, 1), newBare(n)
	content := benchText(n)
	var frames [benchRun][]byte
	plain := make([]byte, 0, wire.ContentHeaderSize+wire.MaxBody)
	signer := a.Members()[0].Identity
	var w stopwatch
	for b.Loop() {
		for i := range frames {
			var err error
			if frames[i], err = a.Seal(frames[i][:0], content); err != nil {
				b.Fatal(err)
			}
		}
		t0 := time.Now()
		for _, frame := range frames {
			if _, err := s.OpenTo(plain, signer, frame); err != nil {
				b.Fatal(err)
			}
		}
		t1 := time.Now()
		for range benchRun {
			bare.open()
		}
		w.add(t0, t1)
	}
	w.report(b)
}

// TestAllocations pins the number of allocations: the AES key schedule and the CTR stream, which the standard library
// makes anew for each key.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates too")
	}
	a, s := testSession(t, 0), testSession(t, 1)
	signer := a.Members()[0].Identity
	content := benchText(256)
	out := make([]byte, 0, wire.MaxFrame)
	plain := make([]byte, 0, wire.MaxFrame)
	if n := testing.AllocsPerRun(100, func() { _, _ = a.Seal(out, content) }); n > 2 {
		t.Errorf("Seal allocates %v times, want at most 2", n)
	}
	both := testing.AllocsPerRun(100, func() {
		frame, err := a.Seal(out, content)
		if err == nil {
			_, err = s.OpenTo(plain, signer, frame)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if both > 4 {
		t.Errorf("Seal and OpenTo allocate %v times, want at most 4", both)
	}
}

// benchText returns a text of n bytes.
func benchText(n int) Content {
	body := make([]byte, n)
	for i := range body {
		body[i] = 'a' + byte(i%26)
	}
	return Content{ID: wire.MessageID{1}, Sent: time.UnixMilli(1), Type: ContentText, Body: body}
}

// benchSession returns a session that may seal.
func benchSession(b *testing.B, self int) *Session { return testSession(b, self) }
