package backlog

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/durable"
)

// writer is one change of the log inside one transaction.
type writer struct {
	tx     *durable.Tx
	limits Limits

	revision, batches, bytes, signers int64 // the totals, written back when the change is done
	dropped                           int64
	known                             map[Chain]head // chains that were looked up
}

// head is a chain's row: no row when id is 0.
type head struct {
	id        int64
	low, high uint32
}

func (w *writer) append(e Entry, runs []run, now time.Time) (bool, error) {
	here, err := w.tx.One(nil, "SELECT 1 FROM backlog_batch WHERE id = ?", e.ID[:])
	if err != nil || here {
		return false, err
	}
	fresh, err := w.fresh(runs)
	if err != nil || len(e.Frames) > 0 && len(fresh) == 0 {
		return false, err // every frame of it is here, in other batches of the same signer
	}
	if err := w.tx.Exec("INSERT INTO backlog_batch (id, signer, control, at, data) VALUES (?, ?, ?, ?, ?)",
		e.ID[:], []byte(e.Signer), len(e.Frames) == 0, now.UnixMilli(), e.Data); err != nil {
		return false, err
	}
	seq := w.tx.LastID()
	chains := 0
	for _, r := range fresh {
		begun, err := w.index(r, seq)
		if err != nil {
			return false, err
		}
		chains += begun
	}
	if err := w.book(e, seq, chains); err != nil {
		return false, err
	}
	return true, w.makeRoom(e.Signer)
}

// book enters a batch and the chains it began in the books and the totals.
func (w *writer) book(e Entry, seq int64, chains int) error {
	w.batches++
	w.bytes += int64(len(e.Data))
	if err := w.tx.Exec("UPDATE backlog_books SET batches = batches + 1, bytes = bytes + ?2, chains = chains + ?3 WHERE signer = ?1",
		[]byte(e.Signer), len(e.Data), chains); err != nil || w.tx.Changes() > 0 {
		return err
	}
	w.signers++
	return w.tx.Exec("INSERT INTO backlog_books (signer, batches, bytes, chains, oldest) VALUES (?, 1, ?, ?, ?)",
		[]byte(e.Signer), len(e.Data), chains, seq)
}

// fresh returns what of a batch's runs the log does not hold yet.
func (w *writer) fresh(runs []run) ([]run, error) {
	var fresh []run
	for _, r := range runs {
		h, err := w.head(r.chain)
		if err != nil {
			return nil, err
		}
		if h.id == 0 || r.first > h.high || r.last < h.low {
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

func (w *writer) head(c Chain) (head, error) {
	if h, known := w.known[c]; known {
		return h, nil
	}
	var h head
	_, err := w.tx.One([]any{&h.id, &h.low, &h.high}, "SELECT chain, low, high FROM backlog_chain WHERE prefix = ? AND sender = ? AND start = ? AND signer = ?",
		c.Prefix[:], c.Sender, c.Start, []byte(c.Signer))
	w.known[c] = h
	return h, err
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

// index enters a run of the batch seq and its chain. It returns 1 when the chain is new.
func (w *writer) index(r run, seq int64) (int, error) {
	h, err := w.head(r.chain)
	if err != nil {
		return 0, err
	}
	begun := 0
	if h.id != 0 {
		h.low, h.high = min(h.low, r.first), max(h.high, r.last)
		err = w.tx.Exec("UPDATE backlog_chain SET low = ?, high = ?, revision = ? WHERE chain = ?", h.low, h.high, w.revision, h.id)
	} else {
		begun = 1
		err = w.tx.Exec("INSERT INTO backlog_chain (prefix, sender, start, signer, low, high, revision) VALUES (?, ?, ?, ?, ?, ?, ?)",
			r.chain.Prefix[:], r.chain.Sender, r.chain.Start, []byte(r.chain.Signer), r.first, r.last, w.revision)
		h = head{w.tx.LastID(), r.first, r.last}
	}
	if err != nil {
		return 0, err
	}
	w.known[r.chain] = h
	return begun, w.tx.Exec("INSERT INTO backlog_run (chain, first, last, seq) VALUES (?, ?, ?, ?)", h.id, r.first, r.last, seq)
}

// makeRoom drops batches until the log is within its limits again.
func (w *writer) makeRoom(by peer.ID) error {
	for {
		seq, err := w.victim(by)
		if err != nil || seq == 0 {
			return err
		}
		if err := w.drop(seq); err != nil {
			return err
		}
		w.dropped++
	}
}

// victim returns the next batch to drop, 0 when there is room.
func (w *writer) victim(by peer.ID) (int64, error) {
	var seq int64
	found, err := w.tx.One([]any{&seq}, "SELECT oldest FROM backlog_books WHERE signer = ? AND chains > ?", []byte(by), w.limits.Chains)
	if err != nil || found {
		return seq, err
	}
	switch {
	case w.bytes > w.limits.Bytes:
		_, err = w.tx.One([]any{&seq}, "SELECT min(oldest) FROM backlog_books WHERE bytes * ? > ?", w.signers, w.limits.Bytes)
	case w.batches > int64(w.limits.Batches):
		_, err = w.tx.One([]any{&seq}, "SELECT min(oldest) FROM backlog_books WHERE batches * ? > ?", w.signers, w.limits.Batches)
	}
	return seq, err
}

// drop deletes a batch, its runs, and what the chains and the books say of it.
func (w *writer) drop(seq int64) error {
	clear(w.known)
	var signer []byte
	var size int64
	if _, err := w.tx.One([]any{&signer, &size}, "SELECT signer, length(data) FROM backlog_batch WHERE seq = ?", seq); err != nil {
		return err
	}
	var chains []int64
	for row, err := range w.tx.Rows("SELECT DISTINCT chain FROM backlog_run WHERE seq = ?", seq) {
		if err != nil {
			return err
		}
		chains = append(chains, row.Int64(0))
	}
	if err := w.tx.Exec("DELETE FROM backlog_run WHERE seq = ?", seq); err != nil {
		return err
	}
	if err := w.tx.Exec("DELETE FROM backlog_batch WHERE seq = ?", seq); err != nil {
		return err
	}
	gone := 0
	for _, chain := range chains {
		n, err := w.shorten(chain)
		if err != nil {
			return err
		}
		gone += n
	}
	if err := w.tx.Exec(`UPDATE backlog_books SET batches = batches - 1, bytes = bytes - ?2, chains = chains - ?3,
		oldest = coalesce((SELECT min(seq) FROM backlog_batch WHERE signer = ?1), 0) WHERE signer = ?1`, signer, size, gone); err != nil {
		return err
	}
	w.batches--
	w.bytes -= size
	err := w.tx.Exec("DELETE FROM backlog_books WHERE signer = ? AND batches = 0", signer)
	w.signers -= int64(w.tx.Changes())
	return err
}

// shorten sets a chain's head after runs went. It returns 1 when nothing of the chain is left.
func (w *writer) shorten(chain int64) (int, error) {
	if err := w.tx.Exec(`UPDATE backlog_chain SET revision = ?2,
		low = (SELECT first FROM backlog_run WHERE chain = ?1 ORDER BY first LIMIT 1),
		high = (SELECT last FROM backlog_run WHERE chain = ?1 ORDER BY first DESC LIMIT 1)
		WHERE chain = ?1 AND EXISTS (SELECT 1 FROM backlog_run WHERE chain = ?1)`, chain, w.revision); err != nil {
		return 0, err
	}
	if w.tx.Changes() > 0 {
		return 0, nil
	}
	return 1, w.tx.Exec("DELETE FROM backlog_chain WHERE chain = ?", chain)
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
