package backlog

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"conclave/overlay/durable"
)

// Schema returns the tables of the backlog, to be given to durable.Open. A chain's runs never overlap. What can be
// counted from the tables is counted when the store is first used, and kept in memory from then on.
func Schema() durable.Schema {
	return durable.Schema{Name: "backlog", Steps: []string{`
CREATE TABLE backlog_signer (
	signer INTEGER PRIMARY KEY,
	id     BLOB NOT NULL UNIQUE
);
CREATE TABLE backlog_batch (
	seq     INTEGER PRIMARY KEY,
	id      BLOB NOT NULL UNIQUE,
	signer  INTEGER NOT NULL,
	control INTEGER NOT NULL,
	size    INTEGER NOT NULL,
	at      INTEGER NOT NULL, -- Unix time in milliseconds
	data    BLOB NOT NULL
);
CREATE INDEX backlog_by_signer ON backlog_batch (signer, seq, size);
CREATE INDEX backlog_by_age ON backlog_batch (at);
CREATE INDEX backlog_control ON backlog_batch (seq) WHERE control = 1;
CREATE TABLE backlog_chain (
	chain  INTEGER PRIMARY KEY,
	prefix BLOB NOT NULL,
	sender INTEGER NOT NULL,
	start  INTEGER NOT NULL,
	signer INTEGER NOT NULL,
	UNIQUE (prefix, sender, start, signer)
);
CREATE TABLE backlog_run (
	chain INTEGER NOT NULL,
	first INTEGER NOT NULL,
	last  INTEGER NOT NULL,
	seq   INTEGER NOT NULL,
	PRIMARY KEY (chain, first)
) WITHOUT ROWID;
CREATE INDEX backlog_run_by_batch ON backlog_run (seq);`}}
}

// SQLite is a backlog in a durable database, which it may share with others. Closing the database is its owner's affair.
type SQLite struct {
	mirror  *durable.Mirror[state]
	limits  Limits
	dropped atomic.Int64
}

// NewSQLite returns the backlog in db, which was opened with Schema.
func NewSQLite(db *durable.DB, limits Limits) *SQLite {
	return &SQLite{mirror: durable.NewMirror(db, load), limits: limits}
}

// write runs a change of the log in one transaction. Everything it touches gets the next revision.
func (s *SQLite) write(ctx context.Context, doing string, fn func(w *writer) error) error {
	return s.mirror.Write(ctx, doing, func(tx *durable.Tx, st *state) error {
		st.revision++
		return fn(&writer{tx: tx, state: st, limits: s.limits})
	})
}

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
	err := s.write(ctx, "appending to the backlog", func(w *writer) (err error) {
		for i, e := range batches {
			if added[i], err = w.append(e, runs[i], now); err != nil {
				return err
			}
		}
		dropped = w.dropped
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.dropped.Add(dropped)
	return added, nil
}

// checkEntries returns why nothing of a call to Append can be kept.
func checkEntries(ctx context.Context, batches []Entry, limits Limits) error {
	for _, e := range batches {
		if len(e.Data) > limits.Batch {
			return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(e.Data))
		}
	}
	return ctx.Err()
}

// Heads implements Store.
func (s *SQLite) Heads(ctx context.Context, since int64) (heads []Head, revision int64, err error) {
	err = s.mirror.Read(ctx, "reading the backlog's heads", func(_ *durable.Tx, st *state) error {
		for c, h := range st.chains {
			if h.revision > since {
				heads = append(heads, Head{Chain: c, Low: h.low, High: h.high})
			}
		}
		revision = st.revision
		return nil
	})
	slices.SortFunc(heads, func(a, b Head) int { return a.compare(b.Chain) })
	return heads, revision, err
}

// Fetch implements Store.
func (s *SQLite) Fetch(ctx context.Context, r Range, maxBytes int) ([][]byte, bool, error) {
	p, err := s.page(ctx, r, maxBytes)
	return p.batches(), p.more, err
}

// Copies implements Store.
func (s *SQLite) Copies(ctx context.Context, r Range, maxBytes int) ([]Copy, bool, error) {
	p, err := s.page(ctx, r, maxBytes)
	return p.copies, p.more, err
}

