package mailbox

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/durable"
	"conclave/overlay/wire"
)

// Schema returns the tables of the mailbox, to be given to durable.Open.
//
// The books have one row for each pair of sender and recipient and, with an empty blob in place of an end, for each
// sender, each recipient and everything. Mail comes in one way, which books it, and goes in several, so a trigger takes
// it out of the books. (A trigger on the way in would cost a third of the throughput.)
func Schema() durable.Schema {
	return durable.Schema{Name: "mailbox", Steps: []string{`
CREATE TABLE mailbox_mail (
	seq       INTEGER PRIMARY KEY AUTOINCREMENT,
	id        BLOB NOT NULL UNIQUE,
	sender    BLOB NOT NULL,
	recipient BLOB NOT NULL,
	kind      INTEGER NOT NULL,
	payload   BLOB NOT NULL,
	expires   INTEGER NOT NULL -- Unix time in milliseconds
);
CREATE INDEX mailbox_by_recipient ON mailbox_mail (recipient, seq);
CREATE INDEX mailbox_by_expiry ON mailbox_mail (expires);
CREATE TABLE mailbox_books (
	sender    BLOB NOT NULL,
	recipient BLOB NOT NULL,
	items     INTEGER NOT NULL,
	bytes     INTEGER NOT NULL,
	PRIMARY KEY (sender, recipient)
) WITHOUT ROWID;
CREATE TRIGGER mailbox_out AFTER DELETE ON mailbox_mail BEGIN
	UPDATE mailbox_books SET items = items - 1, bytes = bytes - length(old.payload)
	WHERE (sender, recipient) IN (VALUES (old.sender, old.recipient), (old.sender, x''), (x'', old.recipient), (x'', x''));
	DELETE FROM mailbox_books
	WHERE (sender, recipient) IN (VALUES (old.sender, old.recipient), (old.sender, x''), (x'', old.recipient), (x'', x'')) AND items = 0;
END;`}}
}

// SQLite is a mailbox in a durable database, which it may share with others. Closing the database is its owner's affair.
type SQLite struct {
	db     *durable.DB
	limits func() Limits
}

// NewSQLite returns the mailbox in db, which was opened with Schema. limits is asked at each deposit.
func NewSQLite(db *durable.DB, limits func() Limits) *SQLite { return &SQLite{db: db, limits: limits} }

