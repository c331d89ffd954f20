// Package backlogtest is the conformance suite that every backlog.Store has to pass.
//
// Run makes the store anew for each test and, when the test is over, has it compare index and books with its batches.
// Only tests import this package.
package backlogtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
)

// Open makes an empty store for one test and arranges for it to be closed.
type Open func(t testing.TB, limits backlog.Limits) backlog.Store

// Names of peers in tests. A store does not look into them.
const (
	A = peer.ID("peer A")
	B = peer.ID("peer B")
	C = peer.ID("peer C")
)

var (
	start  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	prefix = wire.Prefix{1, 2, 3}
)

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"Fetch": testFetch, "Idempotent": testIdempotent, "Overlap": testOverlap, "Heads": testHeads, "Deltas": testDeltas,
		"Signers": testSigners, "Control": testControl, "Paging": testPaging, "Age": testAge, "Bytes": testBytes,
		"Batches": testBatches, "Flood": testFlood, "Chains": testChains, "Extremes": testExtremes, "Refused": testRefused,
		"Copies": testCopies, "Concurrent": testConcurrent, "Missing": testMissing, "Ages": testAges,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

// log is a store under test whose calls must succeed.
type log struct {
	*testing.T
	s backlog.Store
}

func newLog(t *testing.T, open Open, limits backlog.Limits) log {
	t.Helper()
	s := open(t, limits)
	t.Cleanup(func() {
		if err := s.Check(context.Background()); err != nil {
			t.Errorf("the store contradicts itself: %v", err)
		}
	})
	return log{t, s}
}

// chainOf is a signer's own chain: its sender index is its letter.
func chainOf(signer peer.ID, start uint32) backlog.Chain {
	return backlog.Chain{Prefix: prefix, Sender: uint16(signer[len(signer)-1] - 'A'), Start: start, Signer: signer}
}

// batch is a batch of one chain with these counters, padded to a size; its text is "<signer><start>:<counters>".
func batch(c backlog.Chain, size int, counters ...uint32) backlog.Entry {
	text := fmt.Sprintf("%s%d:%s", string(c.Signer[len(c.Signer)-1:]), c.Start, strings.Trim(fmt.Sprint(counters), "[]"))
	e := backlog.Entry{Signer: c.Signer, Data: []byte(text + strings.Repeat(".", max(0, size-len(text))))}
	for _, n := range counters {
		e.Frames = append(e.Frames, wire.FrameHeader{Prefix: c.Prefix, Sender: c.Sender, Start: c.Start, Counter: n})
	}
	e.ID = wire.BatchIDOf(e.Data)
	return e
}

func (l log) append(want bool, entries ...backlog.Entry) {
	l.Helper()
	l.appendAt(start, want, entries...)
}

func (l log) appendAt(at time.Time, want bool, entries ...backlog.Entry) {
	l.Helper()
	added, err := l.s.Append(l.Context(), entries, at)
	if err != nil {
		l.Fatalf("Append: %v", err)
	}
	for i, new := range added {
		if new != want {
			l.Errorf("%q: new %v, want %v", entries[i].Data, new, want)
		}
	}
}

func texts(batches [][]byte) string {
	var all []string
	for _, b := range batches {
		all = append(all, strings.TrimRight(string(b), "."))
	}
	return strings.Join(all, ", ")
}

func (l log) wantFetch(c backlog.Chain, from, to uint32, want string) {
	l.Helper()
	batches, more, err := l.s.Fetch(l.Context(), backlog.Range{Chain: c, From: from, To: to}, 1<<20)
	if err != nil || more || texts(batches) != want {
		l.Errorf("Fetch %d to %d: %q, %v, %v; want %q", from, to, texts(batches), more, err, want)
	}
}

func (l log) heads(since int64) (string, int64) {
	l.Helper()
	heads, revision, err := l.s.Heads(l.Context(), since)
	if err != nil {
		l.Fatal(err)
	}
	var all []string
	for _, h := range heads {
		all = append(all, fmt.Sprintf("%s%d:%d-%d", string(h.Signer[len(h.Signer)-1:]), h.Start, h.Low, h.High))
	}
	return strings.Join(all, ", "), revision
}

