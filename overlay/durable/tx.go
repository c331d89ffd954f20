package durable

import (
	"fmt"
	"iter"

	"github.com/ncruces/go-sqlite3"
)

// Tx is what a write's or read's function works with. It is valid only until that function returns, and only on its
// goroutine. Statements are prepared once and kept, so queries should be constants.
//
// Arguments may be nil, bool, int, int64, uint16, uint32, string and []byte (a nil []byte is an empty blob).
type Tx struct {
	raw   *sqlite3.Conn
	stmts map[string]*sqlite3.Stmt // prepared and not in use
	undo  []func()                 // what memory has to take back with the transaction
}

// OnUndo has fn called when what this write changed is undone, so that a copy in memory can follow the database. The
// functions of a write run last first, on the writer's goroutine, before anything else reads or writes.
func (t *Tx) OnUndo(fn func()) { t.undo = append(t.undo, fn) }

// takeBack runs what was registered after the first n, last first, and forgets it.
func (t *Tx) takeBack(n int) {
	for i := len(t.undo) - 1; i >= n; i-- {
		t.undo[i]()
	}
	clear(t.undo[n:])
	t.undo = t.undo[:n]
}

// Exec runs a statement that returns no rows.
func (t *Tx) Exec(query string, args ...any) error {
	s, err := t.take(query, args)
	if err != nil {
		return err
	}
	err = s.Exec()
	t.giveBack(query, s)
	return err
}

// Changes returns how many rows the last INSERT, UPDATE or DELETE changed.
func (t *Tx) Changes() int { return int(t.raw.Changes()) }

// LastID returns the row ID of the last INSERT.
func (t *Tx) LastID() int64 { return t.raw.LastInsertRowID() }

// Rows runs a query and yields its rows, or one error. A row is valid until the next one.
func (t *Tx) Rows(query string, args ...any) iter.Seq2[*Row, error] {
	return func(yield func(*Row, error) bool) {
		s, err := t.take(query, args)
		if err != nil {
			yield(nil, err)
			return
		}
		defer t.giveBack(query, s)
		row := &Row{s}
		for s.Step() {
			if !yield(row, nil) {
				return
			}
		}
		if err := s.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// One runs a query and reads the columns of its first row into dest, which holds pointers to bool, int, int64, uint32,
// string or []byte. It reports whether there was a row; without one dest is untouched.
func (t *Tx) One(dest []any, query string, args ...any) (bool, error) {
	for row, err := range t.Rows(query, args...) {
		if err != nil {
			return false, err
		}
		for i, d := range dest {
			if err := row.read(i, d); err != nil {
				return false, err
			}
		}
		return true, nil
	}
	return false, nil
}

// take returns a prepared statement with its arguments bound. A statement that is in use is prepared a second time.
func (t *Tx) take(query string, args []any) (*sqlite3.Stmt, error) {
	s := t.stmts[query]
	delete(t.stmts, query)
	if s == nil {
		var err error
		if s, _, err = t.raw.PrepareFlags(query, sqlite3.PREPARE_PERSISTENT); err != nil {
			return nil, err
		}
		if s == nil {
			return nil, fmt.Errorf("an empty query: %q", query)
		}
	}
	for i, a := range args {
		if err := bind(s, i+1, a); err != nil {
			t.giveBack(query, s)
			return nil, err
		}
	}
	return s, nil
}

// giveBack keeps a statement for its next use, without what was bound to it.
func (t *Tx) giveBack(query string, s *sqlite3.Stmt) {
	_ = s.Reset() // repeats the error of the last step, which was reported
	if _, taken := t.stmts[query]; taken || s.ClearBindings() != nil {
		_ = s.Close() // likewise
		return
	}
	t.stmts[query] = s
}

func bind(s *sqlite3.Stmt, i int, a any) error {
	switch v := a.(type) {
	case nil:
		return s.BindNull(i)
	case bool:
		return s.BindBool(i, v)
	case int:
		return s.BindInt64(i, int64(v))
	case int64:
		return s.BindInt64(i, v)
	case uint16:
		return s.BindInt64(i, int64(v))
	case uint32:
		return s.BindInt64(i, int64(v))
	case string:
		return s.BindText(i, v)
	case []byte:
		if len(v) == 0 {
			return s.BindZeroBlob(i, 0)
		}
		return s.BindBlob(i, v)
	}
	return fmt.Errorf("argument %d has type %T, which is not stored", i, a)
}

// Row is one row of a query's result.
type Row struct{ s *sqlite3.Stmt }

// Int64 returns the i-th column (from 0) as a number.
func (r *Row) Int64(i int) int64 { return r.s.ColumnInt64(i) }

// Text returns the i-th column as a string.
func (r *Row) Text(i int) string { return r.s.ColumnText(i) }

// Blob returns a copy of the i-th column's bytes.
func (r *Row) Blob(i int) []byte { return r.s.ColumnBlob(i, nil) }

func (r *Row) read(i int, dest any) error {
	switch d := dest.(type) {
	case *bool:
		*d = r.Int64(i) != 0
	case *int:
		*d = int(r.Int64(i))
	case *int64:
		*d = r.Int64(i)
	case *uint32:
		*d = uint32(r.Int64(i))
	case *string:
		*d = r.Text(i)
	case *[]byte:
		*d = r.Blob(i)
	default:
		return fmt.Errorf("column %d cannot be read into a %T", i, dest)
	}
	return nil
}
