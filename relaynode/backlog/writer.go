package backlog

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/durable"
)

// writer is one change of the log inside one transaction.
type writer struct {
	*state
	tx      *durable.Tx
	limits  Limits
	dropped int64
}

func (w *writer) append(e Entry, runs []run, now time.Time) (bool, error) {
	fresh, err := w.fresh(runs)
	if err != nil || len(e.Frames) > 0 && len(fresh) == 0 {
		return false, err // every frame of it is here, in this batch or in others of the same signer
	}
	signer, err := w.number(e.Signer)
	if err != nil {
		return false, err
	}
	seq := w.last + 1
	if err := w.tx.Exec("INSERT INTO backlog_batch (seq, id, signer, control, size, at, data) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
		seq, e.ID[:], signer, len(e.Frames) == 0, len(e.Data), e.came(now).UnixMilli(), e.Data); err != nil || w.tx.Changes() == 0 {
		return false, err
	}
	w.last = seq
	delta := book{batches: 1, bytes: int64(len(e.Data)), oldest: seq}
	if b, known := w.books[e.Signer]; known {
		delta.oldest = b.oldest
	}
	for _, r := range fresh {
		begun, err := w.index(r, signer, seq)
		if err != nil {
			return false, err
		}
		delta.chains += begun
	}
	w.book(w.tx, e.Signer, delta)
	return true, w.makeRoom(e.Signer)
}

// number returns a signer's number, a new one for a new signer.
func (w *writer) number(id peer.ID) (int64, error) {
	if n, known := w.numbers[id]; known {
		return n, nil
	}
	if err := w.tx.Exec("INSERT INTO backlog_signer (id) VALUES (?)", []byte(id)); err != nil {
		return 0, err
	}
	n := w.tx.LastID()
	put(w.tx, w.numbers, id, n)
	return n, nil
}

// fresh returns what of a batch's runs the log does not hold yet.
func (w *writer) fresh(runs []run) ([]run, error) {
	var fresh []run
	for _, r := range runs {
		h, known := w.chains[r.chain]
		if !known || r.first > h.high || r.last < h.low {
			fresh = append(fresh, r)
			continue
		}
		holds, err := w.overlaps(h.id, r.span)
		if err != nil {
			return nil, err
		}
		for _, s := range r.without(holds) {
			fresh = append(fresh, run{r.chain, s})
		}
	}
	return fresh, nil
}

// overlaps returns a chain's runs that meet a span. Of those that begin before it only the last can.
func (w *writer) overlaps(chain int64, s span) ([]span, error) {
	var spans []span
	for row, err := range w.tx.Rows(`SELECT first, last FROM backlog_run WHERE chain = ?1
		AND first BETWEEN coalesce((SELECT max(first) FROM backlog_run WHERE chain = ?1 AND first <= ?2), ?2) AND ?3 AND last >= ?2
		ORDER BY first`, chain, s.first, s.last) {
		if err != nil {
			return nil, err
		}
		spans = append(spans, span{uint32(row.Int64(0)), uint32(row.Int64(1))})
	}
	return spans, nil
}

// index enters a run of the batch seq, and its chain. It returns 1 when the chain is new.
func (w *writer) index(r run, signer, seq int64) (int, error) {
	h, known := w.chains[r.chain]
	begun := 0
	if known {
		h.low, h.high = min(h.low, r.first), max(h.high, r.last)
	} else {
		begun = 1
		if err := w.tx.Exec("INSERT INTO backlog_chain (prefix, sender, start, signer) VALUES (?, ?, ?, ?)",
			r.chain.Prefix[:], r.chain.Sender, r.chain.Start, signer); err != nil {
			return 0, err
		}
		h = head{id: w.tx.LastID(), low: r.first, high: r.last}
	}
	h.revision = w.revision
	put(w.tx, w.chains, r.chain, h)
	return begun, w.tx.Exec("INSERT INTO backlog_run (chain, first, last, seq) VALUES (?, ?, ?, ?)", h.id, r.first, r.last, seq)
}

// makeRoom drops batches until the log is within its limits again.
func (w *writer) makeRoom(by peer.ID) error {
	for {
		signer, found := w.victim(by)
		if !found {
			return nil
		}
		if err := w.drop(w.books[signer].oldest); err != nil {
			return err
		}
		w.dropped++
	}
}