func (l log) wantHeads(want string) {
	l.Helper()
	if got, _ := l.heads(0); got != want {
		l.Errorf("heads %q, want %q", got, want)
	}
}

func (l log) wantStats(want backlog.Stats) {
	l.Helper()
	if got, err := l.s.Stats(l.Context()); err != nil || got != want {
		l.Errorf("Stats: %+v, %v; want %+v", got, err, want)
	}
}

func testFetch(t *testing.T, open Open) {
	l := newLog(t, open, backlog.DefaultLimits())
	a, b, later := chainOf(A, 0), chainOf(B, 0), chainOf(A, 1)
	other := a
	other.Prefix[7]++
	l.append(true, batch(a, 0, 3, 4), batch(b, 0, 0), batch(a, 0, 0, 1, 2), batch(later, 0, 0), batch(a, 0, 7, 9))
	l.wantFetch(a, 0, 9, "A0:0 1 2, A0:3 4, A0:7 9")
	l.wantFetch(a, 2, 3, "A0:0 1 2, A0:3 4")
	l.wantFetch(a, 4, 4, "A0:3 4")
	l.wantFetch(a, 8, 8, "") // between the two of one batch
	l.wantFetch(a, 5, 6, "")
	l.wantFetch(a, 9, 1<<32-1, "A0:7 9")
	l.wantFetch(a, 4, 3, "")
	l.wantFetch(b, 0, 9, "B0:0")
	l.wantFetch(later, 0, 9, "A1:0")
	l.wantFetch(other, 0, 9, "")
	l.wantStats(backlog.Stats{Batches: 5, Bytes: 8 + 4 + 6 + 4 + 6, Chains: 3, Signers: 2})
}

func testIdempotent(t *testing.T, open Open) {
	l := newLog(t, open, backlog.DefaultLimits())
	e := batch(chainOf(A, 0), 0, 1, 1, 0) // a counter twice in one batch counts once
	l.append(true, e)
	l.append(false, e, e)
	if added, err := l.s.Append(t.Context(), []backlog.Entry{batch(chainOf(B, 0), 0, 5), batch(chainOf(B, 0), 0, 5)}, start); err != nil || !cmp.Equal(added, []bool{true, false}) {
		t.Errorf("twice in one call: %v, %v", added, err)
	}
	l.append(true) // nothing at all
	l.wantHeads("A0:0-1, B0:5-5")
	l.wantStats(backlog.Stats{Batches: 2, Bytes: 8 + 4, Chains: 2, Signers: 2})
}

// testOverlap appends other batches with frames that are here already: they are indexed once.
func testOverlap(t *testing.T, open Open) {
	l := newLog(t, open, backlog.DefaultLimits())
	a := chainOf(A, 0)
	l.append(true, batch(a, 0, 2, 3), batch(a, 0, 6))
	l.append(true, batch(a, 0, 1, 2, 3, 4, 5, 6, 7))
	l.append(false, batch(a, 0, 3, 4))
	l.wantFetch(a, 2, 3, "A0:2 3")
	l.wantFetch(a, 6, 6, "A0:6")
	l.wantFetch(a, 4, 5, "A0:1 2 3 4 5 6 7")
	l.wantFetch(a, 0, 9, "A0:1 2 3 4 5 6 7, A0:2 3, A0:6")
	l.wantHeads("A0:1-7")
}

func testHeads(t *testing.T, open Open) {
	l := newLog(t, open, backlog.DefaultLimits())
	l.wantHeads("")
	l.append(true, batch(chainOf(B, 0), 0, 4), batch(chainOf(A, 1), 0, 0), batch(chainOf(A, 0), 0, 7), batch(chainOf(B, 0), 0, 2))
	l.wantHeads("A0:7-7, A1:0-0, B0:2-4")
	heads, _, err := l.s.Heads(t.Context(), 0)
	if err != nil || len(heads) != 3 {
		t.Fatal(heads, err)
	}
	if want := (wire.Head{Prefix: prefix, Sender: 1, Low: 2, High: 4}); heads[2].Wire() != want {
		t.Errorf("on the wire: %+v, want %+v", heads[2].Wire(), want)
	}
}

