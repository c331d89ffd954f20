package node

import (
	"bytes"
	"time"

	"conclave/node/shelf"
	"conclave/node/state"
	"conclave/overlay/wire"
)

const (
	// asidePatience is how long a batch counts as on its way while there is no relay node that could store it and nobody
	// acknowledges it. Arbitrary: members acknowledge within a fraction of a second.
	asidePatience = 5 * time.Second
	// bringRetry is the wait for the answer to a Store that brings a relay node what it has not got, and after one that
	// could not be sent or was refused.
	bringRetry = 5 * time.Second
	// shelfAge is how long batches are kept on disk: as long as the sessions that open them.
	shelfAge = 14 * 24 * time.Hour
)

// keeper keeps batches at hand for other members, and for the next relay node. While none is there they are on disk as
// well. Without a LAN it keeps nothing: the relay nodes' backlogs do.
type keeper struct {
	e     *engine
	shelf *shelf.Shelf // nil: nothing is kept
	own   map[int64]*sealed

	bringing map[wire.BatchID]int64 // to the relay node, and not answered yet
	next     time.Time              // when to go on with it
}

func newKeeper(e *engine, saved []state.Shelved) keeper {
	k := keeper{e: e, own: make(map[int64]*sealed), bringing: make(map[wire.BatchID]int64)}
	if e.cfg.LAN == nil {
		return k
	}
	k.shelf = shelf.New(shelf.DefaultLimits)
	e.n.shelf = k.shelf
	for _, one := range saved {
		b, err := wire.ParseBatch(one.Data)
		if err != nil || e.cfg.Now().Sub(one.At) > shelfAge {
			e.ledger.Change().Unshelve(one.Seq)
			continue
		}
		seq, gone := k.shelf.Put(b, one.Seq, bytes.Equal(b.Sender, identityKey(e.cfg.Identity)))
		if seq == 0 {
			e.ledger.Change().Unshelve(one.Seq)
			continue
		}
		k.shelf.SetKept(seq)
		if one.Stored {
			k.shelf.SetStored(seq)
		}
		k.dropped(gone)
	}
	return k
}

// alone reports whether batches are kept and no relay node is there to store them.
func (k *keeper) alone() bool { return k.shelf != nil && !k.e.relays.Ready() }

// sent keeps a batch of this member.
func (k *keeper) sent(s *sealed) {
	if k.shelf == nil {
		return
	}
	b, err := wire.ParseBatch(s.data)
	if err != nil {
		return
	}
	seq, gone := k.shelf.Put(b, 0, true)
	k.dropped(gone)
	if seq == 0 {
		return
	}
	s.seq = seq
	k.own[seq] = s
	if k.alone() {
		k.write(seq)
	}
}

// received keeps a verified batch of another member. stored says that a relay node has it.
func (k *keeper) received(b wire.Batch, stored bool) {
	if k.shelf == nil || b.Kind != wire.BatchFrames || bytes.Equal(b.Sender, identityKey(k.e.cfg.Identity)) {
		return
	}
	seq, gone := k.shelf.Put(b, 0, false)
	k.dropped(gone)
	switch {
	case seq == 0:
	case stored:
		k.shelf.SetStored(seq)
	default:
		k.write(seq)
	}
}

// write has a batch on disk soon, and before whatever is committed later.
func (k *keeper) write(seq int64) {
	if entry, news := k.shelf.SetKept(seq); news {
		k.e.ledger.Change().Shelve(state.Shelved{Seq: seq, Data: entry.Data, At: k.e.cfg.Now(), Stored: entry.Stored})
		k.e.ledger.Soon()
	}
}

// dropped forgets what had to make room.
func (k *keeper) dropped(gone []shelf.Entry) {
	for _, entry := range gone {
		if entry.Kept {
			k.e.ledger.Change().Unshelve(entry.Seq)
			k.e.ledger.Soon()
		}
		if s := k.own[entry.Seq]; s != nil && s.aside {
			delete(k.e.outbox.byID, s.id)
		}
		delete(k.own, entry.Seq)
	}
}

