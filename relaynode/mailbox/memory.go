package mailbox

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
)

// Memory is a mailbox that is gone with its process: for tests, and for a relay node that was told to keep nothing.
type Memory struct {
	limits func() Limits

	mu    sync.Mutex // guards the rest
	last  int64
	boxes map[peer.ID][]stored // by recipient, in the order of Seq
	ids   map[wire.MailID]struct{}
	books books
}

type stored struct {
	Mail
	expires time.Time
}

// NewMemory returns an empty mailbox. limits is asked at each deposit.
func NewMemory(limits func() Limits) *Memory {
	return &Memory{limits: limits, boxes: map[peer.ID][]stored{}, ids: map[wire.MailID]struct{}{}, books: books{}}
}

// Deposit implements Store.
func (m *Memory) Deposit(ctx context.Context, from peer.ID, items []wire.MailItem, now time.Time) ([]wire.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	limits := m.limits()
	verdicts := make([]wire.Verdict, len(items))
	for i, item := range items {
		verdicts[i] = m.deposit(limits, from, item, now)
	}
	return verdicts, nil
}

func (m *Memory) deposit(limits Limits, from peer.ID, item wire.MailItem, now time.Time) wire.Verdict {
	if v := limits.shape(item); v != 0 {
		return v
	}
	id := wire.MailIDOf(from, item.To, item.Kind, item.Payload)
	if _, here := m.ids[id]; here {
		return wire.VerdictDuplicate
	}
	if v := m.books.room(limits, from, item); v != 0 {
		return v
	}
	m.last++
	mail := Mail{Seq: m.last, Mail: wire.Mail{ID: id, From: from, Kind: item.Kind, Payload: slices.Clone(item.Payload)}}
	m.boxes[item.To] = append(m.boxes[item.To], stored{mail, now.Add(limits.TTL)})
	m.ids[id] = struct{}{}
	m.books.add(from, item.To, 1, int64(len(item.Payload)))
	return wire.VerdictStored
}

// Pending implements Store.
func (m *Memory) Pending(ctx context.Context, to peer.ID, after int64, limit int) ([]Mail, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var page []Mail
	bytes := 0
	for _, s := range m.boxes[to] {
		if s.Seq <= after {
			continue
		}
		bytes += len(s.Payload)
		if len(page) == limit || len(page) > 0 && bytes > pageBytes {
			break
		}
		mail := s.Mail
		mail.Payload = slices.Clone(s.Payload)
		page = append(page, mail)
	}
	return page, nil
}

// Acknowledge implements Store.
func (m *Memory) Acknowledge(ctx context.Context, to peer.ID, ids []wire.MailID) (int, error) {
	gone := make(map[wire.MailID]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}
	return m.remove(ctx, func(box peer.ID, s stored) bool { return box == to && gone[s.ID] })
}

// Forget implements Store.
func (m *Memory) Forget(ctx context.Context, to peer.ID) (int, error) {
	return m.remove(ctx, func(box peer.ID, _ stored) bool { return box == to })
}

// Expire implements Store.
func (m *Memory) Expire(ctx context.Context, now time.Time) (int, error) {
	return m.remove(ctx, func(_ peer.ID, s stored) bool { return !now.Before(s.expires) })
}

func (m *Memory) remove(ctx context.Context, goes func(box peer.ID, s stored) bool) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for to, box := range m.boxes {
		box = slices.DeleteFunc(box, func(s stored) bool {
			if !goes(to, s) {
				return false
			}
			n++
			delete(m.ids, s.ID)
			m.books.add(s.From, to, -1, -int64(len(s.Payload)))
			return true
		})
		if m.boxes[to] = box; len(box) == 0 {
			delete(m.boxes, to)
		}
	}
	return n, nil
}

// Stats implements Store.
func (m *Memory) Stats(ctx context.Context) (Stats, error) {
	if err := ctx.Err(); err != nil {
		return Stats{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.books.stats(), nil
}

// Check implements Store.
func (m *Memory) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	counted := books{}
	ids := 0
	for to, box := range m.boxes {
		for _, s := range box {
			ids++
			counted.add(s.From, to, 1, int64(len(s.Payload)))
		}
	}
	if ids != len(m.ids) {
		return fmt.Errorf("%d mails, %d IDs", ids, len(m.ids))
	}
	if !maps.Equal(counted, m.books) {
		return fmt.Errorf("the books say %v, the mails %v", m.books, counted)
	}
	return nil
}
