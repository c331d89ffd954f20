package delivery

import (
	"time"

	"conclave/node/deadline"
	"conclave/node/topicwatch"
	"conclave/overlay/wire"
)

// Machine decides about messages. It belongs to its owner's goroutine.
type Machine struct {
	cfg  Config
	outs []Output // of this step

	sessions sessions
	reader   *reader
	fetcher  *fetcher
	acks     *acks
	previous *previous
	outbox   *outbox
	flights  *flights
	mine     *ownMessages
	silence  topicwatch.Watch
	resumed  []*session // of an earlier process start, which the first Settle looks at
}

// New returns a machine to which nothing has been said yet. Messages of an earlier run are given with Say.
func New(cfg Config, now time.Time) *Machine {
	m := &Machine{cfg: cfg, sessions: newSessions()}
	m.fetcher = newFetcher(&m.cfg, m.emit)
	m.acks = &acks{cfg: &m.cfg}
	m.reader = newReader(&m.cfg, m.emit)
	m.previous = &previous{cfg: &m.cfg, touch: m.reader.touch}
	m.flights = newFlights(&m.cfg, m.emit)
	m.mine = newMine(&m.cfg, m.emit)
	m.outbox = &outbox{cfg: &m.cfg, emit: m.emit, flights: m.flights, acknowledge: m.acks.ride, open: m.mine.waits}
	m.reader.opened, m.reader.awaits, m.reader.watch = m.opened, m.previous.waits, m.fetcher.watch
	m.fetcher.touch = m.reader.touch
	m.flights.answered = m.mine.answered
	for _, s := range cfg.Shown[max(0, len(cfg.Shown)-ackAgain):] {
		m.acks.add(s, now)
	}
	return m
}

func (m *Machine) emit(o Output) { m.outs = append(m.outs, o) }

// Step takes in what happened and returns what is to be done, in its order. now is the process's time and never goes back.
func (m *Machine) Step(now time.Time, in Input) []Output {
	m.outs = nil
	switch in := in.(type) {
	case Settle:
		m.settle(now, in)
	case Received:
		m.silence.Heard()
		m.take(in.Batch, true, now)
	case Heads:
		m.heads(in, now)
	case Fetched:
		m.fetched(in, now)
	case FetchRefused:
		m.fetcher.refused(in.Source, in.Seq, now)
	case NotAsked:
		m.fetcher.notAsked(in.Seq, now)
	case Sources:
		for _, peer := range m.fetcher.sourcesAre(in.List, now) {
			m.sessions.unknown.forget(peer)
		}
	case Session, Live, Use, Hold, Forget:
		m.session(in, now)
	default:
		m.send(in, now)
	}
	return m.outs
}

// send takes in what concerns this member's own messages.
func (m *Machine) send(in Input, now time.Time) {
	switch in := in.(type) {
	case Say:
		m.say(in)
	case Saved:
		m.mine.queued(in.ID)
	case Flush:
		m.mine.flush(in.Ref)
	case Hurry:
		m.flights.hurry(now)
	case RelayUp:
		m.flights.relayUp(in.NewDatabase, now)
	case Stored:
		m.stored(in, now)
	case NotPublished:
		m.flights.notPublished(in.ID, now)
	case HandedOver:
		m.flights.handedOver(in.IDs)
	case Shelved:
		m.flights.shelved(in.ID)
	case Unshelved:
		m.flights.unshelved(in.ID)
	case Roster:
		m.cfg.Members = in.Members
	}
}

// session takes in what the key agreement decided.
func (m *Machine) session(in Input, now time.Time) {
	switch in := in.(type) {
	case Session:
		s := m.sessions.add(in)
		if in.Resumed {
			m.resumed = append(m.resumed, s)
			m.outbox.resume(s)
		}
	case Live:
		if s := m.sessions.all[in.Transcript]; s != nil {
			m.wake(s, now)
		}
	case Use:
		if s := m.sessions.all[in.Transcript]; s != nil {
			m.outbox.use(s, now)
		}
	case Hold:
		m.outbox.hold()
	case Forget:
		m.forget(in.Transcript)
	}
}

// settle does what is due: frames are opened in their order, gaps asked for, acknowledgements and messages sealed and stored.
func (m *Machine) settle(now time.Time, line Settle) {
	m.resume(now)
	m.fetcher.tick(now)
	m.outbox.hasten(m.acks.due(now))
	m.previous.tick(now)
	m.reader.begin(line.ScreensFull, now)
	for m.reader.settle(now) {
		if m.fetcher.settle(line.Reaches, now); !m.reader.more() {
			break
		}
	}
	m.outbox.settle(line, now)
}

// resume looks once at the sessions of an earlier process start.
func (m *Machine) resume(now time.Time) {
	for _, s := range m.resumed {
		for _, l := range s.lanes {
			if l != nil {
				m.previous.resumed(l, now)
			}
		}
	}
	m.resumed = nil
}

// Deadline returns when Settle is to be given though nothing happens; zero: not before something happens.
func (m *Machine) Deadline() time.Time {
	due := deadline.Sooner(m.fetcher.deadline(), m.acks.deadline())
	due = deadline.Sooner(due, m.previous.due)
	due = deadline.Sooner(due, m.reader.deadline())
	return deadline.Sooner(due, m.outbox.deadline())
}

// Counts returns what is on its way.
func (m *Machine) Counts() Counts {
	return Counts{Waiting: len(m.outbox.queue), Flying: len(m.flights.list), FlyingBytes: m.flights.bytes}
}

