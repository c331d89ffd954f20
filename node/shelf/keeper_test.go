package shelf

import (
	"crypto/ed25519"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"conclave/overlay/wire"
)

// fakes are a disk and a relay node that may be there.
type fakes struct {
	disk    map[int64]Saved
	ready   bool
	full    bool
	offered []*wire.Store
	dropped []wire.BatchID
}

func (f *fakes) Shelve(s Saved)   { f.disk[s.Seq] = s }
func (f *fakes) Unshelve(n int64) { delete(f.disk, n) }
func (f *fakes) Ready() bool      { return f.ready }
func (f *fakes) ShelfStored(n int64) {
	s := f.disk[n]
	s.Stored = true
	f.disk[n] = s
}

func (f *fakes) Offer(m wire.Message) bool {
	if !f.ready || f.full {
		return false
	}
	f.offered = append(f.offered, m.(*wire.Store))
	return true
}

func (f *fakes) keeper(self ed25519.PublicKey, limits Limits) (*Keeper, *Shelf) {
	s := New(limits)
	var saved []Saved
	for _, seq := range slices.Sorted(maps.Keys(f.disk)) {
		saved = append(saved, f.disk[seq])
	}
	return NewKeeper(KeeperConfig{
		Shelf: s, Disk: f, Relays: f, Self: self, Now: time.Now, Dropped: func(id wire.BatchID) { f.dropped = append(f.dropped, id) },
	}, saved), s
}

// TestKeeperBringsWhatNoRelayNodeHas has a member alone, then restarted, then with a relay node that answers in part, goes,
// and comes back with an empty database.
func TestKeeperBringsWhatNoRelayNodeHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, other := newKey(t), newKey(t)
		self := me.Public().(ed25519.PublicKey)
		f := &fakes{disk: make(map[int64]Saved)}
		k, _ := f.keeper(self, DefaultLimits)
		mine, theirs, flying := sealed(t, me, 0, 0, 0, 0), sealed(t, other, 1, 0, 0, 0), sealed(t, me, 0, 0, 1, 1)
		data, id := marshal(t, mine)
		if !k.Sent(id, data) || !k.Alone() {
			t.Fatal("a batch is not kept")
		}
		k.SetAside(id)
		k.Received(theirs, false)
		k.Received(mine, false) // an echo
		if len(f.disk) != 2 {
			t.Fatalf("%d batches are on disk, want 2", len(f.disk))
		}
		time.Sleep(time.Hour)
		k, shelf := f.keeper(self, DefaultLimits) // after a restart
		f.ready = true
		flyingData, flyingID := marshal(t, flying)
		k.Sent(flyingID, flyingData)
		if len(f.disk) != 2 {
			t.Error("what a relay node is about to get is on disk as well")
		}
		k.Up(false)
		k.Settle()
		if len(f.offered) != 1 || len(f.offered[0].Batches) != 2 {
			t.Fatalf("offered: %d messages", len(f.offered))
		}
		k.Stored(id)
		if !f.disk[1].Stored || f.disk[2].Stored || k.Deadline().IsZero() {
			t.Errorf("on disk: %v, %v; deadline %v", f.disk[1].Stored, f.disk[2].Stored, k.Deadline())
		}
		time.Sleep(bringRetry) // the rest is not answered
		k.Settle()
		if len(f.offered) != 2 || len(f.offered[1].Batches) != 1 {
			t.Fatalf("offered again: %d messages", len(f.offered))
		}
		theirsID := wire.BatchIDOf(f.offered[1].Batches[0])
		k.Refused(wire.RefusedBatch{ID: theirsID, Verdict: wire.VerdictMalformed})
		k.Settle()
		if len(f.offered) != 2 || len(shelf.Unstored(1<<20, func(int64) bool { return false })) != 1 {
			t.Error("what no relay node will ever have is brought again")
		}
		f.ready = false
		k.Down()
		if len(f.disk) != 3 {
			t.Error("what was in flight is not on disk when the relay node goes")
		}
		f.ready = true
		k.Up(true)
		k.Settle()
		if got := f.offered[len(f.offered)-1]; len(got.Batches) != 2 {
			t.Errorf("a new database gets %d batches, want the two that are not in flight", len(got.Batches))
		}
		k.Withdraw(flyingID)
		if len(f.disk) != 2 {
			t.Error("what was withdrawn is still on disk")
		}
		time.Sleep(maxAge)
		if f.keeper(self, DefaultLimits); len(f.disk) != 0 {
			t.Errorf("%d old batches are still on disk", len(f.disk))
		}
	})
}

// TestKeeperMakesRoom has more batches than there is room for: what goes is told, if the outbox does not see to it any more.
func TestKeeperMakesRoom(t *testing.T) {
	t.Parallel()
	me := newKey(t)
	f := &fakes{disk: make(map[int64]Saved)}
	k, _ := f.keeper(me.Public().(ed25519.PublicKey), Limits{Batches: 2, Bytes: 1 << 20})
	var ids []wire.BatchID
	for i := range uint32(4) {
		data, id := marshal(t, sealed(t, me, 0, 0, i, i))
		k.Sent(id, data)
		if i == 0 {
			k.SetAside(id)
		}
		ids = append(ids, id)
	}
	if !slices.Equal(f.dropped, ids[:1]) || len(f.disk) != 2 {
		t.Errorf("told of %d, %d on disk", len(f.dropped), len(f.disk))
	}
	var none *Keeper
	none.Up(true)
	none.Down()
	none.Settle()
	none.Stored(ids[0])
	none.Withdraw(ids[0])
	none.Refused(wire.RefusedBatch{})
	none.Received(wire.Batch{}, true)
	if none.Alone() || none.Sent(ids[0], nil) || !none.Deadline().IsZero() {
		t.Error("a keeper that keeps nothing does something")
	}
}

func marshal(t *testing.T, b wire.Batch) ([]byte, wire.BatchID) {
	t.Helper()
	data, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data, wire.BatchIDOf(data)
}
