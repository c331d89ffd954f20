package mailbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/durable"
	"conclave/overlay/wire"
)

// Schema returns the tables of the mailbox, to be given to durable.Open. Peers are named by numbers, which keeps rows
// and indexes short; the index by recipient holds all that the books are made of.
func Schema() durable.Schema {
	return durable.Schema{Name: "mailbox", Steps: []string{`
CREATE TABLE mailbox_peer (
	peer INTEGER PRIMARY KEY,
	id   BLOB NOT NULL UNIQUE
);
CREATE TABLE mailbox_mail (
	seq       INTEGER PRIMARY KEY,
	id        BLOB NOT NULL UNIQUE,
	sender    INTEGER NOT NULL,
	recipient INTEGER NOT NULL,
	kind      INTEGER NOT NULL,
	size      INTEGER NOT NULL,
	expires   INTEGER NOT NULL, -- Unix time in milliseconds
	payload   BLOB NOT NULL
);
CREATE INDEX mailbox_by_recipient ON mailbox_mail (recipient, seq, sender, size);
CREATE INDEX mailbox_by_expiry ON mailbox_mail (expires);`}}
}

// SQLite is a mailbox in a durable database, which it may share with others. Closing the database is its owner's affair.
type SQLite struct {
	db     *durable.DB
	limits func() Limits

	// state is touched only inside the database's reads and writes, of which one runs at a time.
	state *state
}

// state is what memory holds of the database: whoever changes one changes the other, and takes it back with it.
type state struct {
	books books
	last  int64 // the highest Seq in use so far
	ids   map[peer.ID]int64
	peers map[int64]peer.ID
}

// NewSQLite returns the mailbox in db, which was opened with Schema. limits is asked at each deposit.
func NewSQLite(db *durable.DB, limits func() Limits) *SQLite { return &SQLite{db: db, limits: limits} }

// write runs a change of the mailbox.
func (s *SQLite) write(ctx context.Context, doing string, fn func(tx *durable.Tx, st *state) error) error {
	return s.run(ctx, s.db.Write, doing, fn)
}

// read runs a query of the mailbox.
func (s *SQLite) read(ctx context.Context, doing string, fn func(tx *durable.Tx, st *state) error) error {
	return s.run(ctx, s.db.Read, doing, fn)
}

