package state

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"conclave/overlay/wire"
)

// idle returns a ledger whose commits nobody runs.
func idle(cfg LedgerConfig) *Ledger {
	cfg.Sessions = func(func() []byte, func(wire.Transcript, []byte, func())) {}
	return newLedger(nil, cfg)
}

// TestQueueWaits has one message wait for a relay node for a while, a burst longer, and nothing once all are stored. What
// else is written meanwhile does not take them along.
func TestQueueWaits(t *testing.T) {
	l := idle(LedgerConfig{QueueCommit: time.Hour, WindowCommit: time.Minute})
	hours := func() time.Duration { return time.Until(l.Deadline()).Round(time.Hour) / time.Hour }
	l.Queue(Outgoing{Seq: 0}, func() {})
	if got := hours(); got != 1 {
		t.Errorf("one message is written after %d hours, want 1", got)
	}
	for i := range int64(burst) {
		l.Queue(Outgoing{Seq: 1 + i}, func() {})
	}
	if got := hours(); got != burstWait {
		t.Errorf("a burst is written after %d hours, want %d", got, burstWait)
	}
	for i := range int64(burst + 1) {
		l.Done(i)
	}
	if !l.Deadline().IsZero() {
		t.Error("a commit is wanted though every message is stored")
	}
	l.Within(0)
	l.Queue(Outgoing{Seq: 200}, func() {})
	l.Settle()
	if entry := <-l.jobs; !entry.change.Empty() || len(l.unwritten) != 1 {
		t.Errorf("a commit of something else took a message along: %+v", entry.change)
	}
	l.committing = false
	l.since = l.since.Add(-time.Hour)
	l.Settle()
	if entry := <-l.jobs; entry.change.Empty() || len(entry.written) != 1 || len(l.unwritten) != 0 {
		t.Errorf("a message whose time has come is not written: %+v", entry.change)
	}
	l.committing = false
	l.Done(200)
	if got := time.Until(l.Deadline()); l.Deadline().IsZero() || got > time.Minute {
		t.Errorf("a message that is done is taken out after %v", got)
	}
}

// TestCommitsWhenIdle has what messages bring committed in the first pause between them, and without a pause in time all the
// same.
func TestCommitsWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latest = 50 * time.Millisecond
		l := idle(LedgerConfig{WindowCommit: latest})
		began := time.Now()
		l.Soon()
		if got := time.Until(l.Deadline()); got != Pause {
			t.Errorf("a commit is due %v after a message, want %v", got, Pause)
		}
		for time.Since(began) < latest-time.Millisecond {
			time.Sleep(time.Millisecond)
			l.Settle()
			l.Soon()
		}
		if len(l.jobs) > 0 {
			t.Fatal("a commit began between messages that follow each other closely")
		}
		time.Sleep(time.Millisecond)
		l.Settle()
		if len(l.jobs) == 0 {
			t.Errorf("no commit began within %v", latest)
		}
		l.committing = false
		if !l.Deadline().IsZero() {
			t.Error("a commit is wanted though nothing came since the last")
		}
	})
}

// owner is a goroutine's queue, as the engine has it, and a disk that may fail.
type owner struct {
	todo   chan func()
	fail   int // so many commits fail
	failed []error
	disk   []string // what was committed, by key
}

var errDisk = errors.New("no space left on device")

func (o *owner) commit(_ context.Context, c *Change) error {
	if o.fail > 0 {
		o.fail--
		return errDisk
	}
	for _, op := range c.ops {
		o.disk = append(o.disk, op.args[0].(string))
	}
	for t := range c.sessions {
		o.disk = append(o.disk, "session "+string(t[0]))
	}
	return nil
}

func (o *owner) config() LedgerConfig {
	return LedgerConfig{
		WindowCommit: time.Second,
		Sessions:     func(func() []byte, func(wire.Transcript, []byte, func())) {},
		Failed:       func(err error) { o.failed = append(o.failed, err) },
		Post: func(ctx context.Context, f func()) bool {
			select {
			case o.todo <- f:
				return true
			case <-ctx.Done():
				return false
			}
		},
	}
}

// TestStepsKeepTheirOrder has steps gather while a commit is under way, on a disk that is full for a while: each is called
// after what it rests on is on disk, in order, and a failure is told once.
func TestStepsKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &owner{todo: make(chan func(), 8), fail: 3}
		l := newLedger(o.commit, o.config())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go l.Run(ctx)
		var steps []string
		step := func(key string) {
			l.Change().Put(key, nil)
			l.Then(func() {
				if !slices.Contains(o.disk, key) {
					t.Errorf("%s is done before it is on disk", key)
				}
				steps = append(steps, key)
			})
			l.Settle()
		}
		step("a")
		step("b")
		step("c")
		if !l.Waiting() {
			t.Error("nothing waits")
		}
		for len(steps) < 3 {
			(<-o.todo)()
			l.Settle()
		}
		if !slices.Equal(steps, []string{"a", "b", "c"}) || l.Waiting() || !l.Deadline().IsZero() {
			t.Errorf("steps %v, waiting %v, deadline %v", steps, l.Waiting(), l.Deadline())
		}
		if len(o.failed) != 1 || !errors.Is(o.failed[0], errDisk) {
			t.Errorf("failures told: %v", o.failed)
		}
	})
}

// TestSessionsGoAlong has a session's state go into the next commit, and its memory be erased and used again.
func TestSessionsGoAlong(t *testing.T) {
	o := &owner{}
	cfg := o.config()
	var lent []byte
	done := 0
	cfg.Sessions = func(buffer func() []byte, add func(wire.Transcript, []byte, func())) {
		lent = append(buffer()[:0], "keys"...)
		add(wire.Transcript{'x'}, lent, func() { done++ })
	}
	l := newLedger(o.commit, cfg)
	called := false
	l.Then(func() { called = true })
	if err := l.Begin(); err != nil || !called || done != 1 || !slices.Equal(o.disk, []string{"session x"}) {
		t.Fatalf("%v, called %v, %d states on disk, %q", err, called, done, o.disk)
	}
	if string(lent) != "\x00\x00\x00\x00" {
		t.Errorf("the state is still in memory: %q", lent)
	}
	first := &lent[0]
	if err := l.Finish(); err != nil || done != 1 {
		t.Errorf("after the end: %v, %d states told of", err, done)
	}
	if &lent[0] != first {
		t.Error("the memory is not used again")
	}
}
