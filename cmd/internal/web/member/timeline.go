package member

import (
	"slices"
	"time"

	"conclave/node"
	"conclave/overlay/wire"
)

// The timeline's bounds. Arbitrary: a long day of a busy group, in memory that nobody misses.
const (
	maxEntries = 20_000
	maxBytes   = 32 << 20
	// pageSize is how many entries the page gets at a time.
	pageSize = 200
)

// Entry is one thing in the timeline: a message, or a quiet line.
type Entry struct {
	// Seq numbers the entries of a run; it only grows.
	Seq uint64 `json:"seq"`
	// Kind is message or note.
	Kind string    `json:"kind"`
	Time time.Time `json:"time"`
	Text string    `json:"text"`

	// Of a message.
	ID    string    `json:"id,omitempty"`
	From  wire.Role `json:"from,omitempty"`
	Own   bool      `json:"own,omitempty"`
	Sent  time.Time `json:"sent,omitzero"`
	Late  bool      `json:"late,omitempty"`
	State *Fate     `json:"state,omitempty"` // of an own message

	// Tone of a note: join, leave, key, link, roster, warn or alarm.
	Tone string `json:"tone,omitempty"`
	// Detail is what a note says on hover.
	Detail string `json:"detail,omitempty"`
}

// Fate is how far an own message has come.
type Fate struct {
	// Name is queued, relay, delivered, everybody or failed: the shape that is shown.
	Name string `json:"name"`
	// Words say it, and Way how it came there, step by step.
	Words string     `json:"words"`
	Way   []WayPoint `json:"way"`

	by  []wire.Role
	why string // of a failure
}

// WayPoint is one step of a message's way.
type WayPoint struct {
	Time   time.Time `json:"time"`
	Text   string    `json:"text"`
	Detail string    `json:"detail,omitempty"`
}

// The kinds of entries and the names of fates.
const (
	kindMessage = "message"
	kindNote    = "note"

	fateQueued    = "queued"
	fateRelay     = "relay"
	fateDelivered = "delivered"
	fateEverybody = "everybody"
	fateFailed    = "failed"
)

// timeline is the bounded list of entries. Its owner locks.
type timeline struct {
	entries []*Entry // oldest first, ascending Seq
	byID    map[string]*Entry
	bytes   int
	last    uint64
	dropped bool // entries older than the first were there once
}

func newTimeline() timeline { return timeline{byID: make(map[string]*Entry)} }

// add numbers an entry, appends it, and drops the oldest above the bounds.
func (t *timeline) add(e *Entry) {
	t.last++
	e.Seq = t.last
	t.entries = append(t.entries, e)
	t.bytes += len(e.Text)
	if e.ID != "" {
		t.byID[e.ID] = e
	}
	for len(t.entries) > maxEntries || t.bytes > maxBytes && len(t.entries) > 1 {
		t.drop(t.entries[0])
		t.entries[0] = nil
		t.entries = t.entries[1:]
		t.dropped = true
	}
}

func (t *timeline) drop(e *Entry) {
	t.bytes -= len(e.Text)
	if e.ID != "" && t.byID[e.ID] == e {
		delete(t.byID, e.ID)
	}
}

// remove takes an entry out of the middle.
func (t *timeline) remove(e *Entry) {
	if i := t.index(e.Seq); i < len(t.entries) && t.entries[i] == e {
		t.entries = slices.Delete(t.entries, i, i+1)
		t.drop(e)
	}
}

// index returns the place of the first entry that has this number or a higher one.
func (t *timeline) index(seq uint64) int {
	i, _ := slices.BinarySearchFunc(t.entries, seq, func(e *Entry, s uint64) int {
		switch {
		case e.Seq < s:
			return -1
		case e.Seq > s:
			return 1
		}
		return 0
	})
	return i
}

// page returns up to n entries before a number (0: the newest), and whether there are earlier ones still.
func (t *timeline) page(before uint64, n int) (page []Entry, more bool) {
	end := len(t.entries)
	if before > 0 {
		end = t.index(before)
	}
	begin := max(0, end-n)
	page = make([]Entry, 0, end-begin)
	for _, e := range t.entries[begin:end] {
		page = append(page, e.copy())
	}
	return page, begin > 0
}

// copy returns an entry that does not change any more.
func (e *Entry) copy() Entry {
	c := *e
	if e.State != nil {
		s := *e.State
		s.Way = slices.Clone(s.Way)
		c.State = &s
	}
	return c
}

// ways returns the last n own messages, newest first.
func (t *timeline) ways(n int) []Entry {
	list := []Entry{}
	for _, e := range slices.Backward(t.entries) {
		if e.Own && len(list) < n {
			list = append(list, e.copy())
		}
	}
	return list
}

// rank orders fates; one never goes back, but a failure may happen to what is not stored yet.
func rank(name string) int {
	return slices.Index([]string{fateQueued, fateFailed, fateRelay, fateDelivered, fateEverybody}, name)
}

// advance takes in what node says of an own message. others is how many could get it.
func (f *Fate) advance(e node.Sent, others int) {
	point := WayPoint{Time: e.Time}
	next := fateQueued
	switch e.State {
	case node.Queued:
		point.Text = "queued on this machine"
		point.Detail = "outbox in the state file"
	case node.Relayed:
		next, point.Text, point.Detail = fateRelay, "stored by the relay node", "in the backlog, acknowledged on the session stream"
	case node.Delivered:
		next = fateDelivered
		point.Text = "shown by " + names(newcomers(f.by, e.By))
		point.Detail = "acknowledged in a sealed frame"
		f.by = e.By
		if len(e.By) >= others {
			next = fateEverybody
		}
	}
	f.Way = append(f.Way, point)
	if rank(next) >= rank(f.Name) || f.Name == "" {
		f.Name = next
	}
	f.say(others)
}

// say puts the fate into words.
func (f *Fate) say(others int) {
	switch f.Name {
	case fateQueued:
		f.Words = "Waiting to be sent"
	case fateRelay:
		f.Words = "At the relay node, nobody has it yet"
	case fateDelivered:
		f.Words = "Delivered to " + ofAll(len(f.by), others) + ": " + names(f.by)
	case fateEverybody:
		f.Words = "Delivered to everybody: " + names(f.by)
	case fateFailed:
		f.Words = "Not sent: " + f.why
	}
}

// newcomers returns who is in now and not in before.
func newcomers(before, now []wire.Role) []wire.Role {
	return slices.DeleteFunc(slices.Clone(now), func(r wire.Role) bool { return slices.Contains(before, r) })
}
