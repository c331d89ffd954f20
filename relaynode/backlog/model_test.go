package backlog_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"

	"conclave/overlay/durable"
	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
	"conclave/relaynode/backlog/backlogtest"
)

// TestBothAgree does the same random things to a log in memory and to one in a database, whose memory is thrown away now
// and then, and gets the same answers.
func TestBothAgree(t *testing.T) {
	limits := backlog.Limits{Age: 20 * time.Minute, Bytes: 300, Batches: 12, Chains: 4, Batch: 100}
	var dropped int64
	rapid.Check(t, func(t *rapid.T) {
		db, err := durable.OpenMemory([]durable.Schema{backlog.Schema()}, durable.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		ctx := t.Context()
		one, two := backlogtest.NewMemory(limits), backlog.NewSQLite(db, limits)
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		same := func(what string, a, b any, errs ...error) {
			for _, err := range errs {
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			if diff := cmp.Diff(a, b); diff != "" {
				t.Fatalf("%s (-memory +database):\n%s", what, diff)
			}
		}
		entry := rapid.Custom(func(t *rapid.T) backlog.Entry {
			e := backlog.Entry{Signer: rapid.SampledFrom([]peer.ID{"A", "B", "C"}).Draw(t, "signer")}
			for range rapid.IntRange(0, 3).Draw(t, "runs") {
				f := wire.FrameHeader{Sender: uint16(rapid.IntRange(0, 1).Draw(t, "sender")), Start: uint32(rapid.IntRange(0, 2).Draw(t, "start"))}
				first := rapid.IntRange(0, 30).Draw(t, "first")
				for i := range rapid.IntRange(1, 4).Draw(t, "frames") {
					f.Counter = uint32(first + i)
					e.Frames = append(e.Frames, f)
				}
			}
			e.Data = fmt.Appendf(nil, "%s %d %v", string(e.Signer), rapid.IntRange(0, 9).Draw(t, "salt"), e.Frames)
			e.ID = wire.BatchIDOf(e.Data)
			e.Data = e.Data[:min(len(e.Data), rapid.IntRange(10, 60).Draw(t, "size"))]
			return e
		})
		heads := func(s backlog.Store) []backlog.Head {
			h, _, err := s.Heads(ctx, 0)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				entries := rapid.SliceOfN(entry, 1, 4).Draw(t, "entries")
				a, err1 := one.Append(ctx, entries, now)
				b, err2 := two.Append(ctx, entries, now)
				same("new", a, b, err1, err2)
			},
			"fetch": func(t *rapid.T) {
				r := backlog.Range{From: uint32(rapid.IntRange(0, 35).Draw(t, "from")), To: uint32(rapid.IntRange(0, 35).Draw(t, "to"))}
				r.Sender, r.Start = uint16(rapid.IntRange(0, 1).Draw(t, "sender")), uint32(rapid.IntRange(0, 2).Draw(t, "start"))
				r.Signer = rapid.SampledFrom([]peer.ID{"A", "B", "C", ""}).Draw(t, "signer")
				most := rapid.IntRange(1, 200).Draw(t, "bytes")
				a, more1, err1 := one.Fetch(ctx, r, most)
				b, more2, err2 := two.Fetch(ctx, r, most)
				same("fetched", a, b, err1, err2)
				same("more", more1, more2)
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 10).Draw(t, "minutes")) * time.Minute)
				a, err1 := one.Expire(ctx, now)
				b, err2 := two.Expire(ctx, now)
				same("expired", a, b, err1, err2)
			},
			"restart": func(*rapid.T) { two = backlog.NewSQLite(db, limits) },
			"": func(*rapid.T) {
				same("heads", heads(one), heads(two), one.Check(ctx), two.Check(ctx))
				c, err1 := one.Stats(ctx)
				d, err2 := two.Stats(ctx)
				dropped += c.Dropped
				c.Dropped, d.Dropped = 0, 0 // counted since each was opened
				same("stats", c, d, err1, err2)
			},
		})
	})
	if dropped == 0 && !testing.Short() {
		t.Error("the log was never too large")
	}
}