// say takes in messages, and has those written down that are not on disk: after they were sealed, if they may go at once.
func (m *Machine) say(in Say) {
	for _, message := range in.Messages {
		m.mine.add(message)
		m.outbox.push(message)
		if in.OnDisk {
			m.mine.queued(message.ID)
		} else {
			m.outbox.fresh = append(m.outbox.fresh, message)
		}
	}
}

// take takes in the frames of a verified batch. live says that it came over the topic.
func (m *Machine) take(b wire.Batch, live bool, now time.Time) {
	for _, data := range b.Items {
		if !m.frame(b.Sender, data, live, now) {
			m.cfg.Log.Debug("a batch holds a frame that its signer may not send", "signer", b.Sender)
			return
		}
	}
}

// frame takes in one frame. It reports false when the rest of its batch is not worth looking at.
func (m *Machine) frame(signer, data []byte, live bool, now time.Time) bool {
	h, err := wire.ParseFrameHeader(data)
	if err != nil {
		return false
	}
	if m.cfg.LeaveMessages {
		return true
	}
	s := m.sessions.byPrefix[h.Prefix]
	if s == nil {
		m.sessions.unknown.keepFrame(h.Prefix, signer, data)
		return true
	}
	if l := s.lane(h.Sender, signer); l != nil {
		m.reader.put(l, h, data, live, now)
		return true
	}
	mine, behind := s.own(h.Sender, signer, data)
	if behind { // an old disk was restored here
		m.emit(StartBehind{s.Transcript})
	}
	return mine
}

// opened does what an opened frame says.
func (m *Machine) opened(o opening, now time.Time) {
	c, l := o.content, o.lane
	switch c.Type {
	case contentText:
		shown := Shown{l.member.Role, c.ID}
		if m.reader.remember(shown) { // defence: shown-once
			m.emit(Remember{shown})
			m.emit(Show{From: l.member.Role, ID: c.ID, Text: c.Text(), Sent: c.Sent, Epoch: l.session.Epoch, Late: o.late})
		}
		m.acks.add(shown, now)
	case contentAck:
		m.mine.delivered(l.member.Role, l.session.Frames.Self(), c.Acks())
	case contentBehind:
		if p, ok := c.Behind(); ok && l.session.Frames.Behind(p) {
			m.emit(StartBehind{l.session.Transcript})
		}
	case contentPrevious:
		if prefix, before, ok := c.Previous(); ok && !o.late {
			m.previous.note(m.sessions.byPrefix[prefix], note{l, prefix, before, now.Add(m.cfg.Timing.GapGiveUp)}, now)
		}
	}
}

// heads takes somebody's word on what its backlog holds.
func (m *Machine) heads(in Heads, now time.Time) {
	if in.Full {
		m.sessions.unknown.forget(in.Peer)
	}
	for _, h := range in.List {
		if s := m.sessions.byPrefix[h.Prefix]; s != nil {
			m.hint(s, h)
			continue
		}
		m.sessions.unknown.keepHead(in.Peer, h)
	}
}

// hint lets a head lead to a fetch, after the topic had its chance.
func (m *Machine) hint(s *session, h wire.Head) {
	l := s.lane(h.Sender, h.Signer[:]) // frames that another member signed with this index are refused when they come
	if l == nil || h.Low > h.High || m.cfg.LeaveMessages {
		return
	}
	l.queue.Hint(h.Start, h.Low, h.High)
	m.reader.touch(l)
}

// fetched takes in the answer to an Ask.
func (m *Machine) fetched(in Fetched, now time.Time) {
	request, relay, ok := m.fetcher.answer(in.Source, in.Seq)
	if !ok {
		return
	}
	at, held := request.lane.queue.At(), request.lane.queue.Held()
	for _, b := range in.Batches {
		m.emit(Keep{b, relay})
		if b.Kind == wire.BatchFrames {
			m.take(b, false, now)
		}
	}
	if len(in.Batches) > 0 && m.silence.Fetched(now, m.cfg.Timing.DoubtAfter) {
		m.emit(SilentTopic{})
	}
	m.reader.flow(request.lane, now)
	brought := request.lane.queue.At() != at || request.lane.queue.Held() > held
	m.fetcher.after(request, in.More && len(in.Batches) > 0, brought, now)
}

// stored takes in what a relay node says of this member's batches.
func (m *Machine) stored(in Stored, now time.Time) {
	for _, id := range in.IDs {
		f := m.flights.land(id)
		if f == nil {
			continue
		}
		if m.silence.Acknowledged(f.tries > 0, f.again || m.flights.bytes > doubtBytes, now, m.cfg.Timing.DoubtAfter) {
			m.emit(SilentTopic{})
		}
		m.flights.keep(f.data)
		for _, message := range f.texts {
			m.mine.acknowledged(message.ID)
			m.emit(Relayed{message.ID})
		}
	}
	m.flights.refused(in.Refused, now)
	m.mine.checkFlushes()
}

// wake takes in what waited for a session.
func (m *Machine) wake(s *session, now time.Time) {
	frames, heads := m.sessions.unknown.take(s.prefix)
	for _, f := range frames {
		m.frame(f.signer, f.data, true, now)
	}
	for _, h := range heads {
		m.hint(s, h)
	}
	m.previous.wake(s)
}

// forget drops a session.
func (m *Machine) forget(t wire.Transcript) {
	s := m.sessions.all[t]
	if s == nil {
		return
	}
	m.outbox.forget(s)
	for _, l := range s.lanes {
		if l != nil {
			m.fetcher.drop(l)
			m.previous.forget(l)
			m.reader.forget(l)
		}
	}
	m.sessions.remove(s)
}
