package relaynode

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// newsBits are the things that a member may have to be told. Telling is level triggered: whatever happens meanwhile, a
// slow member is told once, and what it is told is the present state. So there is no queue that could grow.
type newsBits uint8

const (
	newsPresence newsBits = 1 << iota // who is online
	newsRoster                        // a newer roster
	newsHeads                         // the backlog changed
	newsMail                          // there may be mail, or room for more
)

// maxStored is how many acknowledgements wait for one member. A member that reads none of so many loses further ones,
// which is counted; it then stores those batches again and learns that they are here.
const maxStored = 4 * wire.MaxListItems

// news is what one member has yet to be told. A goroutine that tells it runs only while there is something to tell: a
// member that is quiet costs no stack.
type news struct {
	tell func(newsBits, []wire.BatchID) // static; told by one goroutine at a time

	mu      sync.Mutex
	bits    newsBits       // guarded by mu
	stored  []wire.BatchID // guarded by mu
	telling bool           // guarded by mu: the goroutine runs
	closed  bool           // guarded by mu
	busy    sync.WaitGroup // the goroutine; added to under mu while not closed
}

func newNews(tell func(newsBits, []wire.BatchID)) *news { return &news{tell: tell} }

func (w *news) set(b newsBits) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bits |= b
	w.wake()
}

// add notes batches of this member that are durable and returns how many there was no room for.
func (w *news) add(ids []wire.BatchID) (dropped int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	room := max(0, maxStored-len(w.stored))
	if len(ids) > room {
		dropped = len(ids) - room
		ids = ids[:room]
	}
	w.stored = append(w.stored, ids...)
	w.wake()
	return dropped
}

// wake starts the goroutine that tells unless it runs. The caller holds mu.
func (w *news) wake() {
	if w.telling || w.closed {
		return
	}
	w.telling = true
	w.busy.Go(w.run)
}

func (w *news) run() {
	for {
		bits, ids, more := w.take()
		if !more {
			return
		}
		w.tell(bits, ids)
	}
}

// take returns all there is to tell and forgets it. When there is nothing the goroutine ends.
func (w *news) take() (bits newsBits, ids []wire.BatchID, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	bits, ids = w.bits, w.stored
	w.bits, w.stored = 0, nil
	w.telling = (bits != 0 || len(ids) > 0) && !w.closed
	return bits, ids, w.telling
}

// close returns when nothing is told any more.
func (w *news) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.busy.Wait()
}

// tellEverybody has everybody with a session told. Each gets its turn of a processor before the next: a hundred goroutines
// at once would be in the way of whatever else is to run, such as handing on a message, and the runtime keeps the stacks of
// those that have ended.
func (n *Node) tellEverybody(b newsBits) {
	for _, m := range n.table.all() {
		m.news.set(b)
		runtime.Gosched()
	}
	for _, l := range n.peering.all() {
		l.news.set(b)
		runtime.Gosched()
	}
}

// told is up to where a member was told; owned by the goroutine that tells.
type told struct {
	roster   uint64 // version
	revision int64  // of the backlog's heads
	mail     int64  // sequence number of the last mail handed on in this session
}

// teller returns what tells this member its news, and ends the session when that fails.
func (m *member) teller(ctx context.Context, at told) func(newsBits, []wire.BatchID) {
	return func(bits newsBits, stored []wire.BatchID) {
		if err := m.tellAll(ctx, bits, stored, &at); err != nil && ctx.Err() == nil {
			m.end(err)
		}
	}
}

// tellAll writes one round of news. Acknowledgements come first: somebody waits for them.
func (m *member) tellAll(ctx context.Context, bits newsBits, stored []wire.BatchID, at *told) error {
	for len(stored) > 0 {
		k := min(len(stored), wire.MaxListItems)
		if err := m.send(ctx, &wire.Stored{IDs: stored[:k]}); err != nil {
			return err
		}
		stored = stored[k:]
	}
	if err := m.n.tellRoster(ctx, m.send, at); err != nil {
		return err
	}
	if bits&newsPresence != 0 {
		if err := m.send(ctx, &wire.Presence{Online: m.n.present()}); err != nil {
			return err
		}
	}
	if bits&newsMail != 0 {
		if err := m.handOn(ctx, at); err != nil {
			return err
		}
	}
	if bits&newsHeads != 0 {
		return m.n.tellHeads(ctx, m.send, at)
	}
	return nil
}

// sending is a session's way to write one message.
type sending func(context.Context, wire.Message) error

// tellRoster writes the roster if the other side has an older one.
func (n *Node) tellRoster(ctx context.Context, send sending, at *told) error {
	current := n.roster.Load()
	if current.Version <= at.roster {
		return nil
	}
	at.roster = current.Version
	return send(ctx, &wire.RosterUpdate{Envelope: current.Envelope})
}

// tellHeads writes what changed in the backlog since the other side was told last; all of it the first time.
func (n *Node) tellHeads(ctx context.Context, send sending, at *told) error {
	heads, revision, err := n.heads.since(ctx, at.revision)
	if err != nil {
		return fmt.Errorf("reading the backlog's heads: %w", err)
	}
	full := at.revision == 0
	at.revision = revision
	for full || len(heads) > 0 {
		k := min(len(heads), wire.MaxListItems)
		if err := send(ctx, &wire.Heads{Heads: heads[:k:k], Full: full}); err != nil {
			return err
		}
		heads, full = heads[k:], false
	}
	return nil
}

// handOn delivers mail, oldest first, as far as the window allows.
func (m *member) handOn(ctx context.Context, at *told) error {
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
		if err := m.send(ctx, &wire.Delivery{Mails: mails}); err != nil {
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
