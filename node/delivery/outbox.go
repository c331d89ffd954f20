package delivery

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"conclave/node/deadline"
	"conclave/node/frame"
	"conclave/overlay/wire"
)

const (
	// maxSeals bounds the batches that are sealed in one Settle: what arrives does not wait for all that is to be sent.
	// Arbitrary.
	maxSeals = 4
	// switchWait is how long the first message under a new session waits for what was sent under the old one to be
	// stored, so that whoever fetches finds it all.
	switchWait = 3 * time.Second
	// maxFrames is how many frames are sent under one start before a new epoch is asked for.
	maxFrames = 1 << 20
)

// outbox seals what leaves.
type outbox struct {
	cfg         *Config
	emit        func(Output)
	flights     *flights
	acknowledge func(time.Time) []ack     // acknowledgements that may go with texts
	open        func(wire.MessageID) bool // nobody has acknowledged the message

	queue  []Message // wait to be sealed, in order; acknowledgements come first
	fresh  []Message // those of them that are to be written to disk
	urgent []ack
	more   bool // the last Settle left something that may go

	using   *session   // nil while messages wait
	volume  bool       // a new epoch was asked for because of its volume
	resumed []*session // those of an earlier process start, until the first text; by age
	until   time.Time  // until then what flies under another session is waited for; zero: nothing is
	last    place      // of the last text
}

// place is where the next frame of a session goes.
type place struct {
	session wire.Prefix // zeros: no session
	next    frame.Position
}

// after returns the place after what was sent under a session.
func after(s *session) place { return place{s.prefix, s.Frames.Next()} }

// push queues a message.
func (o *outbox) push(m Message) { o.queue = append(o.queue, m) }

// hasten has acknowledgements go now.
func (o *outbox) hasten(list []ack) { o.urgent = append(o.urgent, list...) }

// resume is told of a session of an earlier process start. What that sent under the newest one comes before what is sent next.
func (o *outbox) resume(s *session) {
	o.resumed = append(o.resumed, s)
	slices.SortFunc(o.resumed, older)
	o.last = after(o.resumed[len(o.resumed)-1])
}

// use seals under a session from now on.
func (o *outbox) use(s *session, now time.Time) {
	if o.using == s {
		return
	}
	o.using, o.volume = s, false
	o.until = now.Add(switchWait)
}

// hold seals nothing until the next use, and takes back what flies.
func (o *outbox) hold() {
	o.using = nil
	o.withdraw(func(*session) bool { return true }) // defence: hold-withdraws
}

// forget takes back what flies under a session.
func (o *outbox) forget(s *session) {
	if o.using == s {
		o.using = nil
	}
	o.withdraw(func(of *session) bool { return of == s })
}

// settle seals and publishes what may go, stores what was not acknowledged in time, and then has what is new written down.
func (o *outbox) settle(line Settle, now time.Time) {
	o.flights.relay = line.Relay
	o.more = false
	if !now.Before(o.until) {
		o.until = time.Time{}
	}
	if len(o.flights.list)+len(o.queue)+len(o.urgent) > 0 {
		o.flights.relieve(now)
		for range maxSeals {
			if o.more = line.Reaches && o.ready(now) && o.seal(line.Date, now); !o.more {
				break
			}
		}
		o.flights.relieve(now)
		o.flights.settle(line.Unheard, now)
	}
	for _, m := range o.fresh {
		o.emit(Save{m})
	}
	o.fresh = nil
}

// ready reports whether something waits and may go.
func (o *outbox) ready(now time.Time) bool {
	if o.using == nil || len(o.queue)+len(o.urgent) == 0 {
		return false
	}
	if o.flights.full() { // defence: flight-bound
		return false
	}
	return o.until.IsZero() || !o.flights.others(o.using)
}

// seal seals one batch of what waits and publishes it. It reports whether it did.
func (o *outbox) seal(date, now time.Time) bool {
	f := &flight{session: o.using, last: o.last}
	p := &packer{session: o.using}
	o.urgent = o.thank(f, o.urgent, p, date)
	if len(o.queue) > 0 {
		o.refer(p, date) // without room for it there is none for texts either
	}
	for len(o.queue) > 0 && p.add(frame.TextContent(o.queue[0].ID, o.queue[0].At, o.queue[0].Text)) {
		f.texts = append(f.texts, o.queue[0])
		o.queue = o.queue[1:]
		o.last, o.resumed = after(o.using), nil
		f.end = o.last
	}
	if len(f.texts) > 0 && len(o.queue) == 0 {
		o.hasten(o.thank(f, o.acknowledge(now), p, date))
	}
	o.failed(p.err)
	if len(p.frames) == 0 {
		return false
	}
	data, err := o.cfg.Sign(p.frames)
	if err != nil {
		o.cfg.Log.Error("a batch cannot be signed", "err", err)
		o.back(f)
		return false
	}
	f.data = data
	o.flights.begin(f, now)
	if !o.volume && o.using.Frames.Next().Counter >= maxFrames {
		o.volume = true
		o.emit(Rekey{})
	}
	return true
}

