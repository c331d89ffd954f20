package backlog

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/durable"
)

// Schema returns the tables of the backlog, to be given to durable.Open.
//
// A chain's runs never overlap. The books have one row for each signer, the totals their sums.
func Schema() durable.Schema {
	return durable.Schema{Name: "backlog", Steps: []string{`
CREATE TABLE backlog_batch (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT,
	id      BLOB NOT NULL UNIQUE,
	signer  BLOB NOT NULL,
	control INTEGER NOT NULL,
	at      INTEGER NOT NULL, -- Unix time in milliseconds
	data    BLOB NOT NULL
);
CREATE INDEX backlog_by_signer ON backlog_batch (signer, seq);
CREATE INDEX backlog_by_age ON backlog_batch (at);
CREATE INDEX backlog_control ON backlog_batch (seq) WHERE control = 1;
CREATE TABLE backlog_chain (
	chain    INTEGER PRIMARY KEY AUTOINCREMENT,
	prefix   BLOB NOT NULL,
	sender   INTEGER NOT NULL,
	start    INTEGER NOT NULL,
	signer   BLOB NOT NULL,
	low      INTEGER NOT NULL,
	high     INTEGER NOT NULL,
	revision INTEGER NOT NULL,
	UNIQUE (prefix, sender, start, signer)
);
CREATE INDEX backlog_by_revision ON backlog_chain (revision);
CREATE TABLE backlog_run (
	chain INTEGER NOT NULL,
	first INTEGER NOT NULL,
	last  INTEGER NOT NULL,
	seq   INTEGER NOT NULL,
	PRIMARY KEY (chain, first)
) WITHOUT ROWID;
CREATE INDEX backlog_run_by_batch ON backlog_run (seq);
CREATE TABLE backlog_books (
	signer  BLOB PRIMARY KEY,
	batches INTEGER NOT NULL,
	bytes   INTEGER NOT NULL,
	chains  INTEGER NOT NULL,
	oldest  INTEGER NOT NULL -- seq
) WITHOUT ROWID;
CREATE TABLE backlog_totals (
	revision INTEGER NOT NULL,
	batches  INTEGER NOT NULL,
	bytes    INTEGER NOT NULL,
	signers  INTEGER NOT NULL
);
INSERT INTO backlog_totals VALUES (0, 0, 0, 0);`}}
}

// SQLite is a backlog in a durable database, which it may share with others. Closing the database is its owner's affair.
type SQLite struct {
	db      *durable.DB
	limits  Limits
	dropped atomic.Int64
}

// NewSQLite returns the backlog in db, which was opened with Schema.
func NewSQLite(db *durable.DB, limits Limits) *SQLite { return &SQLite{db: db, limits: limits} }

