package mailboxtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
	"conclave/relaynode/mailbox"
)

// Memory is a mailbox as simple as it can be, for others to be compared with. It counts what lies in it anew for each item.
type Memory struct {
	limits func() mailbox.Limits

	mu    sync.Mutex // guards the rest
	last  int64
	boxes map[peer.ID][]stored // by recipient, in the order of Seq
	ids   map[wire.MailID]struct{}
}

type stored struct {
	mailbox.Mail
	to      peer.ID
	expires time.Time
}

// NewMemory returns an empty mailbox. limits is asked at each deposit.
func NewMemory(limits func() mailbox.Limits) *Memory {
	return &Memory{limits: limits, boxes: map[peer.ID][]stored{}, ids: map[wire.MailID]struct{}{}}
}

// Deposit implements mailbox.Store.
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

func (m *Memory) deposit(limits mailbox.Limits, from peer.ID, item wire.MailItem, now time.Time) wire.Verdict {
	if v := shape(limits, item); v != 0 {
		return v
	}
	id := wire.MailIDOf(from, item.To, item.Kind, item.Payload)
	if _, here := m.ids[id]; here {
		return wire.VerdictDuplicate
	}
	if v := m.room(limits, from, item); v != 0 {
		return v
	}
	m.last++
	mail := mailbox.Mail{Seq: m.last, Mail: wire.Mail{ID: id, From: from, Kind: item.Kind, Payload: slices.Clone(item.Payload)}}
	m.boxes[item.To] = append(m.boxes[item.To], stored{mail, item.To, now.Add(limits.TTL)})
	m.ids[id] = struct{}{}
	return wire.VerdictStored
}

// Pending implements mailbox.Store.
func (m *Memory) Pending(ctx context.Context, to peer.ID, after int64, limit int) ([]mailbox.Mail, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var page []mailbox.Mail
	bytes := 0
	for _, s := range m.boxes[to] {
		if s.Seq <= after {
			continue
		}
		bytes += len(s.Payload)
		if len(page) == limit || len(page) > 0 && bytes > wire.MaxSessionMessage/2 {
			break
		}
		mail := s.Mail
		mail.Payload = slices.Clone(s.Payload)
		page = append(page, mail)
	}
	return page, nil
}

// Acknowledge implements mailbox.Store.
func (m *Memory) Acknowledge(ctx context.Context, to peer.ID, ids []wire.MailID) (int, error) {
	gone := make(map[wire.MailID]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}
	return m.remove(ctx, func(box peer.ID, s stored) bool { return box == to && gone[s.ID] })
}

// Forget implements mailbox.Store.
func (m *Memory) Forget(ctx context.Context, to peer.ID) (int, error) {
	return m.remove(ctx, func(box peer.ID, _ stored) bool { return box == to })
}

// Expire implements mailbox.Store.
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
			return true
		})
		if m.boxes[to] = box; len(box) == 0 {
			delete(m.boxes, to)
		}
	}
	return n, nil
}

// Stats implements mailbox.Store.
func (m *Memory) Stats(ctx context.Context) (mailbox.Stats, error) {
	if err := ctx.Err(); err != nil {
		return mailbox.Stats{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	senders := map[peer.ID]bool{}
	m.each(func(s stored) { senders[s.From] = true })
	return mailbox.Stats{Quota: m.used("", ""), Recipients: len(m.boxes), Senders: len(senders)}, nil
}

// Check implements mailbox.Store.
func (m *Memory) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.used("", "").Items; n != len(m.ids) {
		return fmt.Errorf("%d mails, %d IDs", n, len(m.ids))
	}
	return nil
}

func (m *Memory) each(see func(stored)) {
	for _, box := range m.boxes {
		for _, s := range box {
			see(s)
		}
	}
}

// used returns what lies here from a sender for a recipient; an empty one means everybody.
func (m *Memory) used(from, to peer.ID) (q mailbox.Quota) {
	m.each(func(s stored) {
		if (from == "" || s.From == from) && (to == "" || s.to == to) {
			q.Items++
			q.Bytes += int64(len(s.Payload))
		}
	})
	return q
}

// room returns the refusal of the first limit that an item would pass, 0 when there is room.
func (m *Memory) room(l mailbox.Limits, from peer.ID, item wire.MailItem) wire.Verdict {
	for _, limit := range []struct {
		used, most mailbox.Quota
		refusal    wire.Verdict
	}{
		{m.used(from, item.To), l.Pair, wire.VerdictOverSenderQuota},
		{m.used(from, ""), l.Sender, wire.VerdictOverSenderQuota},
		{m.used("", item.To), l.Recipient, wire.VerdictOverMailboxQuota},
		{m.used("", ""), l.Total, wire.VerdictOverStoreQuota},
	} {
		if limit.used.Items >= limit.most.Items || limit.used.Bytes+int64(len(item.Payload)) > limit.most.Bytes {
			return limit.refusal
		}
	}
	return 0
}

// shape is the verdict on an item that is wrong wherever it goes.
func shape(l mailbox.Limits, item wire.MailItem) wire.Verdict {
	most := item.Kind.MaxPayload()
	switch {
	case most == 0 || len(item.Payload) == 0:
		return wire.VerdictMalformed
	case len(item.Payload) > min(most, l.Item):
		return wire.VerdictTooLarge
	}
	return 0
}
