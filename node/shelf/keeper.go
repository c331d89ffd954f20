package shelf

import (
	"bytes"
	"crypto/ed25519"
	"time"

	"conclave/overlay/wire"
)

const (
	// bringRetry is the wait for the answer to a Store that brings a relay node what it has not got, and after one that
	// could not be sent or was refused.
	bringRetry = 5 * time.Second
	// maxAge is how long batches are kept on disk: as long as the sessions that open them.
	maxAge = 14 * 24 * time.Hour
	// storeBytes bounds one Store message. Half a session message leaves room for one batch more.
	storeBytes = wire.MaxSessionMessage / 2
)

// Saved is a batch as it is on disk.
type Saved struct {
	Seq    int64
	Data   []byte
	At     time.Time // when it was put in, to the millisecond
	Stored bool      // a relay node holds it
}

// Disk is what survives the process. What is written together with other things is committed with them, in order.
type Disk interface {
	// Shelve keeps a batch.
	Shelve(Saved)
	// ShelfStored notes that a relay node holds a batch.
	ShelfStored(seq int64)
	// Unshelve removes a batch.
	Unshelve(seq int64)
}

// Relays are the relay nodes that take requests.
type Relays interface {
	// Ready reports whether there is one.
	Ready() bool
	// Offer queues a request for the main one, and reports whether there was room.
	Offer(wire.Message) bool
}

// KeeperConfig is what a Keeper is made of. All fields are given.
type KeeperConfig struct {
	Shelf  *Shelf
	Disk   Disk
	Relays Relays
	Self   ed25519.PublicKey
	Now    func() time.Time // dates what is on disk
	// Dropped is told that a batch of this member, which was not in flight any more, had to make room.
	Dropped func(wire.BatchID)
}

// Keeper keeps a member's own batches and those of others on the shelf, on disk as well while no relay node is there, and
// brings the next relay node what none holds. A nil Keeper keeps nothing: the relay nodes' backlogs do. It belongs to its
// owner's goroutine.
type Keeper struct {
	cfg  KeeperConfig
	own  map[int64]*ownBatch
	byID map[wire.BatchID]*ownBatch // the same

	bringing map[wire.BatchID]int64 // to the relay node, and not answered yet
	next     time.Time              // when to go on with it
}

// ownBatch is a batch of this member that no relay node has acknowledged.
type ownBatch struct {
	seq      int64
	id       wire.BatchID
	inFlight bool // the outbox sees to it that a relay node gets it
}

// NewKeeper returns a keeper, with what is on disk on the shelf.
func NewKeeper(cfg KeeperConfig, saved []Saved) *Keeper {
	k := &Keeper{
		cfg: cfg, own: make(map[int64]*ownBatch), byID: make(map[wire.BatchID]*ownBatch), bringing: make(map[wire.BatchID]int64),
	}
	for _, one := range saved {
		b, err := wire.ParseBatch(one.Data)
		if err != nil || cfg.Now().Sub(one.At) > maxAge {
			cfg.Disk.Unshelve(one.Seq)
			continue
		}
		seq, gone := cfg.Shelf.Put(b, one.Seq, bytes.Equal(b.Sender, cfg.Self))
		if seq == 0 {
			cfg.Disk.Unshelve(one.Seq)
			continue
		}
		cfg.Shelf.SetKept(seq)
		if one.Stored {
			cfg.Shelf.SetStored(seq)
		}
		k.dropped(gone)
	}
	return k
}

// Alone reports whether batches are kept and no relay node is there to store them.
func (k *Keeper) Alone() bool { return k != nil && !k.cfg.Relays.Ready() }

// Sent keeps a batch of this member that is in flight, and reports whether it did.
func (k *Keeper) Sent(id wire.BatchID, data []byte) bool {
	if k == nil {
		return false
	}
	b, err := wire.ParseBatch(data)
	if err != nil {
		return false
	}
	seq, gone := k.cfg.Shelf.Put(b, 0, true)
	k.dropped(gone)
	if seq == 0 {
		return false
	}
	own := &ownBatch{seq: seq, id: id, inFlight: true}
	k.own[seq], k.byID[id] = own, own
	if k.Alone() {
		k.write(seq)
	}
	return true
}

