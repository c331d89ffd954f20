package durable

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
)

// job is one queued write.
type job struct {
	fn    func(*Tx) error
	taken atomic.Bool // set by whoever comes first: the writer that will run it, or the caller who gives up
	done  chan error  // receives exactly one result when the writer has taken it
}

// Write runs fn in a transaction and returns when that transaction is on the disk, or with fn's error, or with the
// reason why it could not be committed.
//
// fn must only use tx and memory: it runs on the writer's goroutine and holds everybody up. It may run a second time
// when the first attempt was undone, so it should set what it hands out, never add to it. What it hands out is true
// only after Write has returned nil.
//
// When ctx ends while the write is still queued it is withdrawn and ctx's error returned. A write that has begun is
// always waited for, because fn may be using the caller's memory.
func (d *DB) Write(ctx context.Context, fn func(tx *Tx) error) error {
	j := &job{fn: fn, done: make(chan error, 1)}
	if err := d.enqueue(ctx, j); err != nil {
		return err
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return <-j.done
	}
}

func (d *DB) enqueue(ctx context.Context, j *job) error {
	d.gate.RLock()
	defer d.gate.RUnlock()
	if d.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case d.jobs <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Read runs fn on the newest committed state. It sees every write whose Write has returned. fn must not change anything;
// what it changes nevertheless is undone. When ctx ends, the query that is running is interrupted.
func (d *DB) Read(ctx context.Context, fn func(tx *Tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	raw := d.conn.raw
	before := raw.SetInterrupt(ctx)
	err := d.read(fn)
	raw.SetInterrupt(before)
	d.conn.tx.takeBack(0)
	if !raw.GetAutocommit() {
		err = errors.Join(err, raw.Exec("ROLLBACK"))
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return classify(d.path, err)
}

func (d *DB) read(fn func(tx *Tx) error) error {
	if err := d.conn.tx.Exec("BEGIN"); err != nil {
		return err
	}
	return fn(&d.conn.tx)
}

// Close commits what is queued, waits for it and closes the file. Calls that come later return ErrClosed.
func (d *DB) Close() error {
	d.gate.Lock()
	first := !d.closed
	d.closed = true
	if first {
		close(d.jobs)
	}
	d.gate.Unlock()
	<-d.done
	return d.closeErr
}

// run is the writer: it opens the file, commits what is queued, and closes the file.
func (d *DB) run(oneThread bool, connect func() error, opened chan<- error) {
	if oneThread {
		runtime.LockOSThread() // until it ends
	}
	if err := connect(); err != nil {
		opened <- err
		return
	}
	opened <- nil
	defer close(d.done)
	group := make([]*job, 0, d.max)
	for first := range d.jobs {
		group = d.gather(group[:0], first)
		d.mu.Lock()
		d.commit(group)
		d.mu.Unlock()
		clear(group)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closeErr = classify(d.path, d.conn.close())
	d.conn = nil
}

// gather returns the write that was waited for and all that are queued behind it, without those that were withdrawn.
func (d *DB) gather(group []*job, first *job) []*job {
	for j := first; ; {
		if j.taken.CompareAndSwap(false, true) {
			group = append(group, j)
		}
		if len(group) == d.max {
			return group
		}
		select {
		case next, open := <-d.jobs:
			if !open {
				return group
			}
			j = next
		default:
			return group
		}
	}
}

// commit commits a group and answers its writes. When the disk is full it makes what room it can and tries each write
// alone, so that a large one does not take the small ones with it.
func (d *DB) commit(group []*job) {
	if len(group) == 0 {
		return
	}
	results, err := d.attempt(group)
	if errors.Is(err, ErrFull) {
		// Frames that are already in the database file can be overwritten: a log that starts over needs no new room.
		_, _, _ = d.conn.raw.WALCheckpoint("main", sqlite3.CHECKPOINT_RESTART)
		for _, j := range group {
			results, err := d.attempt([]*job{j})
			d.answer([]*job{j}, results, err)
		}
		return
	}
	d.answer(group, results, err)
}

func (d *DB) answer(group []*job, results []error, err error) {
	if err != nil {
		d.stats.Refused += uint64(len(group))
	} else {
		d.stats.Groups++
		d.stats.Largest = max(d.stats.Largest, len(group))
	}
	for i, j := range group {
		switch {
		case err != nil:
			j.done <- err
		default:
			if results[i] == nil {
				d.stats.Writes++
			}
			j.done <- results[i]
		}
	}
}

// attempt runs a group in one transaction. It returns each write's own result, or an error when all were undone.
//
// It first runs them without savepoints, which cost as much as a small write itself: every page that a savepoint sees
// changed is copied. Only when a write fails is the group undone and run again, each write in a savepoint.
func (d *DB) attempt(group []*job) ([]error, error) {
	results := make([]error, len(group))
	err := d.transact(group, results, d.plain)
	if errors.Is(err, errApart) {
		err = d.transact(group, results, d.apart)
	}
	if err != nil {
		return nil, fmt.Errorf("committing to %s: %w", d.path, classify(d.path, err))
	}
	return results, nil
}

// errApart is returned by plain when a write failed and may have left something behind.
var errApart = errors.New("a write of the group failed")

// transact runs a group in one transaction and leaves none open.
func (d *DB) transact(group []*job, results []error, run func(*Tx, *job, *error) error) error {
	err := d.runAll(group, results, run)
	if raw := d.conn.raw; !raw.GetAutocommit() {
		// Either something failed, or SQLite left the transaction open when the commit failed.
		err = errors.Join(err, raw.Exec("ROLLBACK"))
	}
	tx := &d.conn.tx
	if err != nil {
		tx.takeBack(0)
	}
	clear(tx.undo)
	tx.undo = tx.undo[:0]
	return err
}

func (d *DB) runAll(group []*job, results []error, run func(*Tx, *job, *error) error) error {
	tx := &d.conn.tx
	if err := tx.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for i, j := range group {
		if err := run(tx, j, &results[i]); err != nil {
			return err
		}
	}
	return tx.Exec("COMMIT")
}

// plain runs a write as it is.
func (d *DB) plain(tx *Tx, j *job, _ *error) error {
	err := j.fn(tx)
	switch {
	case tx.raw.GetAutocommit():
		return lost(err)
	case err != nil:
		return errApart
	}
	return nil
}

// apart runs a write in a savepoint, undoes it when it fails, and stores its error in result. It returns an error when
// the whole transaction is lost.
func (d *DB) apart(tx *Tx, j *job, result *error) error {
	if err := tx.Exec("SAVEPOINT w"); err != nil {
		return err
	}
	before := len(tx.undo)
	err := j.fn(tx)
	if tx.raw.GetAutocommit() {
		return lost(err)
	}
	if err != nil {
		*result = classify(d.path, err)
		tx.takeBack(before)
		if err := tx.Exec("ROLLBACK TO w"); err != nil {
			return err
		}
	}
	return tx.Exec("RELEASE w")
}

// lost is what a write's error means when SQLite has given up the whole transaction with it, as it does when the disk is
// full or fails, or memory runs out.
func lost(err error) error {
	if err == nil {
		err = errors.New("the write ended the transaction itself")
	}
	return fmt.Errorf("a write ended the transaction: %w", err)
}