func testDeltas(t *testing.T, open Open) {
	limits := backlog.DefaultLimits()
	limits.Batches = 3
	l := newLog(t, open, limits)
	wantSince := func(since int64, want string) int64 {
		t.Helper()
		got, revision := l.heads(since)
		if got != want || revision < since {
			t.Errorf("since %d: %q up to %d, want %q", since, got, revision, want)
		}
		return revision
	}
	zero := wantSince(0, "")
	l.append(true, batch(chainOf(A, 0), 0, 0), batch(chainOf(B, 0), 0, 0))
	one := wantSince(zero, "A0:0-0, B0:0-0")
	wantSince(one, "")
	l.append(false, batch(chainOf(A, 0), 0, 0))
	two := wantSince(one, "")
	l.append(true, batch(chainOf(A, 0), 0, 1))
	wantSince(two, "A0:0-1")
	wantSince(zero, "A0:0-1, B0:0-0")
	three := wantSince(two, "A0:0-1")
	l.append(true, batch(chainOf(A, 0), 0, 2)) // drops A's first
	four := wantSince(three, "A0:1-2")
	if n, err := l.s.Expire(t.Context(), start.Add(limits.Age)); err != nil || n != 3 {
		t.Errorf("Expire: %d, %v", n, err)
	}
	wantSince(four, "")
	l.append(true, batch(chainOf(B, 0), 0, 0))
	wantSince(four, "B0:0-0")
}

// testSigners has B sign batches whose frames name A's chain. They do not get in the way of A's.
func testSigners(t *testing.T, open Open) {
	l := newLog(t, open, backlog.DefaultLimits())
	a := chainOf(A, 0)
	forged := a
	forged.Signer = B
	l.append(true, batch(forged, 0, 0, 1, 2, 3), batch(a, 0, 0, 1))
	l.append(true, batch(a, 0, 2))
	l.wantFetch(a, 0, 9, "A0:0 1, A0:2")
	l.wantFetch(forged, 0, 9, "B0:0 1 2 3")
	anybody := a
	anybody.Signer = ""
	l.wantFetch(anybody, 0, 9, "A0:0 1, B0:0 1 2 3, A0:2")
	l.wantHeads("A0:0-2, B0:0-3")
}

func testControl(t *testing.T, open Open) {
	l := newLog(t, open, backlog.DefaultLimits())
	control := func(signer peer.ID, text string) backlog.Entry {
		return backlog.Entry{ID: wire.BatchIDOf([]byte(text)), Signer: signer, Data: []byte(text)}
	}
	l.append(true, control(A, "one"), batch(chainOf(A, 0), 0, 0), control(B, "two"))
	l.append(false, control(A, "one"))
	l.append(true, control(A, "three"))
	l.append(true, control(B, "four"))
	if s, err := l.s.Stats(t.Context()); err != nil || s.Batches != 5 || s.Chains != 1 || s.Signers != 2 {
		t.Errorf("the log holds %+v, %v", s, err)
	}
	l.wantHeads("A0:0-0")
}

func testPaging(t *testing.T, open Open) {
	l := newLog(t, open, backlog.DefaultLimits())
	a := chainOf(A, 0)
	for i := range uint32(10) {
		l.append(true, batch(a, 100, 2*i, 2*i+1))
	}
	fetch := func(from uint32, maxBytes, want int, wantMore bool) {
		t.Helper()
		batches, more, err := l.s.Fetch(t.Context(), backlog.Range{Chain: a, From: from, To: 1000}, maxBytes)
		if err != nil || len(batches) != want || more != wantMore {
			t.Errorf("from %d with %d bytes: %d batches, %v, %v; want %d, %v", from, maxBytes, len(batches), more, err, want, wantMore)
		}
	}
	fetch(0, 1000, 10, false)
	fetch(0, 999, 9, true)
	fetch(0, 1, 1, true) // always one
	fetch(18, 1, 1, false)
	fetch(5, 250, 2, true)
}

