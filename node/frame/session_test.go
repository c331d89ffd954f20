package frame

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conclave/overlay/wire"
)

func TestSealOpen(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	for i := range 5 {
		got := open(t, b, 0, seal(t, a, text(i)))
		want := Opened{Position: Position{Sender: 0, Start: 0, Counter: uint32(i)}, Role: "A", Content: text(i)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
	if got := open(t, a, 1, seal(t, b, text(9))); got.Role != "B" || got.Counter != 0 {
		t.Errorf("the other way: %+v", got.Position)
	}
}

// TestEveryBitFlippedIsRefused flips each bit of a frame in turn; the session stays as it was and opens the real one.
func TestEveryBitFlippedIsRefused(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	open(t, b, 0, seal(t, a, text(0)))
	seal(t, a, text(1)) // lost: so that there are skipped keys too
	frame := seal(t, a, text(2))
	before := b.Checkpoint().Bytes()
	for i := range len(frame) * 8 {
		bad := bytes.Clone(frame)
		bad[i/8] ^= 1 << (i % 8)
		opened, err := b.Open(signer(0), bad)
		if err == nil || opened.Content.Body != nil {
			t.Fatalf("bit %d of byte %d: opened", i%8, i/8)
		}
		inHeader := i/8 < wire.FrameHeaderSize
		if !inHeader && !errors.Is(err, ErrForged) {
			t.Fatalf("bit %d of byte %d: %v, want ErrForged", i%8, i/8, err)
		}
	}
	if !bytes.Equal(before, b.Checkpoint().Bytes()) {
		t.Error("a refused frame changed the state")
	}
	open(t, b, 0, frame)
}

// TestEveryLengthIsRefused cuts and lengthens a frame.
func TestEveryLengthIsRefused(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	frame := seal(t, a, text(0))
	for n := range frame {
		if _, err := b.Open(signer(0), frame[:n]); !errors.Is(err, ErrForged) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	if _, err := b.Open(signer(0), append(bytes.Clone(frame), 0)); !errors.Is(err, ErrForged) {
		t.Fatalf("one byte more: %v", err)
	}
}

// TestAMemberCannotForgeAnother has C, who holds every key, make a frame of A's. Signed by C it is refused because its
// sender is not the signer; C cannot sign as A. The control shows that the frame itself is perfect.
func TestAMemberCannotForgeAnother(t *testing.T) {
	cfg := testConfig(t, 0) // C knows the PRK, and everybody's index
	forger, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	forger.Committed(forger.Checkpoint())
	frame := seal(t, forger, text(0))

	b := testSession(t, 1)
	before := b.Checkpoint().Bytes()
	for _, by := range []ed25519.PublicKey{signer(2), signer(1), nil, make([]byte, 32)} {
		if _, err := b.Open(by, frame); !errors.Is(err, ErrForged) {
			t.Errorf("signed by %x: %v, want ErrForged", by, err)
		}
	}
	if !bytes.Equal(before, b.Checkpoint().Bytes()) {
		t.Error("a forged frame changed the state")
	}
	open(t, b, 0, frame) // control: with A's signature it would open
}

// TestBindings opens a frame in sessions that differ in one thing each.
func TestBindings(t *testing.T) {
	frame := seal(t, testSession(t, 0), text(0))
	for name, tt := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"same":                  {func(*Config) {}, nil},
		"group":                 {func(c *Config) { c.Group[31] ^= 1 }, ErrForged},
		"transcript, prefix":    {func(c *Config) { c.Transcript[0] ^= 1 }, ErrForeign},
		"transcript, same head": {func(c *Config) { c.Transcript[31] ^= 1 }, ErrForged},
		"PRK":                   {func(c *Config) { c.PRK.k[0] ^= 1 }, ErrForged},
		"sender's index": {func(c *Config) {
			c.Members = append([]Member{{Role: "0", Identity: signer(2)}}, c.Members...)
			c.Self = 2
		}, ErrForged},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t, 1)
			tt.change(&cfg)
			s, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Open(signer(0), frame); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestReplayIsRefusedForEver(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	var frames [][]byte
	for i := range 10 {
		frames = append(frames, seal(t, a, text(i)))
	}
	for _, i := range []int{0, 3, 1, 9} {
		open(t, b, 0, frames[i])
	}
	for range 3 {
		for _, i := range []int{0, 3, 1, 9} {
			if _, err := b.Open(signer(0), frames[i]); !errors.Is(err, ErrReplay) {
				t.Fatalf("frame %d again: %v, want ErrReplay", i, err)
			}
		}
		b = restart(t, b)
	}
	for _, i := range []int{2, 4, 5, 6, 7, 8} { // and what was missing still opens, after three restarts
		open(t, b, 0, frames[i])
	}
}

// TestAFarForgedHeaderMovesNothing is the attack that a ratchet invites: a header with a far counter or start.
func TestAFarForgedHeaderMovesNothing(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	open(t, b, 0, seal(t, a, text(0)))
	frame := seal(t, a, text(1))
	before := b.Checkpoint().Bytes()
	for _, h := range []struct{ start, counter uint32 }{
		{0, 5},
		{0, MaxSkipped + 10},
		{0, MaxSteps},
		{0, MaxSteps + 2},
		{0, MaxCounter},
		{0, 1<<32 - 1},
		{1, 0},
		{1, 3000},
		{70, 0},
		{MaxStartSteps, 0},
		{MaxStartSteps + 2, 0},
		{1<<32 - 1, 0},
		{1<<32 - 1, 1<<32 - 1},
	} {
		bad := withHeader(t, frame, h.start, h.counter)
		if _, err := b.Open(signer(0), bad); !errors.Is(err, ErrForged) {
			t.Errorf("start %d, counter %d: %v, want ErrForged", h.start, h.counter, err)
		}
	}
	if !bytes.Equal(before, b.Checkpoint().Bytes()) {
		t.Error("a forged header changed the state")
	}
	open(t, b, 0, frame)
}

// TestWalkingInVainIsBounded has a member cause work with frames that prove forged, until its far frames are refused
// unseen while its near ones still open.
func TestWalkingInVainIsBounded(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	frame := seal(t, a, text(0))
	bad := withHeader(t, frame, 0, MaxSteps)
	for range 50 {
		if _, err := b.Open(signer(0), bad); !errors.Is(err, ErrForged) {
			t.Fatal(err)
		}
	}
	if got := b.senders[0].wasted; got > 2*maxWasted {
		t.Errorf("walked %d steps for nothing", got)
	}
	open(t, b, 0, frame)
	for range MaxSkipped - 1 {
		seal(t, a, text(1))
	}
	open(t, b, 0, seal(t, a, text(2)))
}

// withHeader returns the frame with another start and counter in its header.
func withHeader(tb testing.TB, frame []byte, start, counter uint32) []byte {
	tb.Helper()
	h, err := wire.ParseFrameHeader(frame)
	if err != nil {
		tb.Fatal(err)
	}
	h.Start, h.Counter = start, counter
	return append(h.Append(nil), frame[wire.FrameHeaderSize:]...)
}

// burn moves a sender's chain on by n counters without sealing.
func burn(s *Session, n int) {
	for range n {
		s.prf.expand(&s.ck, &s.ck, labelStep, nil)
		s.counter++
	}
}

func TestWindow(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	first := seal(t, a, text(0))
	burn(a, 2999)
	old := seal(t, a, text(3000))           // 3000
	edge := seal(t, a, text(3001))          // 3001
	last := seal(t, a, text(3002))          // 3002
	burn(a, MaxSkipped+3001-int(a.counter)) // up to 5001
	far := seal(t, a, text(5001))

	open(t, b, 0, far)
	if got := b.Progress(); len(got) != 1 || got[0].Next != 5002 || got[0].Floor != 3001 || got[0].Unseen != MaxSkipped {
		t.Errorf("progress: %+v", got)
	}
	for _, frame := range [][]byte{first, old} {
		if _, err := b.Open(signer(0), frame); !errors.Is(err, ErrTooOld) {
			t.Errorf("behind the window: %v, want ErrTooOld", err)
		}
	}
	open(t, b, 0, last)
	b = restart(t, b)
	open(t, b, 0, edge)
	if _, err := b.Open(signer(0), edge); !errors.Is(err, ErrReplay) {
		t.Errorf("the window's edge again: %v", err)
	}
	if _, err := b.Open(signer(0), old); !errors.Is(err, ErrTooOld) {
		t.Errorf("behind the window after a restart: %v", err)
	}
}

func TestTheFarthestStepOpens(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	burn(a, MaxSteps)
	saved, counter := a.ck, a.counter
	burn(a, 1)
	if _, err := b.Open(signer(0), seal(t, a, text(1))); !errors.Is(err, ErrForged) {
		t.Errorf("%d steps: %v, want ErrForged", MaxSteps+1, err)
	}
	a.ck, a.counter = saved, counter
	open(t, b, 0, seal(t, a, text(0)))
}

func TestStarts(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	frames := map[uint32][]byte{}
	late := map[uint32][]byte{}
	for range 80 {
		frames[a.Start()] = seal(t, a, text(int(a.Start())))
		late[a.Start()] = seal(t, a, text(1000+int(a.Start())))
		a = restart(t, a)
	}
	open(t, b, 0, frames[0])
	open(t, b, 0, frames[2])
	open(t, b, 0, frames[70]) // leaves starts 7 to 70 open
	b = restart(t, b)
	for _, start := range []uint32{7, 69, 70, 8} {
		open(t, b, 0, late[start])
		if start != 70 {
			open(t, b, 0, frames[start])
		}
	}
	for _, start := range []uint32{0, 2, 6} {
		if _, err := b.Open(signer(0), late[start]); !errors.Is(err, ErrTooOld) {
			t.Errorf("start %d: %v, want ErrTooOld", start, err)
		}
	}
	if _, err := b.Open(signer(0), frames[70]); !errors.Is(err, ErrReplay) {
		t.Errorf("start 70 again: %v", err)
	}
}

func TestNothingIsSealedBeforeItsStartIsCommitted(t *testing.T) {
	s, err := New(testConfig(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(s *Session) {
		t.Helper()
		if _, err := s.Seal(nil, text(0)); !errors.Is(err, ErrNotCommitted) {
			t.Fatalf("Seal: %v, want ErrNotCommitted", err)
		}
	}
	refused(s)
	c := s.Checkpoint()
	refused(s)
	other, err := Restore(c.Bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	other.Committed(c) // a checkpoint of another run
	refused(other)
	if other.Start() != 1 || s.Start() != 0 {
		t.Errorf("starts %d and %d, want 0 and 1", s.Start(), other.Start())
	}
	s.Committed(c)
	seal(t, s, text(0))

	if other.Dirty() != true {
		t.Error("a restored session has a start to commit")
	}
	other.Committed(other.Checkpoint())
	if other.Dirty() {
		t.Error("dirty after its state was committed")
	}
	open(t, other, 1, seal(t, testSession(t, 1), text(1)))
	if !other.Dirty() {
		t.Error("not dirty after a frame was opened")
	}
}

// TestOwnFrames shows a member its own frames: an echo, and one that only a run with a newer disk can have sealed.
func TestOwnFrames(t *testing.T) {
	a := testSession(t, 0)
	state := a.Checkpoint().Bytes()
	echo := seal(t, a, text(0))
	if _, err := a.Open(signer(0), echo); !errors.Is(err, ErrOwn) {
		t.Errorf("echo: %v, want ErrOwn", err)
	}
	later := restart(t, a)
	ahead := []([]byte){seal(t, later, text(1)), seal(t, restart(t, later), text(2))}
	restored, err := Restore(state, nil) // an old disk: it is in start 1 again, as later was
	if err != nil {
		t.Fatal(err)
	}
	for _, frame := range ahead {
		if _, err := restored.Open(signer(0), frame); !errors.Is(err, ErrBehind) {
			t.Errorf("own frame from the future: %v, want ErrBehind", err)
		}
	}
	if _, err := restored.Open(signer(1), ahead[0]); !errors.Is(err, ErrForged) {
		t.Errorf("the same, signed by another: %v, want ErrForged", err)
	}
	if !restored.Behind(Position{Sender: 0, Start: 1, Counter: 0}) || restored.Behind(Position{Sender: 0, Start: 0, Counter: 9}) ||
		restored.Behind(Position{Sender: 1, Start: 9}) {
		t.Error("Behind is wrong")
	}
}

func TestSealAppends(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	out, err := a.Seal([]byte("before"), text(0))
	if err != nil || !bytes.HasPrefix(out, []byte("before")) {
		t.Fatal(err)
	}
	open(t, b, 0, out[len("before"):])
	if _, err := a.Seal(nil, text(1)); err != nil {
		t.Fatal(err)
	}
	same, again := seal(t, testSession(t, 0), text(0)), seal(t, testSession(t, 0), text(0))
	if bytes.Equal(same, again) {
		t.Error("two frames under one key have one IV")
	}
}

func TestExhaustion(t *testing.T) {
	a := testSession(t, 0)
	a.counter = MaxCounter
	seal(t, a, text(0))
	if _, err := a.Seal(nil, text(1)); !errors.Is(err, ErrExhausted) {
		t.Errorf("behind the last counter: %v, want ErrExhausted", err)
	}
	a.senders[0].next = maxStart + 1
	if _, err := Restore(a.Checkpoint().Bytes(), nil); !errors.Is(err, ErrExhausted) {
		t.Errorf("behind the last start: %v, want ErrExhausted", err)
	}
	a.Erase()
	if _, err := a.Seal(nil, text(1)); !errors.Is(err, ErrErased) {
		t.Errorf("erased: %v", err)
	}
	if _, err := a.Open(signer(1), seal(t, testSession(t, 1), text(1))); !errors.Is(err, ErrErased) {
		t.Errorf("erased: %v", err)
	}
	if a.Dirty() || a.Checkpoint().Bytes() != nil {
		t.Error("an erased session has a state")
	}
}

func TestMissingAndAhead(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	var frames [][]byte
	for i := range 20 {
		frames = append(frames, seal(t, a, text(i)))
	}
	for _, i := range []int{2, 3, 7, 10} {
		open(t, b, 0, frames[i])
	}
	head := func(sender uint16, start, high uint32) wire.Head {
		return wire.Head{Prefix: b.prefix, Sender: sender, Start: start, High: high}
	}
	got := b.Missing(head(0, 0, 19), head(1, 0, 5), head(2, 3, 4), head(9, 0, 1), head(2, MaxStartSteps+1, 0))
	want := []Range{{0, 0, 0, 1}, {0, 0, 4, 6}, {0, 0, 8, 9}, {0, 0, 11, 19}, {2, 3, 0, 4}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := b.Missing(head(0, 0, 3)); len(got) != 1 || got[0] != (Range{0, 0, 0, 1}) {
		t.Errorf("up to 3: %v", got)
	}
	if got := b.Missing(wire.Head{Sender: 0, High: 19}); got != nil {
		t.Errorf("of another session: %v", got)
	}
	for i, want := range map[int]int{5: 0, 10: 0, 11: 0, 12: 1, 19: 8} {
		h, err := wire.ParseFrameHeader(frames[i])
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Ahead(h); got != want {
			t.Errorf("frame %d is ahead by %d, want %d", i, got, want)
		}
	}
	if got := b.Ahead(wire.FrameHeader{Prefix: b.prefix, Sender: 0, Start: 4, Counter: 3000}); got != 3000 {
		t.Errorf("a new start is ahead by %d", got)
	}
}

func TestConfig(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no members":    func(c *Config) { c.Members = nil },
		"self":          func(c *Config) { c.Self = 3 },
		"negative self": func(c *Config) { c.Self = -1 },
		"order":         func(c *Config) { c.Members[0], c.Members[1] = c.Members[1], c.Members[0] },
		"twice":         func(c *Config) { c.Members[1].Role = "A" },
		"role":          func(c *Config) { c.Members[0].Role = "" },
		"identity":      func(c *Config) { c.Members[0].Identity = nil },
	} {
		cfg := testConfig(t, 0)
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
