package delivery

import (
	"slices"
	"time"

	"conclave/node/deadline"
	"conclave/overlay/backoff"
	"conclave/overlay/wire"
)

const (
	// maxFlying and maxFlyingBytes bound the batches that nobody has acknowledged. When they are reached the outbox
	// waits, and what waits goes together in larger batches.
	maxFlying      = 64
	maxFlyingBytes = 4 << 20
	// storeBytes bounds one Store message. Half a session message leaves room for one batch more.
	storeBytes = wire.MaxSessionMessage / 2
	// storeMax is the longest wait between two Stores of one batch; the wait doubles up to it.
	storeMax = 30 * time.Second
	// storeExtra is how much longer at most a batch waits because others are on their way before it. Arbitrary.
	storeExtra = 4 * time.Second
	// doubtBytes is how much may be on its way for a late batch to say something about the topic: on a slow line what is
	// large is late.
	doubtBytes = 8 << 10
	// maxKept and maxKeptBytes bound the stored batches that are kept for a relay node that lost its database.
	maxKept      = 1024
	maxKeptBytes = 8 << 20
	// asidePatience is how long a batch counts as on its way while there is no relay node that could store it and nobody
	// acknowledges it. Arbitrary: members acknowledge within a fraction of a second.
	asidePatience = 5 * time.Second
)

// flights are the sealed batches on their way to a relay node's backlog.
type flights struct {
	cfg      *Config
	emit     func(Output)
	answered func([]Message) bool // nobody waits for an acknowledgement of these

	list  []*flight // in the order in which they were sealed
	byID  map[wire.BatchID]*flight
	bytes int

	kept      [][]byte // stored batches, newest last
	keptBytes int
	relay     bool // one takes requests
}

// flight is a batch that no relay node has acknowledged yet.
type flight struct {
	id      wire.BatchID
	data    []byte
	session *session
	texts   []Message
	acks    []ack
	last    place     // of the last text before it
	end     place     // of its last text
	due     time.Time // when it goes over the session stream
	tries   int
	again   bool      // it goes over the session because a link came up, not because an acknowledgement stayed away
	begun   time.Time // when it was published
	shelved bool      // others find it on the shelf
	aside   bool      // it is waited for no more, though no relay node has acknowledged it
}

// messages returns the IDs of a batch's texts.
func (f *flight) messages() []wire.MessageID {
	ids := make([]wire.MessageID, 0, len(f.texts))
	for _, m := range f.texts {
		ids = append(ids, m.ID)
	}
	return ids
}

func newFlights(cfg *Config, emit func(Output)) *flights {
	return &flights{cfg: cfg, emit: emit, byID: make(map[wire.BatchID]*flight)}
}

// full reports whether as much is on its way as may be.
func (f *flights) full() bool { return len(f.list) >= maxFlying || f.bytes >= maxFlyingBytes }

// others reports whether something flies that was sealed under another session.
func (f *flights) others(s *session) bool {
	return slices.ContainsFunc(f.list, func(x *flight) bool { return x.session != s })
}

// begin publishes a sealed batch and waits for its acknowledgement.
func (f *flights) begin(x *flight, now time.Time) {
	x.id, x.begun = wire.BatchIDOf(x.data), now
	x.due = now.Add(f.cfg.Timing.StoreAfter + min(f.cfg.LineTime(f.bytes+len(x.data))/4, storeExtra))
	f.list = append(f.list, x)
	f.byID[x.id] = x
	f.bytes += len(x.data)
	f.emit(Publish{x.id, x.data})
	f.sealed(x, false)
}

// notPublished has a batch go over the session stream.
func (f *flights) notPublished(id wire.BatchID, now time.Time) {
	if x := f.byID[id]; x != nil {
		x.due = now
	}
}

// shelved is told that others find a batch here.
func (f *flights) shelved(id wire.BatchID) {
	if x := f.byID[id]; x != nil {
		x.shelved = true
	}
}

// unshelved forgets a batch that was set aside.
func (f *flights) unshelved(id wire.BatchID) {
	if x := f.byID[id]; x != nil && x.aside {
		delete(f.byID, id)
	}
}

