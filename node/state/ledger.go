package state

import (
	"context"
	"time"

	"conclave/node/deadline"
	"conclave/overlay/wire"
)

const (
	// commitRetry is how long a commit that failed (a full disk, say) waits before it is tried again.
	commitRetry = time.Second
	// Pause is how long a commit that nobody waits for waits for more. Arbitrary: a few messages that come together are
	// entered together, and on a machine where others read them too they are not held up meanwhile.
	Pause = 5 * time.Millisecond
)

// More than burst messages that are on disk nowhere yet wait burstWait times as long for a relay node: so many cost more
// to write and to take out again than to send. Arbitrary: a quarter of a second for what nobody types.
const (
	burst     = 64
	burstWait = 25
)

// maxBuffers is how many buffers for sessions' states are kept for the next ones. Arbitrary: one or two sessions are in use.
const maxBuffers = 4

// LedgerConfig is what a Ledger is made of.
type LedgerConfig struct {
	// QueueCommit is how long an outgoing message may wait to be written: a relay node may store it before. Of more than
	// 64 messages, 25 times that.
	QueueCommit time.Duration
	// WindowCommit is the longest wait of a commit that nobody waits for, while more keeps coming.
	WindowCommit time.Duration
	// Sessions adds the state of every session that has changed since it was last added. A state may be built in what
	// buffer returns. done is called on the owner's goroutine when the state is on disk.
	Sessions func(buffer func() []byte, add func(t wire.Transcript, state []byte, done func()))
	// Post has a function called on the owner's goroutine. It reports false when ctx has ended.
	Post func(ctx context.Context, f func()) bool
	// Failed is told, on the ledger's goroutine, when a commit fails for the first time. It is tried again.
	Failed func(error)
}

// Ledger makes things durable in the order in which they happened, one transaction at a time: while one is under way the
// next gathers. What follows from a step waits until the step is on disk. All methods but Run belong to the owner's
// goroutine.
type Ledger struct {
	cfg    LedgerConfig
	commit func(context.Context, *Change) error
	jobs   chan *entry

	next *entry    // gathering
	due  time.Time // when next is to be committed at the latest; zero: there is nothing to do
	idle time.Time // when it is to be committed if nothing more comes; zero: no sooner

	unwritten  map[int64]outgoing // messages that a relay node may store before they are written, by their place
	since      time.Time          // when the first of them came
	committing bool               // an entry is on its way to the disk
	waiting    int                // functions given to Then that are not called yet
	buffers    [][]byte           // what sessions' states were built in, to be used again
}

// entry is one transaction and what follows from it.
type entry struct {
	change  *Change
	states  []sessionState
	after   []func() // in their order, and before anything that comes later
	written []func() // of outgoing messages
}

type sessionState struct {
	data []byte
	done func()
}

// outgoing is a message for the outbox on disk, and what is called when it is there.
type outgoing struct {
	Outgoing
	written func()
}

// NewLedger returns a ledger that commits to a store.
func NewLedger(s *Store, cfg LedgerConfig) *Ledger { return newLedger(s.Commit, cfg) }

func newLedger(commit func(context.Context, *Change) error, cfg LedgerConfig) *Ledger {
	return &Ledger{cfg: cfg, commit: commit, jobs: make(chan *entry, 1), next: newEntry(), unwritten: make(map[int64]outgoing)}
}

func newEntry() *entry { return &entry{change: &Change{}} }

// Change returns what gathers; whoever writes into it calls Within, Soon or Then.
func (l *Ledger) Change() *Change { return l.next.change }

// Within has what gathers committed after d at the latest.
func (l *Ledger) Within(d time.Duration) { l.due = deadline.Sooner(l.due, time.Now().Add(d)) }

// Soon has what gathers committed once nothing more has come for Pause, and after WindowCommit at the latest. Messages mostly
// come one at a time: their commit is over before the next one, which it would hold up on a busy machine.
func (l *Ledger) Soon() {
	l.Within(l.cfg.WindowCommit)
	l.idle = time.Now().Add(Pause)
}

// Then calls f once everything gathered so far is on disk, as soon as possible.
func (l *Ledger) Then(f func()) {
	l.next.after = append(l.next.after, f)
	l.waiting++
	l.Within(0)
}