func testAge(t *testing.T, open Open) {
	limits := backlog.DefaultLimits()
	limits.Age = time.Hour
	l := newLog(t, open, limits)
	for i := range uint32(4) {
		l.appendAt(start.Add(time.Duration(i)*time.Minute), true, batch(chainOf(A, 0), 0, i))
	}
	expire := func(at time.Duration, want int) {
		t.Helper()
		if n, err := l.s.Expire(t.Context(), start.Add(at)); err != nil || n != want {
			t.Errorf("Expire after %v: %d, %v; want %d", at, n, err, want)
		}
	}
	expire(time.Hour-time.Millisecond, 0)
	l.wantHeads("A0:0-3")
	expire(time.Hour+time.Minute, 2)
	l.wantHeads("A0:2-3")
	l.wantFetch(chainOf(A, 0), 0, 9, "A0:2, A0:3")
	expire(24*time.Hour, 2)
	l.wantHeads("")
	l.wantStats(backlog.Stats{})
}

func testBytes(t *testing.T, open Open) {
	limits := backlog.DefaultLimits()
	limits.Bytes = 1000
	l := newLog(t, open, limits)
	for i := range uint32(25) {
		l.append(true, batch(chainOf(A, 0), 100, i))
	}
	l.wantHeads("A0:15-24")
	l.append(true, batch(chainOf(A, 0), 950, 25))
	l.wantHeads("A0:25-25")
	l.wantStats(backlog.Stats{Batches: 1, Bytes: 950, Chains: 1, Signers: 1, Dropped: 25})
}

func testBatches(t *testing.T, open Open) {
	limits := backlog.DefaultLimits()
	limits.Batches = 4
	l := newLog(t, open, limits)
	l.append(true, batch(chainOf(A, 0), 0, 0), batch(chainOf(A, 0), 0, 1), batch(chainOf(B, 0), 0, 0), batch(chainOf(B, 0), 0, 1))
	l.append(true, batch(chainOf(A, 0), 0, 2)) // A is above its half now
	l.wantHeads("A0:1-2, B0:0-1")
	l.append(true, batch(chainOf(B, 0), 0, 2), batch(chainOf(B, 0), 0, 3))
	l.wantHeads("A0:1-2, B0:2-3")
}

// testFlood lets one signer append without end: it drops what is its own, and the others keep all within their share.
func testFlood(t *testing.T, open Open) {
	for name, narrow := range map[string]func(*backlog.Limits){
		"bytes":   func(l *backlog.Limits) { l.Bytes = 9000 },
		"batches": func(l *backlog.Limits) { l.Batches = 90 },
	} {
		t.Run(name, func(t *testing.T) {
			limits := backlog.DefaultLimits()
			narrow(&limits)
			l := newLog(t, open, limits)
			for i := range uint32(30) {
				l.append(true, batch(chainOf(B, 0), 100, i), batch(chainOf(C, 0), 100, i))
			}
			for i := range uint32(500) {
				l.append(true, batch(chainOf(A, 0), 100, i))
			}
			l.wantHeads("A0:470-499, B0:0-29, C0:0-29")
			l.append(true, batch(chainOf(B, 0), 100, 30)) // B is above its third now
			l.wantHeads("A0:470-499, B0:1-30, C0:0-29")
		})
	}
}

