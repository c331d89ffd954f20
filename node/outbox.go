package node

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"time"

	"conclave/node/deadline"
	"conclave/node/frame"
	"conclave/node/keyagreement"
	"conclave/node/state"
	"conclave/node/uplink"
	"conclave/overlay/backoff"
	"conclave/overlay/batch"
	"conclave/overlay/wire"
)

const (
	// maxFlying and maxFlyingBytes bound the batches that no relay node has acknowledged. When they are reached the
	// outbox waits, and what waits goes together in larger batches.
	maxFlying      = 64
	maxFlyingBytes = 4 << 20
	// maxSeals bounds the batches that are sealed in one turn of the engine: what arrives does not wait for all that
	// is to be sent. Arbitrary.
	maxSeals = 4
	// storeBytes bounds one Store message. Half a session message leaves room for one batch more.
	storeBytes = wire.MaxSessionMessage / 2
	// storeMax is the longest wait between two Stores of one batch; the wait doubles up to it.
	storeMax = 30 * time.Second
	// storeExtra is how much longer at most a batch waits because others are on their way before it. Arbitrary.
	storeExtra = 4 * time.Second
	// switchWait is how long the first message under a new session waits for what was sent under the old one to be
	// stored, so that whoever fetches finds it all.
	switchWait = 3 * time.Second
	// maxFrames is how many frames are sent under one start before a new epoch is asked for.
	maxFrames = 1 << 20
	// maxKept and maxKeptBytes bound the stored batches that are kept for a relay node that lost its database.
	maxKept      = 1024
	maxKeptBytes = 8 << 20
)

// outbox is what leaves: messages on their way to a relay node's backlog.
type outbox struct {
	e *engine

	queue  []item // waits to be sealed, in order; acknowledgements come first
	urgent []owed
	more   bool                        // the last turn left something that may go
	open   map[wire.MessageID]*pending // messages that are not acknowledged
	saved  []state.Outgoing            // of the state file, to be announced

	flying      []*sealed // in the order in which they were sealed
	byID        map[wire.BatchID]*sealed
	flyingBytes int
	after       time.Time // until then what flies under another session is waited for
	last        place     // of the last text

	kept      [][]byte // stored batches, newest last
	keptBytes int
	flushes   []flush
}

// pending is a message that is not acknowledged.
type pending struct {
	state.Outgoing
	told bool // its Queued event was published
}

// item is a message that waits.
type item struct{ state.Outgoing }

// place is where the next frame of a session goes.
type place struct {
	session wire.Prefix // zeros: no session
	next    frame.Position
}

// after returns the place after what was sent under a session.
func after(ch *chat) place { return place{ch.about.Transcript.Prefix(), ch.frames.Next()} }

// sealed is a batch that no relay node has acknowledged yet.
type sealed struct {
	id    wire.BatchID
	data  []byte
	chat  *chat
	texts []item
	acks  []owed
	last  place     // of the last text before it
	due   time.Time // when it goes over the session stream
	tries int
	again bool      // it goes over the session because a link came up, not because an acknowledgement stayed away
	flown time.Time // when it was published
	kept  bool      // it is on the shelf
	aside bool      // it flies no more, though no relay node has acknowledged it
}

func newOutbox(e *engine, loaded *state.Loaded) outbox {
	return outbox{
		e: e, open: make(map[wire.MessageID]*pending), saved: loaded.Outbox, byID: make(map[wire.BatchID]*sealed),
	}
}

// announce queues what the state file holds.
func (o *outbox) announce() {
	for _, m := range o.saved {
		o.accept(m)
		o.queued(m.ID)
	}
	o.saved = nil
}

// accept queues a message.
func (o *outbox) accept(m state.Outgoing) {
	o.open[m.ID] = &pending{Outgoing: m}
	o.queue = append(o.queue, item{m})
}

// queued tells that a message is on disk here, or further: a relay node may be faster than this disk.
func (o *outbox) queued(id wire.MessageID) {
	if p := o.open[id]; p != nil && !p.told {
		p.told = true
		o.e.publish(Sent{At: o.e.at(), ID: id, State: Queued, Text: p.Text})
	}
}

