package shelf

import (
	"cmp"
	"slices"
	"sort"
	"sync"

	"conclave/overlay/wire"
)

// Limits bound a shelf.
type Limits struct {
	Batches int
	Bytes   int
}

// DefaultLimits are arbitrary: some days of a small group's talk, and no burden on any machine.
var DefaultLimits = Limits{Batches: 16_384, Bytes: 16 << 20}

// Entry is one batch on the shelf.
type Entry struct {
	// Seq is its place; a later one was put in later.
	Seq int64
	// Data is the whole batch.
	Data []byte
	// Own says that this member signed it.
	Own bool
	// Stored says that a relay node holds it.
	Stored bool
	// Kept says that it is on disk.
	Kept bool

	chain     chain
	low, high uint32
}

// chain is a run of counters that one signer sent, as wire.Head describes it.
type chain struct {
	prefix wire.Prefix
	sender uint16
	start  uint32
	signer wire.Signer
}

// Shelf holds batches. See New.
type Shelf struct {
	limits Limits

	mu       sync.Mutex // guards all that follows
	last     int64
	unstored int
	bytes    int
	entries  map[int64]*Entry
	chains   map[chain][]*Entry // ascending
	signers  map[wire.Signer]*signer
	news     chan struct{} // closed and replaced when an own batch is put in
}

// signer is one signer's batches, the oldest first.
type signer struct {
	bytes   int
	entries []*Entry
}

// New returns an empty shelf.
func New(l Limits) *Shelf {
	return &Shelf{limits: l, entries: make(map[int64]*Entry), chains: make(map[chain][]*Entry), signers: make(map[wire.Signer]*signer), news: make(chan struct{})}
}