// settle hands over what was not acknowledged in time. unheard is how many bytes the relay node has not answered.
func (f *flights) settle(unheard int, now time.Time) {
	var due []*flight
	size := 0
	for _, x := range f.list {
		if now.Before(x.due) {
			continue
		}
		if size > 0 && size+len(x.data) > storeBytes {
			break
		}
		due = append(due, x)
		size += len(x.data)
	}
	if len(due) == 0 {
		return
	}
	store := Store{}
	for _, x := range due {
		store.IDs, store.Batches = append(store.IDs, x.id), append(store.Batches, x.data)
		x.due = now.Add(backoff.Wait(f.cfg.Timing.StoreAfter, storeMax, x.tries) + f.cfg.LineTime(size+unheard))
	}
	if f.relay {
		f.emit(store)
	}
}

// handedOver is told that batches are on their way over the session stream.
func (f *flights) handedOver(ids []wire.BatchID) {
	for _, id := range ids {
		if x := f.byID[id]; x != nil {
			x.tries++
			f.sealed(x, true)
		}
	}
}

// sealed tells that a batch with texts goes out, again if it did before.
func (f *flights) sealed(x *flight, again bool) {
	if len(x.texts) > 0 {
		f.emit(Sealed{IDs: x.messages(), Batch: x.id, Epoch: x.session.Epoch, Bytes: len(x.data), Again: again})
	}
}

// relayUp has what the relay node may not have got go over the session stream at once. After a new database everything that
// is still at hand does.
func (f *flights) relayUp(newDatabase bool, now time.Time) {
	for _, x := range f.list {
		x.due, x.tries, x.again = now, 0, true
	}
	if !newDatabase {
		return
	}
	var some [][]byte
	size := 0
	for _, data := range f.kept { // defence: new-database
		if size > 0 && size+len(data) > storeBytes {
			f.emit(Store{Batches: some})
			some, size = nil, 0
		}
		some = append(some, data)
		size += len(data)
	}
	if len(some) > 0 {
		f.emit(Store{Batches: some})
	}
}

// hurry has everything go over the session stream now.
func (f *flights) hurry(now time.Time) {
	for _, x := range f.list {
		x.due, x.again = now, true
	}
}

// refused takes in which batches a relay node will not have. Its reasons may pass (a full disk, an older roster).
func (f *flights) refused(list []wire.RefusedBatch, now time.Time) {
	for _, r := range list {
		if x := f.byID[r.ID]; x != nil {
			x.due = now.Add(storeMax)
			f.cfg.Log.Warn("the relay node refuses a batch", "verdict", r.Verdict)
			f.emit(Refused{x.messages(), r.Verdict})
		}
	}
}

// land takes out a batch that a relay node holds, and returns it; nil if it is none of these.
func (f *flights) land(id wire.BatchID) *flight {
	x := f.byID[id]
	if x != nil {
		f.remove(x)
	}
	return x
}

func (f *flights) remove(x *flight) {
	delete(f.byID, x.id)
	if x.aside {
		return
	}
	f.list = slices.DeleteFunc(f.list, func(y *flight) bool { return y == x })
	f.bytes -= len(x.data)
}

// keep keeps a stored batch for a relay node that lost its database.
func (f *flights) keep(data []byte) {
	f.kept = append(f.kept, data)
	f.keptBytes += len(data)
	for len(f.kept) > maxKept || f.keptBytes > maxKeptBytes {
		f.keptBytes -= len(f.kept[0])
		f.kept = f.kept[1:]
	}
}

// withdraw takes back what flies under the sessions that which names, the newest first.
func (f *flights) withdraw(which func(*session) bool) (list []*flight) {
	for _, x := range slices.Backward(slices.Clone(f.list)) {
		if which(x.session) {
			f.remove(x)
			f.emit(Withdraw{x.id})
			list = append(list, x)
		}
	}
	return list
}

// alone reports whether batches are kept for others and no relay node is there to store them.
func (f *flights) alone() bool { return f.cfg.Shelf && !f.relay }

// relieve lets what no relay node can store make room for what comes: it is on the shelf, where others find it, and is
// brought to the next relay node.
func (f *flights) relieve(now time.Time) {
	if !f.alone() {
		return
	}
	for i := 0; i < len(f.list); {
		x := f.list[i]
		if !x.shelved || !f.answered(x.texts) && now.Before(x.begun.Add(asidePatience)) { // defence: aside-answered
			i++
			continue
		}
		f.remove(x)
		x.aside = true
		f.emit(SetAside{x.id})
		f.byID[x.id] = x // a relay node may store it yet
	}
}

func (f *flights) deadline() (due time.Time) {
	for _, x := range f.list {
		due = deadline.Sooner(due, x.due)
		if x.shelved && f.alone() {
			due = deadline.Sooner(due, x.begun.Add(asidePatience))
		}
	}
	return due
}