// packer seals contents into the frames of one batch.
type packer struct {
	session *session
	frames  [][]byte
	size    int
	err     error // the last frame could not be sealed
}

// add seals a content, and reports whether there was room.
func (p *packer) add(c frame.Content) bool {
	if p.err != nil || len(p.frames) == wire.MaxBatchItems ||
		wire.BatchOverhead+p.size+wire.BatchItemOverhead+wire.MaxFrame > wire.MaxBatch {
		return false
	}
	f, err := p.session.Frames.Seal(nil, c)
	if err != nil {
		p.err = err
		return false
	}
	p.frames = append(p.frames, f)
	p.size += wire.BatchItemOverhead + len(f)
	return true
}

// failed does something about a frame that could not be sealed.
func (o *outbox) failed(err error) {
	switch {
	case err == nil:
	case errors.Is(err, frame.ErrNotCommitted): // the commit that allows it is under way
		o.emit(Commit{Now: true})
	case errors.Is(err, frame.ErrExhausted):
		o.emit(Rekey{})
	default:
		o.cfg.Log.Error("a frame cannot be sealed", "err", err)
	}
}

// refer tells those who read the first text under a session what was sent under the one before: they may not have all of it
// yet, and not even its key.
func (o *outbox) refer(p *packer, date time.Time) {
	before := o.last
	if n := len(o.resumed); n > 1 && o.resumed[n-1] == o.using { // it is not known whether a text was sent under it already
		before = after(o.resumed[n-2])
	}
	if before.session == (wire.Prefix{}) || before.session == o.using.prefix {
		return
	}
	if id, err := o.messageID(); err == nil {
		p.add(frame.PreviousContent(id, date, before.session, before.next)) // defence: previous-sent
	}
}

// thank adds acknowledgements to a batch. It returns those for which there is no room.
func (o *outbox) thank(f *flight, list []ack, p *packer, date time.Time) (left []ack) {
	for len(list) > 0 {
		some := list[:min(len(list), frame.MaxAcks)]
		shown := make([]frame.Ack, 0, len(some))
		for _, a := range some {
			if sender, reads := f.session.index[a.sender]; reads {
				shown = append(shown, frame.Ack{Sender: sender, ID: a.id})
			}
		}
		if len(shown) > 0 {
			id, err := o.messageID()
			if err != nil || !p.add(frame.AckContent(id, date, shown)) {
				return list
			}
		}
		f.acks = append(f.acks, some...)
		list = list[len(some):]
	}
	return nil
}

// messageID draws the ID of a content that is not a message of a person.
func (o *outbox) messageID() (id wire.MessageID, err error) {
	if _, err = io.ReadFull(o.cfg.Rand, id[:]); err != nil {
		err = fmt.Errorf("drawing an ID: %w", err)
	}
	return id, err
}

// withdraw takes back what flies under the sessions that which names: its messages are sealed again under the next one, with
// the same IDs.
func (o *outbox) withdraw(which func(*session) bool) {
	for _, f := range o.flights.withdraw(which) {
		o.back(f)
		if len(f.texts) > 0 && o.last == f.end {
			// Nobody is to wait for what is sealed again. What was sealed after it and is stored is waited for.
			o.last = f.last // defence: sealed-again
		}
	}
	slices.SortStableFunc(o.queue, func(a, b Message) int { return cmp.Compare(a.Seq, b.Seq) })
}

// back queues what a batch held, except what was acknowledged meanwhile.
func (o *outbox) back(f *flight) {
	o.urgent = append(slices.Clone(f.acks), o.urgent...)
	again := slices.DeleteFunc(slices.Clone(f.texts), func(m Message) bool { return !o.open(m.ID) }) // defence: not-twice
	o.queue = append(again, o.queue...)
}

// deadline returns when settle has something to do; long past when it left something that may go.
func (o *outbox) deadline() time.Time {
	if o.more {
		return time.Unix(0, 0)
	}
	due := o.flights.deadline()
	if len(o.queue)+len(o.urgent) > 0 {
		due = deadline.Sooner(due, o.until)
	}
	return due
}
