package backlog

import (
	"fmt"
	"maps"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/durable"
)

// state is what memory holds of the database: whoever changes one changes the other, and takes it back with it.
type state struct {
	revision int64 // only grows; a revision that is undone is left out
	last     int64 // the highest place in use so far; likewise
	numbers  map[peer.ID]int64
	total    book
	books    map[peer.ID]book // of signers that have a batch here
	chains   map[Chain]head
}

// book is what lies here, of one signer or in all.
type book struct {
	batches int
	bytes   int64
	chains  int
	oldest  int64 // place of the signer's oldest batch
}

// head is what lies here of a chain.
type head struct {
	id        int64
	low, high uint32
	revision  int64
}

// load reads what memory holds of the database.
func load(tx *durable.Tx) (*state, error) {
	st := &state{revision: 1, numbers: map[peer.ID]int64{}, books: map[peer.ID]book{}, chains: map[Chain]head{}}
	names := map[int64]peer.ID{}
	for row, err := range tx.Rows("SELECT signer, id FROM backlog_signer") {
		if err != nil {
			return nil, err
		}
		id := peer.ID(row.Blob(1))
		names[row.Int64(0)], st.numbers[id] = id, row.Int64(0)
	}
	for row, err := range tx.Rows("SELECT signer, count(*), sum(size), min(seq), max(seq) FROM backlog_batch GROUP BY signer") {
		if err != nil {
			return nil, err
		}
		b := book{batches: int(row.Int64(1)), bytes: row.Int64(2), oldest: row.Int64(3)}
		st.books[names[row.Int64(0)]] = b
		st.total.batches += b.batches
		st.total.bytes += b.bytes
		st.last = max(st.last, row.Int64(4))
	}
	for row, err := range tx.Rows(`SELECT c.chain, c.prefix, c.sender, c.start, c.signer, min(r.first), max(r.last)
		FROM backlog_chain c JOIN backlog_run r ON r.chain = c.chain GROUP BY c.chain`) {
		if err != nil {
			return nil, err
		}
		c := Chain{Sender: uint16(row.Int64(2)), Start: uint32(row.Int64(3)), Signer: names[row.Int64(4)]}
		copy(c.Prefix[:], row.Blob(1))
		st.chains[c] = head{id: row.Int64(0), low: uint32(row.Int64(5)), high: uint32(row.Int64(6)), revision: st.revision}
		b := st.books[c.Signer]
		b.chains++
		st.books[c.Signer] = b
		st.total.chains++
	}
	return st, nil
}

// compare returns an error when two states differ in more than revisions.
func (st *state) compare(o *state) error {
	same := func(a, b head) bool { return a.id == b.id && a.low == b.low && a.high == b.high }
	if st.total != o.total || !maps.Equal(st.books, o.books) {
		return fmt.Errorf("the books say %v %v, the batches %v %v", st.total, st.books, o.total, o.books)
	}
	if !maps.Equal(st.numbers, o.numbers) || !maps.EqualFunc(st.chains, o.chains, same) {
		return fmt.Errorf("the chains are %v %v in memory, %v %v in the database", st.numbers, st.chains, o.numbers, o.chains)
	}
	return nil
}

// put sets m[k], until tx is undone.
func put[K comparable, V any](tx *durable.Tx, m map[K]V, k K, v V) {
	restore(tx, m, k)
	m[k] = v
}

// drop deletes m[k], until tx is undone.
func drop[K comparable, V any](tx *durable.Tx, m map[K]V, k K) {
	restore(tx, m, k)
	delete(m, k)
}

func restore[K comparable, V any](tx *durable.Tx, m map[K]V, k K) {
	old, had := m[k]
	tx.OnUndo(func() {
		if had {
			m[k] = old
		} else {
			delete(m, k)
		}
	})
}

// book enters batches, bytes and chains that came to a signer or, with negative numbers, went. oldest is the place of
// its oldest batch from now on.
func (st *state) book(tx *durable.Tx, signer peer.ID, d book) {
	total := st.total
	tx.OnUndo(func() { st.total = total })
	st.total.batches += d.batches
	st.total.bytes += d.bytes
	st.total.chains += d.chains
	b := st.books[signer]
	b = book{batches: b.batches + d.batches, bytes: b.bytes + d.bytes, chains: b.chains + d.chains, oldest: d.oldest}
	if b.batches == 0 {
		drop(tx, st.books, signer)
		return
	}
	put(tx, st.books, signer, b)
}