// victim returns the signer whose oldest batch is the next to drop, if there has to be one.
func (w *writer) victim(by peer.ID) (signer peer.ID, found bool) {
	if w.books[by].chains > w.limits.Chains {
		return by, true
	}
	byBytes, byCount := w.total.bytes > w.limits.Bytes, w.total.batches > w.limits.Batches
	if !byBytes && !byCount {
		return "", false
	}
	n := len(w.books)
	for id, b := range w.books {
		over := byBytes && b.bytes*int64(n) > w.limits.Bytes || !byBytes && b.batches*n > w.limits.Batches
		if over && (!found || b.oldest < w.books[signer].oldest) {
			signer, found = id, true
		}
	}
	return signer, found
}

// drop deletes a batch and its runs.
func (w *writer) drop(seq int64) error {
	var number int64
	delta := book{batches: -1}
	for row, err := range w.tx.Rows("DELETE FROM backlog_batch WHERE seq = ? RETURNING signer, size", seq) {
		if err != nil {
			return err
		}
		number, delta.bytes = row.Int64(0), -row.Int64(1)
	}
	var id []byte
	if _, err := w.tx.One([]any{&id}, "SELECT id FROM backlog_signer WHERE signer = ?", number); err != nil {
		return err
	}
	if _, err := w.tx.One([]any{&delta.oldest}, "SELECT seq FROM backlog_batch WHERE signer = ? ORDER BY seq LIMIT 1", number); err != nil {
		return err
	}
	chains, err := w.dropRuns(seq, peer.ID(id))
	if err != nil {
		return err
	}
	for chain, c := range chains {
		gone, err := w.shorten(chain, c)
		if err != nil {
			return err
		}
		delta.chains -= gone
	}
	w.book(w.tx, peer.ID(id), delta)
	return nil
}

// dropRuns deletes a batch's runs and returns the chains that they were of, by number.
func (w *writer) dropRuns(seq int64, signer peer.ID) (map[int64]Chain, error) {
	chains := map[int64]Chain{}
	for row, err := range w.tx.Rows(`SELECT c.chain, c.prefix, c.sender, c.start FROM backlog_run r JOIN backlog_chain c ON c.chain = r.chain WHERE r.seq = ?`, seq) {
		if err != nil {
			return nil, err
		}
		c := Chain{Sender: uint16(row.Int64(2)), Start: uint32(row.Int64(3)), Signer: signer}
		copy(c.Prefix[:], row.Blob(1))
		chains[row.Int64(0)] = c
	}
	return chains, w.tx.Exec("DELETE FROM backlog_run WHERE seq = ?", seq)
}

// shorten sets a chain's head after runs went. It returns 1 when nothing of the chain is left.
func (w *writer) shorten(id int64, c Chain) (int, error) {
	h := w.chains[c]
	left, err := w.tx.One([]any{&h.low}, "SELECT first FROM backlog_run WHERE chain = ? ORDER BY first LIMIT 1", id)
	if err != nil {
		return 0, err
	}
	if !left {
		drop(w.tx, w.chains, c)
		return 1, w.tx.Exec("DELETE FROM backlog_chain WHERE chain = ?", id)
	}
	if _, err := w.tx.One([]any{&h.high}, "SELECT last FROM backlog_run WHERE chain = ? ORDER BY first DESC LIMIT 1", id); err != nil {
		return 0, err
	}
	h.revision = w.revision
	put(w.tx, w.chains, c, h)
	return 0, nil
}

// expire drops the oldest batches that are too old, at most limit of them.
func (w *writer) expire(now time.Time, limit int) (int, error) {
	var old []int64
	for row, err := range w.tx.Rows("SELECT seq FROM backlog_batch WHERE at <= ? LIMIT ?", now.Add(-w.limits.Age).UnixMilli(), limit) {
		if err != nil {
			return 0, err
		}
		old = append(old, row.Int64(0))
	}
	for _, seq := range old {
		if err := w.drop(seq); err != nil {
			return 0, err
		}
	}
	return len(old), nil
}