// Put keeps a batch of frames that verified. seq is its place, or 0 for the next. It returns the place, 0 when there is
// nothing to keep: the batch is here already, or is not one run of frames; and the entries that had to go for it.
func (s *Shelf) Put(b wire.Batch, seq int64, own bool) (added int64, gone []Entry) {
	e, ok := entryOf(b)
	if !ok {
		return 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.chains[e.chain]
	at := sort.Search(len(of), func(i int) bool { return of[i].low > e.low })
	if at > 0 && of[at-1].high >= e.high || at < len(of) && of[at].low <= e.high || at > 0 && of[at-1].high >= e.low {
		return 0, nil // some of it is here, and an honest signer sends a counter once
	}
	data, err := b.Marshal()
	if err != nil {
		return 0, nil
	}
	if seq == 0 {
		seq = s.last + 1
	}
	s.last = max(s.last, seq)
	e.Seq, e.Data, e.Own = seq, data, own
	s.chains[e.chain] = slices.Insert(of, at, e)
	from := s.signers[e.chain.signer]
	if from == nil {
		from = &signer{}
		s.signers[e.chain.signer] = from
	}
	from.entries = append(from.entries, e)
	from.bytes += len(data)
	s.bytes += len(data)
	s.entries[seq] = e
	s.unstored++
	for len(s.entries) > s.limits.Batches || s.bytes > s.limits.Bytes {
		gone = append(gone, s.drop())
	}
	if own {
		close(s.news)
		s.news = make(chan struct{})
	}
	return seq, gone
}

// entryOf reads what a batch holds: the consecutive frames of one chain.
func entryOf(b wire.Batch) (*Entry, bool) {
	headers, err := b.FrameHeaders()
	if err != nil {
		return nil, false
	}
	first := headers[0]
	for i, h := range headers {
		if h.Prefix != first.Prefix || h.Sender != first.Sender || h.Start != first.Start || h.Counter != first.Counter+uint32(i) {
			return nil, false
		}
	}
	e := &Entry{
		chain: chain{first.Prefix, first.Sender, first.Start, wire.Signer(b.Sender)},
		low:   first.Counter, high: headers[len(headers)-1].Counter,
	}
	return e, e.low <= e.high
}

// drop takes out the oldest batch of the signer who has the most.
func (s *Shelf) drop() Entry {
	var most *signer
	var whose wire.Signer
	for id, of := range s.signers {
		if most == nil || of.bytes > most.bytes || of.bytes == most.bytes && string(id[:]) < string(whose[:]) {
			most, whose = of, id
		}
	}
	return s.remove(most.entries[0])
}

// Remove takes out a batch.
func (s *Shelf) Remove(seq int64) (gone Entry, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[seq]
	if e == nil {
		return Entry{}, false
	}
	return s.remove(e), true
}

func (s *Shelf) remove(e *Entry) Entry {
	from := s.signers[e.chain.signer]
	if from.entries[0] == e {
		from.entries = from.entries[1:]
	} else {
		from.entries = slices.DeleteFunc(from.entries, func(x *Entry) bool { return x == e })
	}
	from.bytes -= len(e.Data)
	if len(from.entries) == 0 {
		delete(s.signers, e.chain.signer)
	}
	s.bytes -= len(e.Data)
	delete(s.entries, e.Seq)
	if !e.Stored {
		s.unstored--
	}
	of := slices.DeleteFunc(s.chains[e.chain], func(x *Entry) bool { return x == e })
	if len(of) == 0 {
		delete(s.chains, e.chain)
	} else {
		s.chains[e.chain] = of
	}
	return *e
}

// Heads returns what is held of each chain, at most most of them; with of, of that signer's only.
func (s *Shelf) Heads(of *wire.Signer, most int) []wire.Head {
	s.mu.Lock()
	defer s.mu.Unlock()
	var heads []wire.Head
	for c, entries := range s.chains {
		if of != nil && c.signer != *of {
			continue
		}
		heads = append(heads, wire.Head{
			Prefix: c.prefix, Sender: c.sender, Start: c.start, Signer: c.signer, Low: entries[0].low, High: entries[len(entries)-1].high,
		})
	}
	if len(heads) > most { // the newest starts matter most; which sessions those are only their members know
		slices.SortFunc(heads, func(a, b wire.Head) int { return cmp.Compare(b.Start, a.Start) })
		heads = heads[:most]
	}
	return heads
}

// Fetch returns the batches that hold a range of counters, in order, as many as fit into size bytes and at least one if
// there is one. more says that some were left out.
func (s *Shelf) Fetch(f wire.Fetch, size int) (batches [][]byte, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	used := 0
	for _, e := range s.chains[chain{f.Prefix, f.Sender, f.Start, f.Signer}] {
		if e.high < f.From || e.low > f.To {
			continue
		}
		if used += len(e.Data); used > size && len(batches) > 0 {
			return batches, true
		}
		batches = append(batches, e.Data)
	}
	return batches, false
}

// Changed returns a channel that is closed when the next own batch is put in.
func (s *Shelf) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.news
}

// Unstored returns the batches that no relay node is known to hold, the oldest first, as many as fit into size bytes and at
// least one. They are copies.
func (s *Shelf) Unstored(size int, skip func(seq int64) bool) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unstored == 0 {
		return nil
	}
	var all []*Entry
	for _, e := range s.entries {
		if !e.Stored && !skip(e.Seq) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	var picked []Entry
	used := 0
	for _, e := range all {
		if used += len(e.Data); used > size && len(picked) > 0 {
			break
		}
		picked = append(picked, *e)
	}
	return picked
}

// SetStored notes that a relay node holds a batch.
func (s *Shelf) SetStored(seq int64) (e Entry, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.entries[seq]
	if p == nil || p.Stored {
		return Entry{}, false
	}
	p.Stored = true
	s.unstored--
	return *p, true
}

// SetKept notes that a batch is on disk.
func (s *Shelf) SetKept(seq int64) (e Entry, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.entries[seq]
	if p == nil || p.Kept {
		return Entry{}, false
	}
	p.Kept = true
	return *p, true
}

// Unstore notes that no relay node holds anything: the one that did has lost it.
func (s *Shelf) Unstore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		e.Stored = false
	}
	s.unstored = len(s.entries)
}