// collect takes what Send left and returns it, to be entered.
func (o *outbox) collect() []state.Outgoing {
	fresh := o.e.n.in.take()
	for _, m := range fresh {
		o.accept(m)
	}
	return fresh
}

// enter has messages written to disk.
func (o *outbox) enter(fresh []state.Outgoing) {
	for _, m := range fresh {
		o.e.ledger.Queue(m, func() { o.queued(m.ID) })
	}
}

// settle takes what Send left, seals and publishes what may go, and then enters what is new.
func (o *outbox) settle() {
	fresh := o.collect()
	o.send()
	o.enter(fresh)
}

// send seals and publishes what may go.
func (o *outbox) send() {
	o.more = false
	if len(o.flying)+len(o.queue)+len(o.urgent) == 0 {
		return
	}
	o.relieve()
	for range maxSeals {
		if o.more = o.ready() && o.sealOne(); !o.more {
			break
		}
	}
	o.relieve()
	o.again()
}

// ready reports whether something waits and may go.
func (o *outbox) ready() bool {
	ch := o.e.chats.using
	if ch == nil || len(o.queue)+len(o.urgent) == 0 || len(o.flying) >= maxFlying || o.flyingBytes >= maxFlyingBytes {
		return false
	}
	if time.Now().Before(o.after) && slices.ContainsFunc(o.flying, func(s *sealed) bool { return s.chat != ch }) {
		return false
	}
	return o.e.n.topic.Reaches()
}

// sealOne seals one batch of what waits and publishes it. It reports whether it did.
func (o *outbox) sealOne() bool {
	e, ch := o.e, o.e.chats.using
	s := &sealed{chat: ch, last: o.last}
	var frames [][]byte
	size := wire.BatchOverhead
	add := func(c frame.Content) bool {
		if len(frames) == wire.MaxBatchItems || size+wire.BatchItemOverhead+wire.MaxFrame > wire.MaxBatch {
			return false
		}
		f, err := ch.frames.Seal(nil, c)
		if err != nil {
			o.sealFailed(err)
			return false
		}
		frames = append(frames, f)
		size += wire.BatchItemOverhead + len(f)
		return true
	}
	o.urgent = o.thank(s, o.urgent, add)
	if len(o.queue) > 0 {
		o.refer(ch, add)
	}
	for len(o.queue) > 0 && add(frame.TextContent(o.queue[0].ID, o.queue[0].At, o.queue[0].Text)) {
		s.texts = append(s.texts, o.queue[0])
		o.queue = o.queue[1:]
		o.last = after(ch)
	}
	if len(s.texts) > 0 && len(o.queue) == 0 {
		o.urgent = append(o.urgent, o.thank(s, e.inbound.acks.ride(e), add)...)
	}
	if len(frames) == 0 {
		return false
	}
	data, err := batch.Sign(e.cfg.Identity, e.n.topicName, wire.BatchFrames, frames)
	if err != nil {
		e.cfg.Log.Error("a batch cannot be signed", "err", err)
		o.back(s)
		return false
	}
	o.fly(s, data)
	return true
}

// refer tells those who read the first text under a session what was sent under the one before: they may not have all of it
// yet, and not even its key.
func (o *outbox) refer(ch *chat, add func(frame.Content) bool) {
	if o.last.session == (wire.Prefix{}) || o.last.session == ch.about.Transcript.Prefix() {
		return
	}
	if id, err := o.e.messageID(); err == nil {
		add(frame.PreviousContent(id, o.e.cfg.Now(), o.last.session, o.last.next)) // without room there is none for texts either
	}
}

// thank adds acknowledgements to a batch. It returns those for which there is no room.
func (o *outbox) thank(s *sealed, list []owed, add func(frame.Content) bool) (left []owed) {
	for len(list) > 0 {
		some := list[:min(len(list), frame.MaxAcks)]
		acks := make([]frame.Ack, 0, len(some))
		for _, a := range some {
			if sender, reads := s.chat.index[a.sender]; reads {
				acks = append(acks, frame.Ack{Sender: sender, ID: a.id})
			}
		}
		if len(acks) > 0 {
			id, err := o.e.messageID()
			if err != nil || !add(frame.AckContent(id, o.e.cfg.Now(), acks)) {
				return list
			}
		}
		s.acks = append(s.acks, some...)
		list = list[len(some):]
	}
	return nil
}