// Missing implements Store.
func (s *SQLite) Missing(ctx context.Context, r Range) (left []Range, err error) {
	if r.From > r.To {
		return nil, ctx.Err()
	}
	err = s.mirror.Read(ctx, "comparing the backlog", func(tx *durable.Tx, st *state) error {
		var holds []span
		if h, known := st.chains[r.Chain]; known {
			var err error
			if holds, err = (&writer{tx: tx, state: st}).overlaps(h.id, span{r.From, r.To}); err != nil {
				return err
			}
		}
		left = r.parts(holds)
		return nil
	})
	return left, err
}

func (s *SQLite) page(ctx context.Context, r Range, maxBytes int) (page, error) {
	p := page{max: maxBytes}
	err := s.gather(ctx, &p, `
		SELECT b.seq, b.data, b.at FROM backlog_chain c JOIN backlog_signer g ON g.signer = c.signer
			JOIN backlog_run r ON r.chain = c.chain JOIN backlog_batch b ON b.seq = r.seq
		WHERE c.prefix = ?1 AND c.sender = ?2 AND c.start = ?3 AND (g.id = ?4 OR ?4 = x'')
			AND r.first BETWEEN coalesce((SELECT max(first) FROM backlog_run WHERE chain = c.chain AND first <= ?5), ?5) AND ?6
			AND r.last >= ?5 AND ?6 >= ?5
		ORDER BY r.first, g.id`,
		r.Prefix[:], r.Sender, r.Start, []byte(r.Signer), r.From, r.To)
	return p, err
}

// gather runs a query for (seq, data, at) until the page is full.
func (s *SQLite) gather(ctx context.Context, p *page, query string, args ...any) error {
	return s.mirror.Read(ctx, "reading the backlog", func(tx *durable.Tx, _ *state) error {
		for row, err := range tx.Rows(query, args...) {
			if err != nil {
				return err
			}
			if !p.add(row.Int64(0), row.Blob(1), time.UnixMilli(row.Int64(2))) {
				return nil
			}
		}
		return nil
	})
}

// Expire implements Store.
func (s *SQLite) Expire(ctx context.Context, now time.Time) (int, error) {
	const portion = 500 // others wait for the writer too
	for all := 0; ; {
		n := 0
		err := s.write(ctx, "expiring the backlog", func(w *writer) (err error) {
			n, err = w.expire(now, portion)
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
	err = s.mirror.Read(ctx, "counting the backlog", func(_ *durable.Tx, st *state) error {
		stats = Stats{Batches: st.total.batches, Bytes: st.total.bytes, Chains: len(st.chains), Signers: len(st.books), Dropped: s.dropped.Load()}
		return nil
	})
	return stats, err
}

// Check implements Store.
func (s *SQLite) Check(ctx context.Context) error {
	return s.mirror.Check(ctx, "checking the backlog", func(tx *durable.Tx, st, now *state) error {
		for _, c := range checks {
			var wrong int
			if _, err := tx.One([]any{&wrong}, "SELECT count(*) FROM ("+c.query+")"); err != nil {
				return err
			}
			if wrong > 0 {
				return fmt.Errorf("the backlog's %s differ from its batches in %d places", c.what, wrong)
			}
		}
		return st.compare(now)
	})
}

// checks are queries that find nothing in a log that is sound.
var checks = [...]struct{ what, query string }{
	{"sizes", `SELECT seq FROM backlog_batch WHERE size <> length(data)`},
	{"signers", `SELECT signer FROM backlog_batch EXCEPT SELECT signer FROM backlog_signer`},
	{"chains", `SELECT chain FROM backlog_chain EXCEPT SELECT chain FROM backlog_run`},
	{"chains", `SELECT chain FROM backlog_run EXCEPT SELECT chain FROM backlog_chain`},
	{"runs", `SELECT seq FROM backlog_run EXCEPT SELECT seq FROM backlog_batch WHERE control = 0`},
	{"runs", `SELECT seq FROM backlog_batch WHERE control = 0 EXCEPT SELECT seq FROM backlog_run`},
	{"runs", `SELECT a.chain FROM backlog_run a JOIN backlog_run b ON a.chain = b.chain AND a.first < b.first AND a.last >= b.first`},
}