// Received keeps a verified batch of another member. stored says that a relay node has it.
func (k *Keeper) Received(b wire.Batch, stored bool) {
	if k == nil || b.Kind != wire.BatchFrames || bytes.Equal(b.Sender, k.cfg.Self) {
		return
	}
	seq, gone := k.cfg.Shelf.Put(b, 0, false)
	k.dropped(gone)
	switch {
	case seq == 0:
	case stored:
		k.cfg.Shelf.SetStored(seq)
	default:
		k.write(seq)
	}
}

// write has a batch on disk soon, and before whatever is committed later.
func (k *Keeper) write(seq int64) {
	if entry, news := k.cfg.Shelf.SetKept(seq); news {
		k.cfg.Disk.Shelve(Saved{Seq: seq, Data: entry.Data, At: k.cfg.Now(), Stored: entry.Stored})
	}
}

// dropped forgets what had to make room.
func (k *Keeper) dropped(gone []Entry) {
	for _, entry := range gone {
		if entry.Kept {
			k.cfg.Disk.Unshelve(entry.Seq)
		}
		if own := k.own[entry.Seq]; own != nil {
			k.forget(own)
			if !own.inFlight {
				k.cfg.Dropped(own.id)
			}
		}
	}
}

func (k *Keeper) forget(own *ownBatch) {
	delete(k.own, own.seq)
	delete(k.byID, own.id)
}

// Withdraw forgets a batch whose messages are sealed again: nobody is to get it any more.
func (k *Keeper) Withdraw(id wire.BatchID) {
	if k == nil || k.byID[id] == nil {
		return
	}
	if entry, ok := k.cfg.Shelf.Remove(k.byID[id].seq); ok {
		k.dropped([]Entry{entry})
	}
}

// SetAside says that a batch is not in flight any more, though no relay node has acknowledged it: the keeper brings it to the
// next one.
func (k *Keeper) SetAside(id wire.BatchID) {
	if own := k.byID[id]; own != nil {
		own.inFlight = false
	}
}

// Up begins to bring a relay node what none holds. After a new database none holds anything.
func (k *Keeper) Up(newDatabase bool) {
	if k == nil {
		return
	}
	clear(k.bringing)
	k.next = time.Now()
	if newDatabase {
		k.cfg.Shelf.Unstore()
	}
}

// Down writes down what the relay node that is gone may not have got.
func (k *Keeper) Down() {
	if k == nil {
		return
	}
	clear(k.bringing)
	for seq, own := range k.own {
		if own.inFlight {
			k.write(seq)
		}
	}
}

// Settle brings the relay node the next of what it has not got. What is in flight goes its own way.
func (k *Keeper) Settle() {
	if k == nil || !k.cfg.Relays.Ready() || k.next.IsZero() || time.Now().Before(k.next) {
		return
	}
	clear(k.bringing)
	k.next = time.Time{}
	list := k.cfg.Shelf.Unstored(storeBytes, func(seq int64) bool { own := k.own[seq]; return own != nil && own.inFlight })
	if len(list) == 0 {
		return
	}
	m := &wire.Store{}
	for _, entry := range list {
		m.Batches = append(m.Batches, entry.Data)
		k.bringing[wire.BatchIDOf(entry.Data)] = entry.Seq
	}
	k.next = time.Now().Add(bringRetry)
	if !k.cfg.Relays.Offer(m) {
		clear(k.bringing)
	}
}

// Stored is told that a relay node holds a batch.
func (k *Keeper) Stored(id wire.BatchID) {
	if k == nil {
		return
	}
	seq, brought := k.bringing[id]
	if own := k.byID[id]; own != nil {
		seq = own.seq
		k.forget(own)
	}
	if entry, news := k.cfg.Shelf.SetStored(seq); news && entry.Kept {
		k.cfg.Disk.ShelfStored(seq)
	}
	if delete(k.bringing, id); brought && len(k.bringing) == 0 {
		k.next = time.Now() // for the rest
	}
}

// Refused is told that a relay node will not have a batch. What it will never have is not brought again.
func (k *Keeper) Refused(r wire.RefusedBatch) {
	if k == nil {
		return
	}
	if _, brought := k.bringing[r.ID]; brought && r.Verdict == wire.VerdictMalformed {
		k.Stored(r.ID)
	}
}

// Deadline returns when Settle has something to do; zero: not before something happens.
func (k *Keeper) Deadline() time.Time {
	if k == nil || !k.cfg.Relays.Ready() {
		return time.Time{}
	}
	return k.next
}