// fly publishes a sealed batch and waits for its acknowledgement from now on. What is noted of it is noted after that:
// meanwhile it is on its way, and no answer is looked at before.
func (o *outbox) fly(s *sealed, data []byte) {
	e := o.e
	s.data, s.flown = data, time.Now()
	err := e.toTopic(data)
	s.id = wire.BatchIDOf(data)
	s.due = s.flown.Add(e.cfg.Timing.StoreAfter + min(uplink.LineTime(o.flyingBytes+len(data))/4, storeExtra))
	if err != nil {
		e.cfg.Log.Debug("publishing; the batch goes over the session stream", "err", err)
		s.due = s.flown
	}
	o.flying = append(o.flying, s)
	o.byID[s.id] = s
	o.flyingBytes += len(data)
	e.n.inFlight.Store(int64(o.flyingBytes))
	s.kept = e.keep.Sent(s.id, data)
	o.flown(s, false)
	if !o.e.chats.volume && s.chat.frames.Next().Counter >= maxFrames {
		o.e.chats.volume = true
		e.step(keyagreement.Rekey{})
	}
}

// toTopic publishes a batch.
func (e *engine) toTopic(data []byte) error { return e.n.topic.PublishNow(e.ctx, data) }

func (o *outbox) sealFailed(err error) {
	switch {
	case errors.Is(err, frame.ErrNotCommitted): // the commit that allows it is under way
		o.e.ledger.Within(0)
	case errors.Is(err, frame.ErrExhausted):
		o.e.step(keyagreement.Rekey{})
	default:
		o.e.cfg.Log.Error("a frame cannot be sealed", "err", err)
	}
}

// again gives what was not acknowledged in time to the relay node over the session stream.
func (o *outbox) again() {
	now := time.Now()
	var due []*sealed
	size := 0
	for _, s := range o.flying {
		if now.Before(s.due) {
			continue
		}
		if size > 0 && size+len(s.data) > storeBytes {
			break
		}
		due = append(due, s)
		size += len(s.data)
	}
	if len(due) == 0 {
		return
	}
	m := &wire.Store{}
	for _, s := range due {
		m.Batches = append(m.Batches, s.data)
	}
	waiting := o.e.relays.Unheard()
	sent := o.e.relays.Offer(m)
	for _, s := range due {
		s.due = now.Add(backoff.Wait(o.e.cfg.Timing.StoreAfter, storeMax, s.tries) + uplink.LineTime(size+waiting))
		if sent {
			s.tries++
			o.flown(s, true)
		}
	}
}

// up is told that a relay node is there: what it may not have got goes over the session stream at once. After a new
// database everything that is still at hand does.
func (o *outbox) up(newDatabase bool) {
	for _, s := range o.flying {
		s.due, s.tries, s.again = time.Now(), 0, true
	}
	if !newDatabase {
		return
	}
	var m wire.Store
	size := 0
	for _, data := range o.kept {
		if size > 0 && size+len(data) > storeBytes {
			o.e.relays.Offer(&wire.Store{Batches: m.Batches})
			m.Batches, size = nil, 0
		}
		m.Batches = append(m.Batches, data)
		size += len(data)
	}
	if len(m.Batches) > 0 {
		o.e.relays.Offer(&m)
	}
}

// stored is told which batches the relay node holds durably.
func (o *outbox) stored(ids []wire.BatchID) {
	for _, id := range ids {
		s := o.byID[id]
		o.e.keep.Stored(id)
		if s == nil {
			continue
		}
		o.e.carried.acknowledged(s)
		o.land(s)
		o.keep(s.data)
		for _, m := range s.texts {
			o.acknowledged(m.ID)
			o.e.publish(Sent{At: o.e.at(), ID: m.ID, State: Relayed})
		}
	}
	o.flushed()
}