// withdrawn forgets a batch whose messages are sealed again: nobody is to get it any more.
func (k *keeper) withdrawn(s *sealed) {
	if s.seq == 0 {
		return
	}
	if entry, ok := k.shelf.Remove(s.seq); ok {
		k.dropped([]shelf.Entry{entry})
	}
}

// up begins to bring a relay node what none holds.
func (k *keeper) up(newDatabase bool) {
	clear(k.bringing)
	k.next = time.Now()
	if newDatabase && k.shelf != nil {
		k.shelf.Unstore()
	}
}

// down writes down what the relay node that is gone may not have got.
func (k *keeper) down() {
	clear(k.bringing)
	if k.shelf == nil {
		return
	}
	for _, s := range k.e.outbox.flying {
		if s.seq != 0 {
			k.write(s.seq)
		}
	}
}

// settle brings the relay node the next of what it has not got. What flies goes its own way.
func (k *keeper) settle() {
	if k.shelf == nil || !k.e.relays.Ready() || k.next.IsZero() || time.Now().Before(k.next) {
		return
	}
	clear(k.bringing)
	k.next = time.Time{}
	list := k.shelf.Unstored(storeBytes, func(seq int64) bool { s := k.own[seq]; return s != nil && !s.aside })
	if len(list) == 0 {
		return
	}
	m := &wire.Store{}
	for _, entry := range list {
		m.Batches = append(m.Batches, entry.Data)
		k.bringing[wire.BatchIDOf(entry.Data)] = entry.Seq
	}
	k.next = time.Now().Add(bringRetry)
	if !k.e.relays.Offer(m) {
		clear(k.bringing)
	}
}

// stored is told that a relay node holds a batch.
func (k *keeper) stored(id wire.BatchID) {
	if k.shelf == nil {
		return
	}
	seq, brought := k.bringing[id]
	if s := k.e.outbox.byID[id]; s != nil {
		seq = s.seq
	}
	if entry, news := k.shelf.SetStored(seq); news && entry.Kept {
		k.e.ledger.Change().ShelfStored(seq)
		k.e.ledger.Soon()
	}
	delete(k.own, seq)
	if delete(k.bringing, id); brought && len(k.bringing) == 0 {
		k.next = time.Now() // for the rest
	}
}

// refused is told that a relay node will not have a batch. What it will never have is not brought again.
func (k *keeper) refused(r wire.RefusedBatch) {
	if _, brought := k.bringing[r.ID]; brought && r.Verdict == wire.VerdictMalformed {
		k.stored(r.ID)
	}
}

func (k *keeper) deadline() time.Time {
	if k.shelf == nil || !k.e.relays.Ready() {
		return time.Time{}
	}
	return k.next
}

// relieve lets what no relay node can store make room for what comes: it is on the shelf, where others find it, and is
// brought to the next relay node.
func (o *outbox) relieve() {
	if !o.e.keep.alone() {
		return
	}
	now := time.Now()
	for i := 0; i < len(o.flying); {
		s := o.flying[i]
		if s.seq == 0 || !o.answered(s) && now.Before(s.flown.Add(asidePatience)) {
			i++
			continue
		}
		o.land(s)
		s.aside = true
		o.byID[s.id] = s // a relay node may store it yet
	}
}

// answered reports whether nothing in a batch waits for anybody.
func (o *outbox) answered(s *sealed) bool {
	for _, m := range s.texts {
		if o.open[m.ID] != nil {
			return false
		}
	}
	return true
}

// relief returns when relieve has something to do that nothing else tells of.
func (o *outbox) relief() (due time.Time) {
	if !o.e.keep.alone() {
		return due
	}
	for _, s := range o.flying {
		if s.seq != 0 {
			due = sooner(due, s.flown.Add(asidePatience))
		}
	}
	return due
}