func testChains(t *testing.T, open Open) {
	limits := backlog.DefaultLimits()
	limits.Chains = 3
	l := newLog(t, open, limits)
	for i := range uint32(3) {
		l.append(true, batch(chainOf(A, i), 0, 0), batch(chainOf(A, i), 0, 1), batch(chainOf(B, i), 0, 0))
	}
	l.wantHeads("A0:0-1, A1:0-1, A2:0-1, B0:0-0, B1:0-0, B2:0-0")
	l.append(true, batch(chainOf(A, 3), 0, 0))
	l.wantHeads("A1:0-1, A2:0-1, A3:0-0, B0:0-0, B1:0-0, B2:0-0")
	hundred := backlog.Entry{Signer: A, Data: []byte("a hundred chains in one batch")}
	for i := range uint32(100) {
		hundred.Frames = append(hundred.Frames, wire.FrameHeader{Prefix: prefix, Start: 1000 + i})
	}
	hundred.ID = wire.BatchIDOf(hundred.Data)
	l.append(true, hundred) // more than may be: it goes itself
	l.wantHeads("B0:0-0, B1:0-0, B2:0-0")
}

func testExtremes(t *testing.T, open Open) {
	const top = 1<<32 - 1
	l := newLog(t, open, backlog.DefaultLimits())
	c := backlog.Chain{Prefix: wire.Prefix{255, 255, 255, 255, 255, 255, 255, 255}, Sender: 1<<16 - 1, Start: top, Signer: A}
	l.append(true, batch(c, 0, top-1, top), batch(c, 0, 0))
	l.append(false, batch(c, 0, top))
	l.wantFetch(c, top, top, fmt.Sprintf("A%d:%d %d", uint32(top), uint32(top-1), uint32(top)))
	var long []uint32
	for i := range uint32(1000) { // more than one batch holds; a store need not rely on it
		long = append(long, 1000+i)
	}
	l.append(true, batch(c, 0, long...))
	l.append(false, batch(c, 0, 1000, 1999, 1500))
	if batches, _, err := l.s.Fetch(t.Context(), backlog.Range{Chain: c, From: 1700, To: 1700}, 1); err != nil || len(batches) != 1 {
		t.Errorf("within a long run: %d batches, %v", len(batches), err)
	}
}

func testRefused(t *testing.T, open Open) {
	limits := backlog.DefaultLimits()
	limits.Batch = 50
	l := newLog(t, open, limits)
	if _, err := l.s.Append(t.Context(), []backlog.Entry{batch(chainOf(A, 0), 50, 0), batch(chainOf(A, 0), 51, 1)}, start); !errors.Is(err, backlog.ErrTooLarge) {
		t.Errorf("too large a batch: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.s.Append(ctx, []backlog.Entry{batch(chainOf(A, 0), 0, 2)}, start); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
	l.wantHeads("")
}

func testCopies(t *testing.T, open Open) {
	l := newLog(t, open, backlog.DefaultLimits())
	e := batch(chainOf(A, 0), 0, 0)
	l.append(true, e)
	copy(e.Data, "XXXX")
	batches, _, err := l.s.Fetch(t.Context(), backlog.Range{Chain: chainOf(A, 0)}, 1)
	if err != nil || texts(batches) != "A0:0" {
		t.Fatalf("Fetch: %q, %v", texts(batches), err)
	}
	copy(batches[0], "XXXX")
	l.wantFetch(chainOf(A, 0), 0, 0, "A0:0")
}

func testConcurrent(t *testing.T, open Open) {
	const signers, each = 8, 40
	l := newLog(t, open, backlog.DefaultLimits())
	var wg sync.WaitGroup
	for s := range signers {
		wg.Go(func() {
			c := chainOf(peer.ID("peer "+string(rune('A'+s))), 0)
			for i := range uint32(each) {
				for try := range 2 {
					added, err := l.s.Append(t.Context(), []backlog.Entry{batch(c, 0, i)}, start)
					if err != nil || added[0] != (try == 0) {
						t.Errorf("Append: %v, %v", added, err)
					}
				}
				if _, _, err := l.s.Heads(t.Context(), 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	l.wantHeads("A0:0-39, B0:0-39, C0:0-39, D0:0-39, E0:0-39, F0:0-39, G0:0-39, H0:0-39")
}