// Append implements Store.
func (s *SQLite) Append(ctx context.Context, batches []Entry, now time.Time) ([]bool, error) {
	if err := checkEntries(ctx, batches, s.limits); err != nil {
		return nil, err
	}
	runs := make([][]run, len(batches)) // found before the writer's turn, which everybody waits for
	for i, e := range batches {
		runs[i] = runsOf(e.Signer, e.Frames)
	}
	added := make([]bool, len(batches))
	var dropped int64
	err := s.change(ctx, func(w *writer) (err error) {
		for i, e := range batches {
			if added[i], err = w.append(e, runs[i], now); err != nil {
				return err
			}
		}
		dropped = w.dropped
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("appending to the backlog: %w", err)
	}
	s.dropped.Add(dropped)
	return added, nil
}

// change runs a change of the log in one transaction. Everything it touches gets the next revision.
func (s *SQLite) change(ctx context.Context, fn func(w *writer) error) error {
	return s.db.Write(ctx, func(tx *durable.Tx) error {
		w := &writer{tx: tx, limits: s.limits, known: map[Chain]head{}}
		if _, err := tx.One([]any{&w.revision, &w.batches, &w.bytes, &w.signers}, "SELECT revision, batches, bytes, signers FROM backlog_totals"); err != nil {
			return err
		}
		w.revision++
		if err := fn(w); err != nil {
			return err
		}
		return tx.Exec("UPDATE backlog_totals SET revision = ?, batches = ?, bytes = ?, signers = ?", w.revision, w.batches, w.bytes, w.signers)
	})
}

// Heads implements Store.
func (s *SQLite) Heads(ctx context.Context, since int64) ([]Head, int64, error) {
	var heads []Head
	var revision int64
	err := s.db.Read(ctx, func(tx *durable.Tx) error {
		if _, err := tx.One([]any{&revision}, "SELECT revision FROM backlog_totals"); err != nil {
			return err
		}
		for row, err := range tx.Rows("SELECT prefix, sender, start, signer, low, high FROM backlog_chain WHERE revision > ? ORDER BY prefix, sender, start, signer", since) {
			if err != nil {
				return err
			}
			h := Head{Low: uint32(row.Int64(4)), High: uint32(row.Int64(5))}
			copy(h.Prefix[:], row.Blob(0))
			h.Sender, h.Start, h.Signer = uint16(row.Int64(1)), uint32(row.Int64(2)), peer.ID(row.Blob(3))
			heads = append(heads, h)
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("reading the backlog's heads: %w", err)
	}
	return heads, revision, nil
}

// Fetch implements Store.
func (s *SQLite) Fetch(ctx context.Context, r Range, maxBytes int) ([][]byte, bool, error) {
	p := page{max: maxBytes}
	err := s.gather(ctx, &p, `
		SELECT b.seq, b.data FROM backlog_chain c JOIN backlog_run r ON r.chain = c.chain JOIN backlog_batch b ON b.seq = r.seq
		WHERE c.prefix = ?1 AND c.sender = ?2 AND c.start = ?3 AND (c.signer = ?4 OR ?4 = x'')
			AND r.first BETWEEN coalesce((SELECT max(first) FROM backlog_run WHERE chain = c.chain AND first <= ?5), ?5) AND ?6
			AND r.last >= ?5 AND ?6 >= ?5
		ORDER BY r.first, c.signer`,
		r.Prefix[:], r.Sender, r.Start, []byte(r.Signer), r.From, r.To)
	return p.batches, p.more, err
}

// Control implements Store.
func (s *SQLite) Control(ctx context.Context, after int64, maxBytes int) ([][]byte, int64, bool, error) {
	p := page{max: maxBytes, last: after}
	err := s.gather(ctx, &p, "SELECT seq, data FROM backlog_batch WHERE control = 1 AND seq > ? ORDER BY seq", after)
	return p.batches, p.last, p.more, err
}

// gather runs a query for (seq, data) until the page is full.
func (s *SQLite) gather(ctx context.Context, p *page, query string, args ...any) error {
	err := s.db.Read(ctx, func(tx *durable.Tx) error {
		for row, err := range tx.Rows(query, args...) {
			if err != nil {
				return err
			}
			if !p.add(row.Int64(0), row.Blob(1)) {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the backlog: %w", err)
	}
	return nil
}

// Expire implements Store.
func (s *SQLite) Expire(ctx context.Context, now time.Time) (int, error) {
	const portion = 500 // others wait for the writer too
	for all := 0; ; {
		n := 0
		err := s.change(ctx, func(w *writer) (err error) {
			n, err = w.expire(now, portion)
			return err
		})
		if err != nil {
			return all, fmt.Errorf("expiring the backlog: %w", err)
		}
		if all += n; n < portion {
			return all, nil
		}
	}
}

// Stats implements Store.
func (s *SQLite) Stats(ctx context.Context) (Stats, error) {
	st := Stats{Dropped: s.dropped.Load()}
	err := s.db.Read(ctx, func(tx *durable.Tx) error {
		_, err := tx.One([]any{&st.Batches, &st.Bytes, &st.Chains, &st.Signers},
			"SELECT batches, bytes, (SELECT count(*) FROM backlog_chain), signers FROM backlog_totals")
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
		for _, c := range checks {
			var wrong int
			if _, err := tx.One([]any{&wrong}, "SELECT count(*) FROM ("+c.query+")"); err != nil {
				return err
			}
			if wrong > 0 {
				return fmt.Errorf("the backlog's %s differ from its batches in %d places", c.what, wrong)
			}
		}
		return nil
	})
}

// checks are queries that find nothing in a log that is sound.
var checks = [...]struct{ what, query string }{
	{"books", `SELECT signer, count(*), sum(length(data)), min(seq) FROM backlog_batch GROUP BY signer
		EXCEPT SELECT signer, batches, bytes, oldest FROM backlog_books`},
	{"books", `SELECT signer FROM backlog_books EXCEPT SELECT signer FROM backlog_batch`},
	{"totals", `SELECT batches, bytes, signers FROM backlog_totals EXCEPT SELECT total(batches), total(bytes), count(*) FROM backlog_books`},
	{"chains", `SELECT chain, low, high FROM backlog_chain EXCEPT SELECT chain, min(first), max(last) FROM backlog_run GROUP BY chain`},
	{"chain counts", `SELECT signer, chains FROM backlog_books WHERE chains > 0 EXCEPT SELECT signer, count(*) FROM backlog_chain GROUP BY signer`},
	{"runs", `SELECT seq FROM backlog_run EXCEPT SELECT seq FROM backlog_batch WHERE control = 0`},
	{"runs", `SELECT seq FROM backlog_batch WHERE control = 0 EXCEPT SELECT seq FROM backlog_run`},
	{"runs", `SELECT a.chain FROM backlog_run a JOIN backlog_run b ON a.chain = b.chain AND a.first < b.first AND a.last >= b.first`},
}
