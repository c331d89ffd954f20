package relaynode

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"conclave/overlay/wire"
	"conclave/relaynode/news"
	"conclave/relaynode/pace"

	"github.com/libp2p/go-libp2p/core/peer"
)

// tellEverybody has everybody with a session told.
func (n *Node) tellEverybody(b news.Bits) {
	for _, m := range n.table.all() {
		m.news.Set(b)
	}
	n.peers.Tell(b)
}

// memberState is up to where a member was memberState; owned by the goroutine that tells.
type memberState struct {
	news.State
	mail int64 // sequence number of the last mail handed on in this session
}

// teller returns what tells this member its news, and ends the session when that fails.
func (m *member) teller(ctx context.Context, at memberState) func(news.Bits, []wire.BatchID) {
	return func(bits news.Bits, stored []wire.BatchID) {
		if err := m.tellAll(ctx, bits, stored, &at); err != nil && ctx.Err() == nil {
			m.end(err)
		}
	}
}

// tellAll writes one round of news. Acknowledgements come first: somebody waits for them.
func (m *member) tellAll(ctx context.Context, bits news.Bits, stored []wire.BatchID, at *memberState) error {
	for len(stored) > 0 {
		k := min(len(stored), wire.MaxListItems)
		if err := m.loop.Send(ctx, &wire.Stored{IDs: stored[:k]}); err != nil {
			return err
		}
		stored = stored[k:]
	}
	if err := m.n.source.TellRoster(ctx, m.loop.Send, &at.State); err != nil {
		return err
	}
	if bits&news.Presence != 0 {
		if err := m.loop.Send(ctx, &wire.Presence{Online: m.n.present()}); err != nil {
			return err
		}
	}
	if bits&news.Mail != 0 {
		if err := m.handOn(ctx, at); err != nil {
			return err
		}
	}
	if bits&news.Backlog != 0 {
		return m.n.source.TellHeads(ctx, m.loop.Send, &at.State)
	}
	return nil
}

// headsPatience is how many times Limits.Heads a report waits at most while the backlog goes on changing. Arbitrary: in the midst
// of a stream the next messages tell of most gaps, and each report is a message to everybody, which is in the way of those that
// people wait for.
const headsPatience = 4

// pushHeads tells the members and the other relay nodes that the backlog changed, in the next pause. It waits before it tells,
// not after: what has just been stored is on its way over the topic, and a member that is told too early fetches in vain.
func (n *Node) pushHeads(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.source.Heads.Signal:
		}
		if !pace.Calm(ctx, n.source.Heads.Signal, n.cfg.Limits.Heads, headsPatience*n.cfg.Limits.Heads) {
			return nil
		}
		n.tellEverybody(news.Backlog)
	}
}

// pushPresence tells the members who is online, and the other relay nodes who is online here, the first change at once and
// further ones together.
func (n *Node) pushPresence(ctx context.Context) error {
	pace.Every(ctx, n.presence, n.cfg.Limits.Presence, func() { n.tellEverybody(news.Presence) })
	return nil
}

// tellStored tells a member which of the batches that it published are durable.
func (n *Node) tellStored(p peer.ID, ids []wire.BatchID) {
	if m := n.table.get(p); m != nil {
		n.count.add(dropStoredNotice, m.news.Add(ids))
	}
}

// present returns everybody who has a session here or is said to have one at another relay node, sorted.
func (n *Node) present() []peer.ID {
	all := append(n.table.Present(), n.peers.Members()...)
	slices.Sort(all)
	return slices.Compact(all)
}

// handOn delivers mail, oldest first, as far as the window allows.
func (m *member) handOn(ctx context.Context, at *memberState) error {
	for m.mail.open() {
		page, err := m.n.mail.Pending(ctx, m.peer, at.mail, wire.MaxMailItems)
		if err != nil {
			return fmt.Errorf("reading the mailbox: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		mails := make([]wire.Mail, len(page))
		for i, p := range page {
			mails[i] = p.Mail
		}
		m.mail.sent(m.peer, mails)
		if err := m.loop.Send(ctx, &wire.Delivery{Mails: mails}); err != nil {
			return err
		}
		at.mail = page[len(page)-1].Seq
		m.n.log.Debug("mail handed on", "to", m.role, "count", len(mails))
	}
	return nil
}

// mailWindow bounds the mail that was handed on in a session and is not yet acknowledged. Mail that is not acknowledged
// in time stays in the mailbox, for the next session, and stops holding back the rest.
type mailWindow struct {
	limit    int            // bytes; static
	patience time.Duration  // static
	stalled  func(lost int) // static; called when the window opened by itself

	mu    sync.Mutex
	size  map[wire.MailID]int // guarded by mu
	bytes int                 // guarded by mu
	timer *time.Timer         // guarded by mu; runs while the window is closed
}

func newMailWindow(limit int, patience time.Duration, stalled func(lost int)) *mailWindow {
	return &mailWindow{limit: limit, patience: patience, stalled: stalled, size: make(map[wire.MailID]int)}
}

// open reports whether more mail may be handed on.
func (w *mailWindow) open() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes < w.limit
}

func (w *mailWindow) sent(to peer.ID, mails []wire.Mail) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, mail := range mails {
		id := wire.MailIDOf(mail.From, to, mail.Kind, mail.Payload)
		if _, twice := w.size[id]; !twice {
			w.size[id] = len(mail.Payload)
			w.bytes += len(mail.Payload)
		}
	}
	if w.bytes >= w.limit {
		w.timer = time.AfterFunc(w.patience, w.giveUp)
	}
}

// acknowledged makes room and reports whether there was none before.
func (w *mailWindow) acknowledged(ids []wire.MailID) (opened bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.bytes < w.limit
	for _, id := range ids {
		w.bytes -= w.size[id]
		delete(w.size, id)
	}
	if opened = !before && w.bytes < w.limit; opened {
		w.timer.Stop()
	}
	return opened
}

// giveUp opens the window whatever is missing.
func (w *mailWindow) giveUp() {
	w.mu.Lock()
	lost := len(w.size)
	if w.bytes < w.limit {
		lost = 0 // opened meanwhile
	} else {
		clear(w.size)
		w.bytes = 0
	}
	w.mu.Unlock()
	if lost > 0 {
		w.stalled(lost)
	}
}

// close ends the timer.
func (w *mailWindow) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}