func (s *SQLite) run(ctx context.Context, in func(context.Context, func(*durable.Tx) error) error, doing string, fn func(*durable.Tx, *state) error) error {
	err := in(ctx, func(tx *durable.Tx) error {
		if s.state == nil {
			st, err := load(tx)
			if err != nil {
				return err
			}
			s.state = st
		}
		return fn(tx, s.state)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// load reads what memory holds of the database.
func load(tx *durable.Tx) (*state, error) {
	st := &state{books: books{}, ids: map[peer.ID]int64{}, peers: map[int64]peer.ID{}}
	for row, err := range tx.Rows("SELECT peer, id FROM mailbox_peer") {
		if err != nil {
			return nil, err
		}
		st.know(row.Int64(0), peer.ID(row.Blob(1)))
	}
	for row, err := range tx.Rows("SELECT sender, recipient, count(*), sum(size), max(seq) FROM mailbox_mail GROUP BY sender, recipient") {
		if err != nil {
			return nil, err
		}
		st.books.add(st.peers[row.Int64(0)], st.peers[row.Int64(1)], int(row.Int64(2)), row.Int64(3))
		st.last = max(st.last, row.Int64(4))
	}
	return st, nil
}

func (st *state) know(n int64, id peer.ID) { st.ids[id], st.peers[n] = n, id }

// number returns a peer's number, a new one for a new peer.
func (st *state) number(tx *durable.Tx, id peer.ID) (int64, error) {
	if n, known := st.ids[id]; known {
		return n, nil
	}
	if err := tx.Exec("INSERT INTO mailbox_peer (id) VALUES (?)", []byte(id)); err != nil {
		return 0, err
	}
	n := tx.LastID()
	st.know(n, id)
	tx.OnUndo(func() {
		delete(st.ids, id)
		delete(st.peers, n)
	})
	return n, nil
}

// book enters mails that came or went.
func (st *state) book(tx *durable.Tx, from, to peer.ID, items int, bytes int64) {
	st.books.add(from, to, items, bytes)
	tx.OnUndo(func() { st.books.add(from, to, -items, -bytes) })
}

// Deposit implements Store.
func (s *SQLite) Deposit(ctx context.Context, from peer.ID, items []wire.MailItem, now time.Time) ([]wire.Verdict, error) {
	limits := s.limits()
	verdicts := make([]wire.Verdict, len(items))
	ids := make([]wire.MailID, len(items)) // hashed before the writer's turn, which everybody waits for
	for i, item := range items {
		ids[i] = wire.MailIDOf(from, item.To, item.Kind, item.Payload)
	}
	err := s.write(ctx, "taking a deposit", func(tx *durable.Tx, st *state) (err error) {
		for i, item := range items {
			if verdicts[i], err = st.deposit(tx, limits, from, item, ids[i], now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

func (st *state) deposit(tx *durable.Tx, limits Limits, from peer.ID, item wire.MailItem, id wire.MailID, now time.Time) (wire.Verdict, error) {
	if v := limits.shape(item); v != 0 {
		return v, nil
	}
	if v := st.books.room(limits, from, item); v != 0 {
		here, err := tx.One(nil, "SELECT 1 FROM mailbox_mail WHERE id = ?", id[:])
		if here {
			v = wire.VerdictDuplicate
		}
		return v, err
	}
	sender, err := st.number(tx, from)
	if err != nil {
		return 0, err
	}
	recipient, err := st.number(tx, item.To)
	if err != nil {
		return 0, err
	}
	err = tx.Exec("INSERT INTO mailbox_mail (seq, id, sender, recipient, kind, size, expires, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
		st.last+1, id[:], sender, recipient, int(item.Kind), len(item.Payload), now.Add(limits.TTL).UnixMilli(), item.Payload)
	if err != nil {
		return 0, err
	}
	if tx.Changes() == 0 {
		return wire.VerdictDuplicate, nil
	}
	st.last++ // a number that is undone is left out
	st.book(tx, from, item.To, 1, int64(len(item.Payload)))
	return wire.VerdictStored, nil
}

// Pending implements Store.
func (s *SQLite) Pending(ctx context.Context, to peer.ID, after int64, limit int) ([]Mail, error) {
	var page []Mail
	err := s.read(ctx, "reading a mailbox", func(tx *durable.Tx, st *state) error {
		bytes := 0
		for row, err := range tx.Rows("SELECT seq, id, sender, kind, payload FROM mailbox_mail WHERE recipient = ? AND seq > ? ORDER BY seq LIMIT ?", st.ids[to], after, limit) {
			if err != nil {
				return err
			}
			if bytes += row.Len(4); len(page) > 0 && bytes > pageBytes {
				return nil
			}
			mail := Mail{Seq: row.Int64(0), Mail: wire.Mail{From: st.peers[row.Int64(2)], Kind: wire.Kind(row.Int64(3)), Payload: row.Blob(4)}}
			copy(mail.ID[:], row.Blob(1))
			page = append(page, mail)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// Acknowledge implements Store.
func (s *SQLite) Acknowledge(ctx context.Context, to peer.ID, ids []wire.MailID) (int, error) {
	n := 0
	err := s.write(ctx, "acknowledging mail", func(tx *durable.Tx, st *state) error {
		n = 0
		for _, id := range ids {
			gone, err := st.remove(tx, "DELETE FROM mailbox_mail WHERE id = ? AND recipient = ? RETURNING sender, recipient, size", id[:], st.ids[to])
			if err != nil {
				return err
			}
			n += gone
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// remove runs a DELETE that returns sender, recipient and size, and takes the mails out of the books.
func (st *state) remove(tx *durable.Tx, query string, args ...any) (int, error) {
	n := 0
	for row, err := range tx.Rows(query, args...) {
		if err != nil {
			return 0, err
		}
		st.book(tx, st.peers[row.Int64(0)], st.peers[row.Int64(1)], -1, -row.Int64(2))
		n++
	}
	return n, nil
}

// Forget implements Store.
func (s *SQLite) Forget(ctx context.Context, to peer.ID) (int, error) {
	return s.removeAll(ctx, "forgetting a mailbox", "recipient = (SELECT peer FROM mailbox_peer WHERE id = ?)", []byte(to))
}

// Expire implements Store.
func (s *SQLite) Expire(ctx context.Context, now time.Time) (int, error) {
	return s.removeAll(ctx, "expiring mail", "expires <= ?", now.UnixMilli())
}

// removeAll deletes what a condition names, in portions: others wait for the writer too.
func (s *SQLite) removeAll(ctx context.Context, doing, which string, arg any) (int, error) {
	const portion = 1000
	query := fmt.Sprintf("DELETE FROM mailbox_mail WHERE seq IN (SELECT seq FROM mailbox_mail WHERE %s LIMIT %d) RETURNING sender, recipient, size", which, portion)
	for all := 0; ; {
		n := 0
		err := s.write(ctx, doing, func(tx *durable.Tx, st *state) (err error) {
			n, err = st.remove(tx, query, arg)
			return err
		})
		if err != nil {
			return all, err
		}
		if all += n; n < portion {
			return all, nil
		}
	}
}

// Stats implements Store.
func (s *SQLite) Stats(ctx context.Context) (stats Stats, err error) {
	err = s.read(ctx, "counting mail", func(_ *durable.Tx, st *state) error {
		stats = st.books.stats()
		return nil
	})
	return stats, err
}

// Check implements Store.
func (s *SQLite) Check(ctx context.Context) error {
	if err := s.db.Check(ctx); err != nil {
		return err
	}
	return s.read(ctx, "checking the mailbox", func(tx *durable.Tx, st *state) error {
		var wrong int
		if _, err := tx.One([]any{&wrong}, "SELECT count(*) FROM mailbox_mail WHERE size <> length(payload)"); err != nil {
			return err
		}
		now, err := load(tx)
		switch {
		case err != nil:
			return err
		case wrong > 0:
			return fmt.Errorf("%d mails have another size than is written", wrong)
		case !maps.Equal(now.books, st.books):
			return fmt.Errorf("the books say %v, the mails %v", st.books, now.books)
		case !maps.Equal(now.ids, st.ids) || !maps.Equal(now.peers, st.peers):
			return errors.New("peers have other numbers than in the database")
		}
		return nil
	})
}
