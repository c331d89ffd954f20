package backlogtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
)

// Memory is a backlog as simple as it can be, for others to be compared with.
type Memory struct {
	limits backlog.Limits

	mu       sync.Mutex // guards the rest
	last     int64      // place of the newest batch
	revision int64
	dropped  int64
	bytes    int64
	ids      map[wire.BatchID]*entry
	signers  map[peer.ID]*signer
	chains   map[backlog.Chain]*chain
}

// entry is one batch in the log.
type entry struct {
	backlog.Entry
	seq  int64
	at   time.Time
	runs []run
}

// signer is the books of one signer: its batches, oldest first.
type signer struct {
	batches []*entry
	bytes   int64
	chains  int
}

// chain is what the log holds of one chain, in the order of counters, without overlaps.
type chain struct {
	runs     []index
	revision int64
}

type index struct {
	span
	batch *entry
}

// NewMemory returns an empty backlog.
func NewMemory(limits backlog.Limits) *Memory {
	return &Memory{limits: limits, ids: map[wire.BatchID]*entry{}, signers: map[peer.ID]*signer{}, chains: map[backlog.Chain]*chain{}}
}

// Append implements backlog.Store.
func (m *Memory) Append(ctx context.Context, batches []backlog.Entry, now time.Time) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, e := range batches {
		if len(e.Data) > m.limits.Batch {
			return nil, fmt.Errorf("%w: %d bytes", backlog.ErrTooLarge, len(e.Data))
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revision++
	added := make([]bool, len(batches))
	for i, e := range batches {
		added[i] = m.append(e, now)
	}
	return added, nil
}

func (m *Memory) append(e backlog.Entry, now time.Time) bool {
	if m.ids[e.ID] != nil {
		return false
	}
	k := &entry{Entry: e, at: came(e, now)}
	k.Data = slices.Clone(e.Data)
	for _, r := range runsOf(e.Signer, e.Frames) {
		for _, s := range r.without(m.spans(r.chain)) {
			k.runs = append(k.runs, run{r.chain, s})
		}
	}
	if len(e.Frames) > 0 && len(k.runs) == 0 {
		return false // every frame of it is here, in other batches of the same signer
	}
	m.last++
	k.seq = m.last
	m.ids[e.ID] = k
	m.enter(k)
	m.makeRoom(e.Signer)
	return true
}

func (m *Memory) spans(c backlog.Chain) []span {
	var spans []span
	if ch := m.chains[c]; ch != nil {
		for _, h := range ch.runs {
			spans = append(spans, h.span)
		}
	}
	return spans
}

// enter books and indexes a batch.
func (m *Memory) enter(k *entry) {
	s := m.signers[k.Signer]
	if s == nil {
		s = &signer{}
		m.signers[k.Signer] = s
	}
	s.batches = append(s.batches, k)
	s.bytes += int64(len(k.Data))
	m.bytes += int64(len(k.Data))
	for _, r := range k.runs {
		ch := m.chains[r.chain]
		if ch == nil {
			ch = &chain{}
			m.chains[r.chain] = ch
			s.chains++
		}
		at, _ := slices.BinarySearchFunc(ch.runs, r.first, func(h index, n uint32) int { return cmp.Compare(h.first, n) })
		ch.runs = slices.Insert(ch.runs, at, index{r.span, k})
		ch.revision = m.revision
	}
}

// makeRoom drops batches until the log is within its limits again.
func (m *Memory) makeRoom(by peer.ID) {
	for {
		victim := m.victim(by)
		if victim == nil {
			return
		}
		m.drop(victim)
		m.dropped++
	}
}

// victim returns the next batch to drop, nil when there is room.
func (m *Memory) victim(by peer.ID) *entry {
	if s := m.signers[by]; s != nil && s.chains > m.limits.Chains {
		return s.batches[0]
	}
	byBytes, byCount := m.bytes > m.limits.Bytes, len(m.ids) > m.limits.Batches
	if !byBytes && !byCount {
		return nil
	}
	var oldest *entry
	for _, s := range m.signers {
		n := int64(len(m.signers))
		over := byBytes && s.bytes*n > m.limits.Bytes || !byBytes && int64(len(s.batches))*n > int64(m.limits.Batches)
		if first := s.batches[0]; over && (oldest == nil || first.seq < oldest.seq) {
			oldest = first
		}
	}
	return oldest
}

func (m *Memory) drop(k *entry) {
	delete(m.ids, k.ID)
	m.bytes -= int64(len(k.Data))
	s := m.signers[k.Signer]
	s.bytes -= int64(len(k.Data))
	s.batches = slices.DeleteFunc(s.batches, func(o *entry) bool { return o == k })
	for _, r := range k.runs {
		ch := m.chains[r.chain]
		ch.runs = slices.DeleteFunc(ch.runs, func(h index) bool { return h.batch == k && h.span == r.span })
		if ch.revision = m.revision; len(ch.runs) == 0 {
			delete(m.chains, r.chain)
			s.chains--
		}
	}
	if len(s.batches) == 0 {
		delete(m.signers, k.Signer)
	}
}

// Heads implements backlog.Store.
func (m *Memory) Heads(ctx context.Context, since int64) ([]backlog.Head, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var heads []backlog.Head
	for c, ch := range m.chains {
		if ch.revision > since {
			heads = append(heads, backlog.Head{Chain: c, Low: ch.runs[0].first, High: ch.runs[len(ch.runs)-1].last})
		}
	}
	slices.SortFunc(heads, func(a, b backlog.Head) int { return compare(a.Chain, b.Chain) })
	return heads, m.revision, nil
}

// Fetch implements backlog.Store.
func (m *Memory) Fetch(ctx context.Context, r backlog.Range, maxBytes int) ([][]byte, bool, error) {
	p, err := m.page(ctx, r, maxBytes)
	return p.batches(), p.more, err
}

// Copies implements backlog.Store.
func (m *Memory) Copies(ctx context.Context, r backlog.Range, maxBytes int) ([]backlog.Copy, bool, error) {
	p, err := m.page(ctx, r, maxBytes)
	return p.copies, p.more, err
}

// Missing implements backlog.Store.
func (m *Memory) Missing(ctx context.Context, r backlog.Range) ([]backlog.Range, error) {
	if err := ctx.Err(); err != nil || r.From > r.To {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return parts(r, m.spans(r.Chain)), nil
}

func (m *Memory) page(ctx context.Context, r backlog.Range, maxBytes int) (p page, _ error) {
	if err := ctx.Err(); err != nil {
		return p, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	type found struct {
		chain backlog.Chain
		index
	}
	var hits []found
	for c, ch := range m.chains {
		if c.Prefix != r.Prefix || c.Sender != r.Sender || c.Start != r.Start || r.Signer != "" && c.Signer != r.Signer {
			continue
		}
		for _, h := range ch.runs {
			if r.From <= r.To && h.meets(span{r.From, r.To}) {
				hits = append(hits, found{c, h})
			}
		}
	}
	slices.SortFunc(hits, func(a, b found) int { return cmp.Or(cmp.Compare(a.first, b.first), compare(a.chain, b.chain)) })
	p.max, p.seen = maxBytes, map[int64]bool{}
	for _, h := range hits {
		if !p.add(h.batch) {
			break
		}
	}
	return p, nil
}

// Expire implements backlog.Store.
func (m *Memory) Expire(ctx context.Context, now time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revision++
	n := 0
	for _, k := range m.ids {
		if !now.Before(k.at.Add(m.limits.Age)) {
			m.drop(k)
			n++
		}
	}
	return n, nil
}

// Stats implements backlog.Store.
func (m *Memory) Stats(ctx context.Context) (backlog.Stats, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return backlog.Stats{Batches: len(m.ids), Bytes: m.bytes, Chains: len(m.chains), Signers: len(m.signers), Dropped: m.dropped}, ctx.Err()
}

// Check implements backlog.Store.
func (m *Memory) Check(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var bytes, runs int64
	for _, k := range m.ids {
		bytes += int64(len(k.Data))
		runs += int64(len(k.runs))
	}
	batches, chains := 0, 0
	for _, s := range m.signers {
		batches += len(s.batches)
		chains += s.chains
	}
	for c, ch := range m.chains {
		runs -= int64(len(ch.runs))
		for i, h := range ch.runs {
			if i > 0 && ch.runs[i-1].last >= h.first {
				return fmt.Errorf("chain %v: runs %v and %v overlap", c, ch.runs[i-1].span, h.span)
			}
		}
	}
	if bytes != m.bytes || runs != 0 || batches != len(m.ids) || chains != len(m.chains) {
		return fmt.Errorf("the books differ from the log: %d bytes of %d, %d runs too many, %d batches of %d, %d chains of %d",
			m.bytes, bytes, runs, batches, len(m.ids), chains, len(m.chains))
	}
	return ctx.Err()
}