// Queue puts a message into the outbox on disk, after a while, and calls written once it is there. Unlike with Then, nothing
// waits behind it. A message that is done before never has to be written.
func (l *Ledger) Queue(m Outgoing, written func()) {
	if len(l.unwritten) == 0 {
		l.since = time.Now()
	}
	l.unwritten[m.Seq] = outgoing{m, written}
}

// Done takes a message out of the outbox.
func (l *Ledger) Done(seq int64) {
	if _, here := l.unwritten[seq]; here {
		delete(l.unwritten, seq)
		return
	}
	l.Change().Done(seq)
	l.Soon()
}

// overdue returns when the messages that are not written yet have to be.
func (l *Ledger) overdue() time.Time {
	wait := l.cfg.QueueCommit
	switch n := len(l.unwritten); {
	case n == 0:
		return time.Time{}
	case n > burst:
		wait *= burstWait
	}
	return l.since.Add(wait)
}

// release has the messages that are not written yet written with what gathers.
func (l *Ledger) release() {
	for _, m := range l.unwritten {
		l.next.change.Queue(m.Outgoing)
		l.next.written = append(l.next.written, m.written)
	}
	clear(l.unwritten)
}

// Waiting reports whether a function given to Then is still to be called, so that what comes now has to wait behind it.
func (l *Ledger) Waiting() bool { return l.waiting > 0 }

// Deadline returns when Settle has something to do; zero: not before something happens.
func (l *Ledger) Deadline() time.Time {
	if l.committing {
		return time.Time{}
	}
	return deadline.Sooner(deadline.Sooner(l.due, l.idle), l.overdue())
}

// Settle begins a commit if one is due and none is under way.
func (l *Ledger) Settle() {
	if due := l.Deadline(); due.IsZero() || time.Now().Before(due) {
		return
	}
	if due := l.overdue(); !due.IsZero() && !time.Now().Before(due) {
		l.release()
	}
	l.committing = true
	l.jobs <- l.close()
}

// close ends the gathering of an entry: the states of all sessions that changed go into it.
func (l *Ledger) close() *entry {
	e := l.next
	l.cfg.Sessions(l.buffer, func(t wire.Transcript, state []byte, done func()) {
		e.change.SetState(t, state)
		e.states = append(e.states, sessionState{state, done})
	})
	l.next, l.due, l.idle = newEntry(), time.Time{}, time.Time{}
	return e
}

// buffer returns memory for a session's state, if there is some.
func (l *Ledger) buffer() []byte {
	n := len(l.buffers)
	if n == 0 {
		return nil
	}
	b := l.buffers[n-1]
	l.buffers = l.buffers[:n-1]
	return b
}

// Run commits until ctx ends. It is the only other goroutine.
func (l *Ledger) Run(ctx context.Context) {
	for {
		select {
		case e := <-l.jobs:
			if !l.write(ctx, e) || !l.cfg.Post(ctx, func() { l.committed(e) }) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// write tries until it succeeds or ctx ends. What failed left nothing behind, so trying again does no harm.
func (l *Ledger) write(ctx context.Context, e *entry) bool {
	for failures := 0; ; failures++ {
		err := l.commit(context.WithoutCancel(ctx), e.change)
		if err == nil {
			return true
		}
		if failures == 0 {
			l.cfg.Failed(err)
		}
		select {
		case <-time.After(commitRetry):
		case <-ctx.Done():
			return false
		}
	}
}

// committed calls what an entry on disk allows.
func (l *Ledger) committed(e *entry) {
	l.committing = false
	l.conclude(e)
}

func (l *Ledger) conclude(e *entry) {
	for _, s := range e.states {
		s.done()
		clear(s.data) // there are keys in it
		if len(l.buffers) < maxBuffers {
			l.buffers = append(l.buffers, s.data)
		}
	}
	for _, f := range e.after {
		l.waiting--
		f()
	}
	for _, f := range e.written {
		f()
	}
}

// Begin commits what gathered before Run, and calls what follows from it.
func (l *Ledger) Begin() error {
	e, err := l.flush()
	if err == nil {
		l.conclude(e)
	}
	return err
}

// Finish commits what gathered, after Run has ended. Nothing follows from it any more.
func (l *Ledger) Finish() error {
	select {
	case e := <-l.jobs: // Run ended before it took it
		if err := l.commit(context.Background(), e.change); err != nil {
			return err
		}
	default:
	}
	_, err := l.flush()
	return err
}

func (l *Ledger) flush() (*entry, error) {
	l.release()
	e := l.close()
	return e, l.commit(context.Background(), e.change)
}