// Deposit implements Store.
func (s *SQLite) Deposit(ctx context.Context, from peer.ID, items []wire.MailItem, now time.Time) ([]wire.Verdict, error) {
	limits := s.limits()
	verdicts := make([]wire.Verdict, len(items))
	ids := make([]wire.MailID, len(items)) // hashed before the writer's turn, which everybody waits for
	for i, item := range items {
		ids[i] = wire.MailIDOf(from, item.To, item.Kind, item.Payload)
	}
	err := s.db.Write(ctx, func(tx *durable.Tx) error {
		for i, item := range items {
			v, err := deposit(tx, limits, from, item, ids[i], now)
			if err != nil {
				return err
			}
			verdicts[i] = v
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("taking a deposit: %w", err)
	}
	return verdicts, nil
}

func deposit(tx *durable.Tx, limits Limits, from peer.ID, item wire.MailItem, id wire.MailID, now time.Time) (wire.Verdict, error) {
	if v := limits.shape(item); v != 0 {
		return v, nil
	}
	here, err := tx.One(nil, "SELECT 1 FROM mailbox_mail WHERE id = ?", id[:])
	if err != nil || here {
		return wire.VerdictDuplicate, err
	}
	if v, err := room(tx, limits, from, item); v != 0 || err != nil {
		return v, err
	}
	for _, l := range linesOf(from, item.To) {
		if err := tx.Exec(`INSERT INTO mailbox_books (sender, recipient, items, bytes) VALUES (?1, ?2, 1, ?3)
			ON CONFLICT DO UPDATE SET items = items + 1, bytes = bytes + ?3`, []byte(l.from), []byte(l.to), len(item.Payload)); err != nil {
			return 0, err
		}
	}
	return wire.VerdictStored, tx.Exec("INSERT INTO mailbox_mail (id, sender, recipient, kind, payload, expires) VALUES (?, ?, ?, ?, ?, ?)",
		id[:], []byte(from), []byte(item.To), int(item.Kind), item.Payload, now.Add(limits.TTL).UnixMilli())
}

// room returns the refusal of the first limit that an item would pass, 0 when there is room.
func room(tx *durable.Tx, limits Limits, from peer.ID, item wire.MailItem) (wire.Verdict, error) {
	quotas := limits.quotas()
	for i, l := range linesOf(from, item.To) {
		used, err := usedBy(tx, l)
		if err != nil {
			return 0, err
		}
		if !quotas[i].has(used, len(item.Payload)) {
			return refusals[i], nil
		}
	}
	return 0, nil
}

func usedBy(tx *durable.Tx, l line) (Quota, error) {
	var q Quota
	_, err := tx.One([]any{&q.Items, &q.Bytes}, "SELECT items, bytes FROM mailbox_books WHERE sender = ? AND recipient = ?", []byte(l.from), []byte(l.to))
	return q, err
}

// Pending implements Store.
func (s *SQLite) Pending(ctx context.Context, to peer.ID, after int64, limit int) ([]Mail, error) {
	var page []Mail
	err := s.db.Read(ctx, func(tx *durable.Tx) error {
		bytes := 0
		for row, err := range tx.Rows("SELECT seq, id, sender, kind, payload FROM mailbox_mail WHERE recipient = ? AND seq > ? ORDER BY seq LIMIT ?", []byte(to), after, limit) {
			if err != nil {
				return err
			}
			if bytes += row.Len(4); len(page) > 0 && bytes > pageBytes {
				return nil
			}
			mail := Mail{Seq: row.Int64(0), Mail: wire.Mail{From: peer.ID(row.Blob(2)), Kind: wire.Kind(row.Int64(3)), Payload: row.Blob(4)}}
			copy(mail.ID[:], row.Blob(1))
			page = append(page, mail)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading a mailbox: %w", err)
	}
	return page, nil
}

// Acknowledge implements Store.
func (s *SQLite) Acknowledge(ctx context.Context, to peer.ID, ids []wire.MailID) (int, error) {
	return s.remove(ctx, "acknowledging mail", func(tx *durable.Tx) (int, error) {
		n := 0
		for _, id := range ids {
			if err := tx.Exec("DELETE FROM mailbox_mail WHERE id = ? AND recipient = ?", id[:], []byte(to)); err != nil {
				return 0, err
			}
			n += tx.Changes()
		}
		return n, nil
	})
}

// Forget implements Store.
func (s *SQLite) Forget(ctx context.Context, to peer.ID) (int, error) {
	return s.removeAll(ctx, "forgetting a mailbox", "recipient = ?", []byte(to))
}

// Expire implements Store.
func (s *SQLite) Expire(ctx context.Context, now time.Time) (int, error) {
	return s.removeAll(ctx, "expiring mail", "expires <= ?", now.UnixMilli())
}

// removeAll deletes what a condition names, in portions: others wait for the writer too.
func (s *SQLite) removeAll(ctx context.Context, doing, which string, arg any) (int, error) {
	const portion = 1000
	query := fmt.Sprintf("DELETE FROM mailbox_mail WHERE seq IN (SELECT seq FROM mailbox_mail WHERE %s LIMIT %d)", which, portion)
	for all := 0; ; {
		n, err := s.remove(ctx, doing, func(tx *durable.Tx) (int, error) {
			err := tx.Exec(query, arg)
			return tx.Changes(), err
		})
		if all += n; err != nil || n < portion {
			return all, err
		}
	}
}

func (s *SQLite) remove(ctx context.Context, doing string, fn func(*durable.Tx) (int, error)) (int, error) {
	n := 0
	err := s.db.Write(ctx, func(tx *durable.Tx) (err error) {
		n, err = fn(tx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	return n, nil
}

// Stats implements Store.
func (s *SQLite) Stats(ctx context.Context) (Stats, error) {
	var st Stats
	err := s.db.Read(ctx, func(tx *durable.Tx) (err error) {
		if st.Quota, err = usedBy(tx, line{}); err != nil {
			return err
		}
		_, err = tx.One([]any{&st.Recipients, &st.Senders}, `
			SELECT count(*) FILTER (WHERE sender = x'' AND recipient <> x''), count(*) FILTER (WHERE sender <> x'' AND recipient = x'')
			FROM mailbox_books`)
		return err
	})
	return st, err
}

// Check implements Store.
func (s *SQLite) Check(ctx context.Context) error {
	if err := s.db.Check(ctx); err != nil {
		return err
	}
	return s.db.Read(ctx, func(tx *durable.Tx) error {
		var wrong int
		_, err := tx.One([]any{&wrong}, `
			WITH counted (sender, recipient, items, bytes) AS (
				SELECT sender, recipient, count(*), sum(length(payload)) FROM mailbox_mail GROUP BY 1, 2
				UNION ALL SELECT sender, x'', count(*), sum(length(payload)) FROM mailbox_mail GROUP BY 1
				UNION ALL SELECT x'', recipient, count(*), sum(length(payload)) FROM mailbox_mail GROUP BY 2
				UNION ALL SELECT x'', x'', count(*), sum(length(payload)) FROM mailbox_mail HAVING count(*) > 0)
			SELECT count(*) FROM (
				SELECT * FROM (SELECT * FROM counted EXCEPT SELECT * FROM mailbox_books)
				UNION ALL SELECT * FROM (SELECT * FROM mailbox_books EXCEPT SELECT * FROM counted))`)
		if err == nil && wrong > 0 {
			err = fmt.Errorf("%d rows of the mailbox's books differ from the mails", wrong)
		}
		return err
	})
}
