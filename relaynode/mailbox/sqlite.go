package mailbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/durable"
	"conclave/overlay/wire"
)

// Schema returns the tables of the mailbox, to be given to durable.Open. Peers are named by numbers, which keeps rows short.
// There is no index: memory holds what one would (see boxes), so that a deposit dirties no page but that of its row.
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
CREATE INDEX mailbox_by_expiry ON mailbox_mail (expires);`, `
ALTER TABLE mailbox_mail RENAME TO mailbox_old;
CREATE TABLE mailbox_mail (
	seq       INTEGER PRIMARY KEY,
	id        BLOB NOT NULL, -- of which no two are equal
	sender    INTEGER NOT NULL,
	recipient INTEGER NOT NULL,
	kind      INTEGER NOT NULL,
	size      INTEGER NOT NULL,
	expires   INTEGER NOT NULL, -- Unix time in milliseconds
	payload   BLOB NOT NULL
);
INSERT INTO mailbox_mail SELECT * FROM mailbox_old ORDER BY seq;
DROP TABLE mailbox_old;`}}
}

// PageSize is the size in bytes that a database's pages should have: five mails of 1.5 KiB fill one of 8 KiB, and two of them
// three quarters of one of 4 KiB. It makes deposits a tenth faster.
const PageSize = 8 << 10

// SQLite is a mailbox in a durable database, which it may share with others. Closing the database is its owner's affair.
type SQLite struct {
	mirror *durable.Mirror[state]
	limits func() Limits
}

// state is what memory holds of the database: whoever changes one changes the other, and takes it back with it.
type state struct {
	books books
	boxes boxes
	last  int64 // the highest Seq in use so far
	ids   map[peer.ID]int64
	peers map[int64]peer.ID
}

// NewSQLite returns the mailbox in db, which was opened with Schema. limits is asked at each deposit.
func NewSQLite(db *durable.DB, limits func() Limits) *SQLite {
	return &SQLite{mirror: durable.NewMirror(db, load), limits: limits}
}

// load reads what memory holds of the database.
func load(tx *durable.Tx) (*state, error) {
	st := &state{books: books{}, boxes: newBoxes(), ids: map[peer.ID]int64{}, peers: map[int64]peer.ID{}}
	for row, err := range tx.Rows("SELECT peer, id FROM mailbox_peer") {
		if err != nil {
			return nil, err
		}
		st.know(row.Int64(0), peer.ID(row.Blob(1)))
	}
	for row, err := range tx.Rows("SELECT seq, id, sender, recipient, size, expires FROM mailbox_mail ORDER BY seq") {
		if err != nil {
			return nil, err
		}
		l := label{seq: row.Int64(0), sender: row.Int64(2), recipient: row.Int64(3), size: int(row.Int64(4)), expires: row.Int64(5)}
		if copy(l.id[:], row.Blob(1)) != len(l.id) || st.boxes.has(l.id) {
			return nil, fmt.Errorf("mail %d has no ID of its own", l.seq)
		}
		st.boxes.put(l)
		st.books.add(st.peers[l.sender], st.peers[l.recipient], 1, int64(l.size))
		st.last = l.seq
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
	err := s.mirror.Write(ctx, "taking a deposit", func(tx *durable.Tx, st *state) (err error) {
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
	if st.boxes.has(id) {
		return wire.VerdictDuplicate, nil
	}
	if v := st.books.room(limits, from, item); v != 0 {
		return v, nil
	}
	sender, err := st.number(tx, from)
	if err != nil {
		return 0, err
	}
	recipient, err := st.number(tx, item.To)
	if err != nil {
		return 0, err
	}
	l := label{
		seq: st.last + 1, id: id, sender: sender, recipient: recipient, size: len(item.Payload), expires: now.Add(limits.TTL).UnixMilli(),
	}
	err = tx.Exec("INSERT INTO mailbox_mail (seq, id, sender, recipient, kind, size, expires, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		l.seq, id[:], sender, recipient, int(item.Kind), l.size, l.expires, item.Payload)
	if err != nil {
		return 0, err
	}
	st.last++ // a number that is undone is left out
	st.boxes.put(l)
	tx.OnUndo(func() { st.boxes.take(recipient, id) })
	st.book(tx, from, item.To, 1, int64(len(item.Payload)))
	return wire.VerdictStored, nil
}

// Pending implements Store.
func (s *SQLite) Pending(ctx context.Context, to peer.ID, after int64, limit int) ([]Mail, error) {
	var page []Mail
	err := s.mirror.Read(ctx, "reading a mailbox", func(tx *durable.Tx, st *state) error {
		bytes := 0
		for _, l := range st.boxes.after(st.ids[to], after) {
			bytes += l.size
			if len(page) == limit || len(page) > 0 && bytes > pageBytes {
				return nil
			}
			mail, err := st.mail(tx, l)
			if err != nil {
				return err
			}
			page = append(page, mail)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// mail reads the mail of a label.
func (st *state) mail(tx *durable.Tx, l label) (Mail, error) {
	mail := Mail{Seq: l.seq, Mail: wire.Mail{ID: l.id, From: st.peers[l.sender]}}
	var kind int
	here, err := tx.One([]any{&kind, &mail.Payload}, "SELECT kind, payload FROM mailbox_mail WHERE seq = ?", l.seq)
	if err == nil && !here {
		err = fmt.Errorf("mail %d is not in the database", l.seq)
	}
	mail.Kind = wire.Kind(kind)
	return mail, err
}

// Acknowledge implements Store.
func (s *SQLite) Acknowledge(ctx context.Context, to peer.ID, ids []wire.MailID) (int, error) {
	n := 0
	err := s.mirror.Write(ctx, "acknowledging mail", func(tx *durable.Tx, st *state) error {
		n = 0
		for _, id := range ids {
			gone, err := st.remove(tx, st.ids[to], id)
			if err != nil {
				return err
			}
			if gone {
				n++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// remove deletes a mail if it lies in that box, and reports whether it did.
func (st *state) remove(tx *durable.Tx, to int64, id wire.MailID) (bool, error) {
	l, here := st.boxes.take(to, id)
	if !here {
		return false, nil
	}
	tx.OnUndo(func() { st.boxes.put(l) })
	st.book(tx, st.peers[l.sender], st.peers[to], -1, -int64(l.size))
	return true, tx.Exec("DELETE FROM mailbox_mail WHERE seq = ?", l.seq)
}

// Forget implements Store.
func (s *SQLite) Forget(ctx context.Context, to peer.ID) (int, error) {
	return s.removeAll(ctx, "forgetting a mailbox", func(st *state, l label) bool { return l.recipient == st.ids[to] })
}

// Expire implements Store.
func (s *SQLite) Expire(ctx context.Context, now time.Time) (int, error) {
	at := now.UnixMilli()
	return s.removeAll(ctx, "expiring mail", func(_ *state, l label) bool { return l.expires <= at })
}

// removeAll deletes what goes, in portions: others wait for the writer too.
func (s *SQLite) removeAll(ctx context.Context, doing string, goes func(*state, label) bool) (int, error) {
	const portion = 1000
	for all := 0; ; {
		n := 0
		err := s.mirror.Write(ctx, doing, func(tx *durable.Tx, st *state) error {
			n = 0
			for _, l := range st.boxes.which(portion, func(l label) bool { return goes(st, l) }) {
				if _, err := st.remove(tx, l.recipient, l.id); err != nil {
					return err
				}
				n++
			}
			return nil
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
	err = s.mirror.Read(ctx, "counting mail", func(_ *durable.Tx, st *state) error {
		stats = st.books.stats()
		return nil
	})
	return stats, err
}

// Check implements Store.
func (s *SQLite) Check(ctx context.Context) error {
	return s.mirror.Check(ctx, "checking the mailbox", func(tx *durable.Tx, st, now *state) error {
		var wrong int
		if _, err := tx.One([]any{&wrong}, "SELECT count(*) FROM mailbox_mail WHERE size <> length(payload)"); err != nil {
			return err
		}
		switch {
		case wrong > 0:
			return fmt.Errorf("%d mails have another size than is written", wrong)
		case !maps.Equal(now.books, st.books):
			return fmt.Errorf("the books say %v, the mails %v", st.books, now.books)
		case !maps.EqualFunc(now.boxes.by, st.boxes.by, slices.Equal) || !maps.Equal(now.boxes.ids, st.boxes.ids):
			return errors.New("memory does not hold the same mails as the database")
		case !maps.Equal(now.ids, st.ids) || !maps.Equal(now.peers, st.peers):
			return errors.New("peers have other numbers than in the database")
		}
		return nil
	})
}
