package state

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"conclave/overlay/durable"
	"conclave/overlay/wire"
)

// Change gathers what is to become durable together. The zero value is empty and ready. It is not for several
// goroutines at once.
type Change struct {
	ops      []op
	sessions map[wire.Transcript][]byte // newest state of each, written once however often it changed
	queued   map[int64]Outgoing
	done     map[int64]struct{}
	shown    []Shown
}

// op is one statement of a change.
type op struct {
	query string
	args  []any
}

// Empty reports whether there is nothing to commit.
func (c *Change) Empty() bool {
	return len(c.ops) == 0 && len(c.sessions) == 0 && len(c.queued) == 0 && len(c.done) == 0 && len(c.shown) == 0
}

// Put stores a key agreement record.
func (c *Change) Put(key string, value []byte) {
	c.add("INSERT OR REPLACE INTO records (key, value) VALUES (?, ?)", key, value)
}

// Delete removes a key agreement record.
func (c *Change) Delete(key string) { c.add("DELETE FROM records WHERE key = ?", key) }

// Mark remembers under a name what a person decided, or what was found out about a network.
func (c *Change) Mark(key string, value []byte) {
	c.add("INSERT OR REPLACE INTO marks (key, value) VALUES (?, ?)", key, value)
}

// AddSession stores a new session.
func (c *Change) AddSession(s Session) {
	c.add("INSERT OR REPLACE INTO sessions (transcript, about, state) VALUES (?, ?, ?)", s.Transcript[:], s.About, s.State)
}

// Forget removes a session.
func (c *Change) Forget(t wire.Transcript) {
	delete(c.sessions, t)
	c.add("DELETE FROM sessions WHERE transcript = ?", t[:])
}

// SetState replaces the state of a session that is there; without one it does nothing.
func (c *Change) SetState(t wire.Transcript, state []byte) {
	if c.sessions == nil {
		c.sessions = make(map[wire.Transcript][]byte)
	}
	c.sessions[t] = state
}

// Queue puts a message into the outbox.
func (c *Change) Queue(o Outgoing) {
	if c.queued == nil {
		c.queued = make(map[int64]Outgoing)
	}
	c.queued[o.Seq] = o
}

// Done takes the message at a place out of the outbox. One that was queued in this same change never reaches the disk.
func (c *Change) Done(seq int64) {
	if _, here := c.queued[seq]; here {
		delete(c.queued, seq)
		return
	}
	if c.done == nil {
		c.done = make(map[int64]struct{})
	}
	c.done[seq] = struct{}{}
}

// Show remembers that a message was shown.
func (c *Change) Show(s Shown) { c.shown = append(c.shown, s) }

// Shelve keeps a sealed batch for other members.
func (c *Change) Shelve(s Shelved) {
	stored := int64(0)
	if s.Stored {
		stored = 1
	}
	c.add("INSERT OR REPLACE INTO shelf (seq, data, at, stored) VALUES (?, ?, ?, ?)", s.Seq, s.Data, s.At.UnixMilli(), stored)
}

// ShelfStored remembers that a relay node holds a shelved batch.
func (c *Change) ShelfStored(seq int64) { c.add("UPDATE shelf SET stored = 1 WHERE seq = ?", seq) }

// Unshelve removes a shelved batch.
func (c *Change) Unshelve(seq int64) { c.add("DELETE FROM shelf WHERE seq = ?", seq) }

func (c *Change) add(query string, args ...any) { c.ops = append(c.ops, op{query, args}) }

// Commit makes the change durable, all of it or nothing, and returns when it is.
func (s *Store) Commit(ctx context.Context, c *Change) error {
	if c.Empty() {
		return nil
	}
	if err := s.db.Write(ctx, c.apply); err != nil {
		return fmt.Errorf("writing the member's state: %w", err)
	}
	return nil
}

func (c *Change) apply(tx *durable.Tx) error {
	for _, o := range c.ops {
		if err := tx.Exec(o.query, o.args...); err != nil {
			return err
		}
	}
	for t, state := range c.sessions {
		if err := tx.Exec("UPDATE sessions SET state = ? WHERE transcript = ?", state, t[:]); err != nil {
			return err
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(c.queued)) { // in order: then they fill page after page
		o := c.queued[seq]
		if err := tx.Exec("INSERT OR REPLACE INTO outgoing (seq, id, text, at) VALUES (?, ?, ?, ?)", seq, o.ID[:], o.Text, o.At.UnixMilli()); err != nil {
			return err
		}
	}
	for seqs := slices.Sorted(maps.Keys(c.done)); len(seqs) > 0; { // a run of places at once
		n := 1
		for n < len(seqs) && seqs[n] == seqs[0]+int64(n) {
			n++
		}
		if err := tx.Exec("DELETE FROM outgoing WHERE seq BETWEEN ? AND ?", seqs[0], seqs[n-1]); err != nil {
			return err
		}
		seqs = seqs[n:]
	}
	return c.applyShown(tx)
}

// applyShown writes all that was shown as one row, whose key is how many there have ever been up to its last.
func (c *Change) applyShown(tx *durable.Tx) error {
	if len(c.shown) == 0 {
		return nil
	}
	var list []byte
	for _, s := range c.shown {
		list = s.append(list)
	}
	if err := tx.Exec("INSERT INTO shown_log (upto, list) SELECT coalesce(max(upto), 0) + ?, ? FROM shown_log", len(c.shown), list); err != nil {
		return err
	}
	return tx.Exec("DELETE FROM shown_log WHERE upto <= (SELECT max(upto) FROM shown_log) - ?", MaxShown)
}
