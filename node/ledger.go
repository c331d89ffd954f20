package node

import (
	"context"
	"fmt"
	"time"

	"conclave/node/frame"
	"conclave/node/state"
)

// commitRetry is how long a commit that failed (a full disk, say) waits before it is tried again.
const commitRetry = time.Second

// gather is how long a commit that nobody waits for waits for more. Arbitrary: a few messages that come together are entered
// together, and on a machine where others read them too they are not held up meanwhile.
const gather = 5 * time.Millisecond

// More than burst messages that are on disk nowhere yet wait burstWait times as long for a relay node: so many cost more
// to write and to take out again than to send. Arbitrary: a quarter of a second for what nobody types.
const (
	burst     = 64
	burstWait = 25
)

// maxRooms is how many sessions' states are kept as room for the next ones. Arbitrary: one or two sessions are in use.
const maxRooms = 4

// ledger makes things durable in the order in which they happened, one transaction at a time: while one is under way
// the next gathers. What follows from a step of the machine waits in after until the step is on disk.
type ledger struct {
	e     *engine
	store *state.Store
	jobs  chan *entry

	next *entry    // gathering
	due  time.Time // when next is to be committed at the latest; zero: there is nothing to do
	idle time.Time // when it is to be committed if nothing more comes; zero: no sooner

	held   map[int64]outgoing // messages that a relay node may store before they are written, by their place
	since  time.Time          // when the first of them came
	flying bool               // an entry is being committed
	rooms  [][]byte           // what states of sessions were written from, to be used again
	steps  int                // afters that are not performed yet, of the flying entry and the next
}

// entry is one transaction and what follows from it.
type entry struct {
	change      *state.Change
	checkpoints []sessionCheckpoint
	after       []func() // in their order, and before anything that comes later
	told        []func() // whenever
}

// outgoing is a message for the outbox on disk and who is told when it is there.
type outgoing struct {
	state.Outgoing
	told func()
}

type sessionCheckpoint struct {
	session *frame.Session
	point   frame.Checkpoint
}

func newLedger(e *engine, store *state.Store) *ledger {
	return &ledger{e: e, store: store, jobs: make(chan *entry, 1), next: newEntry(), held: make(map[int64]outgoing)}
}

func newEntry() *entry { return &entry{change: &state.Change{}} }

// change returns what gathers; whoever writes into it calls within, soon or then.
func (l *ledger) change() *state.Change { return l.next.change }

// within has what gathers committed after d at the latest.
func (l *ledger) within(d time.Duration) { l.due = sooner(l.due, time.Now().Add(d)) }

// soon has what gathers committed once nothing more has come for gather, and after WindowCommit at the latest. Messages mostly
// come one at a time: their commit is over before the next one, which it would hold up on a busy machine.
func (l *ledger) soon() {
	l.within(l.e.cfg.Timing.WindowCommit)
	l.idle = time.Now().Add(gather)
}

// then performs f once everything gathered so far is on disk, as soon as possible.
func (l *ledger) then(f func()) {
	l.next.after = append(l.next.after, f)
	l.steps++
	l.within(0)
}

// queue puts a message into the outbox on disk, after a while, and calls f once it is there. Unlike with then, nothing
// waits behind it. A message that is done before never has to be written.
func (l *ledger) queue(m state.Outgoing, f func()) {
	if len(l.held) == 0 {
		l.since = time.Now()
	}
	l.held[m.Seq] = outgoing{m, f}
}

// done takes a message out of the outbox.
func (l *ledger) done(seq int64) {
	if _, here := l.held[seq]; here {
		delete(l.held, seq)
		return
	}
	l.change().Done(seq)
	l.soon()
}

// overdue returns when the messages that are held back have to be written.
func (l *ledger) overdue() time.Time {
	wait := l.e.cfg.Timing.QueueCommit
	switch n := len(l.held); {
	case n == 0:
		return time.Time{}
	case n > burst:
		wait *= burstWait
	}
	return l.since.Add(wait)
}

// release has what is held back written with what gathers.
func (l *ledger) release() {
	for _, m := range l.held {
		l.next.change.Queue(m.Outgoing)
		l.next.told = append(l.next.told, m.told)
	}
	clear(l.held)
}

// waiting reports whether something waits to be performed, so that what comes now has to wait behind it.
func (l *ledger) waiting() bool { return l.steps > 0 }

func (l *ledger) deadline() time.Time {
	if l.flying {
		return time.Time{}
	}
	return sooner(sooner(l.due, l.idle), l.overdue())
}

// settle begins a commit if one is due and none is under way.
func (l *ledger) settle() {
	if due := l.deadline(); due.IsZero() || time.Now().Before(due) {
		return
	}
	if due := l.overdue(); !due.IsZero() && !time.Now().Before(due) {
		l.release()
	}
	l.flying = true
	l.jobs <- l.close()
}

// close ends the gathering of an entry: the states of all sessions that changed go into it.
func (l *ledger) close() *entry {
	entry := l.next
	for _, c := range l.e.chats.all {
		if c.frames.Dirty() {
			point := c.frames.CheckpointIn(l.room())
			entry.change.SetState(c.about.Transcript, point.Bytes())
			entry.checkpoints = append(entry.checkpoints, sessionCheckpoint{c.frames, point})
		}
	}
	l.next, l.due, l.idle = newEntry(), time.Time{}, time.Time{}
	return entry
}

// room returns memory for a session's state, if there is some.
func (l *ledger) room() []byte {
	n := len(l.rooms)
	if n == 0 {
		return nil
	}
	room := l.rooms[n-1]
	l.rooms = l.rooms[:n-1]
	return room
}

// run commits entries until ctx ends. It is the ledger's only other goroutine.
func (l *ledger) run(ctx context.Context) {
	for {
		select {
		case entry := <-l.jobs:
			if !l.commit(ctx, entry) || !l.e.n.post(ctx, func(*engine) { l.committed(entry) }) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// commit tries until it succeeds or ctx ends. What failed left nothing behind, so trying again does no harm.
func (l *ledger) commit(ctx context.Context, entry *entry) bool {
	for failures := 0; ; failures++ {
		err := l.store.Commit(context.WithoutCancel(ctx), entry.change)
		if err == nil {
			return true
		}
		if failures == 0 {
			l.e.cfg.Log.Error("the state cannot be written; nothing new is sent until it can", "err", err)
			l.e.n.hub.publish(Problem{At: l.e.at(), Text: fmt.Sprintf("the state cannot be written: %v", err), Hint: "make room on the disk"})
		}
		select {
		case <-time.After(commitRetry):
		case <-ctx.Done():
			return false
		}
	}
}

// committed performs what an entry on disk allows.
func (l *ledger) committed(entry *entry) {
	l.flying = false
	l.settled(entry)
}

func (l *ledger) settled(entry *entry) {
	for _, c := range entry.checkpoints {
		c.session.Committed(c.point)
		room := c.point.Bytes()
		clear(room) // there are keys in it
		if len(l.rooms) < maxRooms {
			l.rooms = append(l.rooms, room)
		}
	}
	for _, f := range entry.after {
		l.steps--
		f()
	}
	for _, f := range entry.told {
		f()
	}
}

// finish commits what gathered, on the caller's goroutine: before loop and after it.
func (l *ledger) finish() error {
	select {
	case entry := <-l.jobs: // run ended before it took it
		if err := l.store.Commit(context.Background(), entry.change); err != nil {
			return err
		}
	default:
	}
	l.release()
	entry := l.close()
	err := l.store.Commit(context.Background(), entry.change)
	if err == nil && l.e.ctx == nil {
		l.settled(entry)
	}
	return err
}