// refused is told which batches the relay node will not have. Its reasons may pass (a full disk, an older roster).
func (o *outbox) refused(list []wire.RefusedBatch) {
	for _, r := range list {
		o.e.keep.Refused(r)
		if s := o.byID[r.ID]; s != nil {
			s.due = time.Now().Add(storeMax)
			o.e.cfg.Log.Warn("the relay node refuses a batch", "verdict", r.Verdict)
			o.e.publish(Refused{At: o.e.at(), IDs: s.messages(), Reason: r.Verdict.String()})
			o.e.publish(Problem{At: o.e.at(), Text: "the relay node refuses a message: " + r.Verdict.String()})
		}
	}
}

// land takes a batch out of the air.
func (o *outbox) land(s *sealed) {
	delete(o.byID, s.id)
	if s.aside {
		return
	}
	o.flying = slices.DeleteFunc(o.flying, func(x *sealed) bool { return x == s })
	o.flyingBytes -= len(s.data)
	o.e.n.inFlight.Store(int64(o.flyingBytes))
}

func (o *outbox) keep(data []byte) {
	o.kept = append(o.kept, data)
	o.keptBytes += len(data)
	for len(o.kept) > maxKept || o.keptBytes > maxKeptBytes {
		o.keptBytes -= len(o.kept[0])
		o.kept = o.kept[1:]
	}
}

// acknowledged takes a message out of the outbox. Its ID is kept, so that later acknowledgements find it.
func (o *outbox) acknowledged(id wire.MessageID) {
	p := o.open[id]
	if p == nil {
		return
	}
	o.queued(id)
	delete(o.open, id)
	e := o.e
	e.ledger.Done(p.Seq)
	e.ledger.Change().Show(state.Shown{Sender: e.self, ID: id})
	e.ledger.Soon()
	e.n.in.done(1)
}

// delivered is told which messages a member has shown. Those of this one have its index, self.
func (o *outbox) delivered(by wire.Role, self int, shown iter.Seq[frame.Ack]) {
	for a := range shown {
		if int(a.Sender) > self {
			break
		}
		if int(a.Sender) < self {
			continue
		}
		id, all, news := o.e.n.in.acknowledge(a.ID, by)
		if !news {
			continue
		}
		o.acknowledged(id)
		o.e.publish(Sent{At: o.e.at(), ID: id, State: Delivered, By: all})
	}
	o.flushed()
}

// withdraw takes back what flies under the sessions that which names: its messages are sealed again under the next
// one, with the same IDs.
func (o *outbox) withdraw(which func(*chat) bool) {
	for _, s := range slices.Backward(slices.Clone(o.flying)) {
		if which(s.chat) {
			o.land(s)
			o.e.keep.Withdraw(s.id)
			o.back(s)
			if len(s.texts) > 0 && o.last.session == s.chat.about.Transcript.Prefix() {
				o.last = s.last // nobody is to wait for what is sealed again
			}
		}
	}
	slices.SortStableFunc(o.queue, func(a, b item) int { return cmp.Compare(a.Seq, b.Seq) })
}

// back queues what a batch held, except what was acknowledged meanwhile.
func (o *outbox) back(s *sealed) {
	o.urgent = append(slices.Clone(s.acks), o.urgent...)
	again := slices.DeleteFunc(slices.Clone(s.texts), func(m item) bool { return o.open[m.ID] == nil })
	o.queue = append(again, o.queue...)
}

// switched is told that another session is used.
func (o *outbox) switched() { o.after = time.Now().Add(switchWait) }

// tick serves the timer; settle, which follows, does the work.
func (o *outbox) tick() {}

func (o *outbox) deadline() (due time.Time) {
	if o.more {
		return time.Now()
	}
	for _, s := range o.flying {
		due = deadline.Sooner(due, s.due)
	}
	if len(o.queue)+len(o.urgent) > 0 && time.Now().Before(o.after) {
		due = deadline.Sooner(due, o.after)
	}
	return deadline.Sooner(due, o.relief())
}
