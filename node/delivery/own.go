package delivery

import (
	"iter"
	"math"
	"slices"

	"conclave/node/frame"
	"conclave/node/recent"
	"conclave/overlay/wire"
)

// MaxMine is how many of this member's messages are remembered, to tell who has shown them. Their short IDs differ.
const MaxMine = 16_384

// ownMessages is this member's messages: those that nobody has acknowledged, and who has shown which.
type ownMessages struct {
	cfg     *Config
	emit    func(Output)
	open    map[wire.MessageID]*pending // not acknowledged
	by      *recent.Map[wire.ShortID, shownBy]
	flushes []flush
}

// pending is a message that nobody has acknowledged. announced says that it was Queued.
type pending struct {
	Message
	announced bool
}

// shownBy is a message and who has shown it, in role order.
type shownBy struct {
	id wire.MessageID
	by []wire.Role
}

// flush is somebody who waits until everything up to a place is acknowledged.
type flush struct {
	upTo int64
	ref  int
}

func newMine(cfg *Config, emit func(Output)) *ownMessages {
	m := &ownMessages{cfg: cfg, emit: emit, open: make(map[wire.MessageID]*pending), by: recent.New[wire.ShortID, shownBy](MaxMine)}
	for _, s := range cfg.Shown {
		if s.Sender == cfg.Self {
			m.by.Add(s.ID.Short(), shownBy{id: s.ID})
		}
	}
	return m
}

// add takes in a message.
func (m *ownMessages) add(message Message) {
	m.open[message.ID] = &pending{Message: message}
	m.by.Add(message.ID.Short(), shownBy{id: message.ID})
}

// waits reports whether nobody has acknowledged a message.
func (m *ownMessages) waits(id wire.MessageID) bool { return m.open[id] != nil }

// queued tells that a message is on disk here, or further: a relay node may be faster than this disk.
func (m *ownMessages) queued(id wire.MessageID) {
	if p := m.open[id]; p != nil && !p.announced {
		p.announced = true
		m.emit(Queued{p.ID, p.Text})
	}
}

// acknowledged takes a message out of the outbox. Its ID is kept, so that later acknowledgements find it.
func (m *ownMessages) acknowledged(id wire.MessageID) {
	p := m.open[id]
	if p == nil {
		return
	}
	m.queued(id)
	delete(m.open, id)
	m.emit(Done{p.Seq})
	m.emit(Remember{Shown{m.cfg.Self, id}})
}

// delivered is told which messages a member has shown. Those of this one have its index, self.
func (m *ownMessages) delivered(by wire.Role, self int, shown iter.Seq[frame.Ack]) {
	for a := range shown {
		if int(a.Sender) != self { // defence: ack-of-mine
			continue
		}
		if id, all, news := m.shownBy(a.ID, by); news {
			m.acknowledged(id)
			m.emit(Delivered{id, all})
		}
	}
	m.checkFlushes()
}

// shownBy notes that a member has shown a message. It returns the message's ID and everybody who has shown it, and whether
// that is news: it is not for a message that is forgotten or a repetition.
func (m *ownMessages) shownBy(short wire.ShortID, by wire.Role) (id wire.MessageID, all []wire.Role, news bool) {
	s, known := m.by.Get(short)
	if !known {
		return id, nil, false
	}
	i, repeated := slices.BinarySearch(s.by, by)
	if repeated {
		return id, nil, false
	}
	s.by = slices.Insert(slices.Clone(s.by), i, by)
	m.by.Set(short, s)
	return s.id, s.by, true
}

// answered reports whether none of these messages waits for anybody.
func (m *ownMessages) answered(texts []Message) bool {
	return !slices.ContainsFunc(texts, func(t Message) bool { return m.waits(t.ID) })
}

// flush has Flushed emitted once everything that waits now is acknowledged.
func (m *ownMessages) flush(ref int) {
	upTo := int64(0)
	for _, p := range m.open {
		upTo = max(upTo, p.Seq)
	}
	m.flushes = append(m.flushes, flush{upTo, ref})
	m.checkFlushes()
}

// checkFlushes serves those who wait for a flush.
func (m *ownMessages) checkFlushes() {
	if len(m.flushes) == 0 {
		return
	}
	first := int64(math.MaxInt64)
	for _, p := range m.open {
		first = min(first, p.Seq)
	}
	m.flushes = slices.DeleteFunc(m.flushes, func(f flush) bool {
		if f.upTo >= first {
			return false
		}
		m.emit(Flushed{f.ref})
		return true
	})
}
