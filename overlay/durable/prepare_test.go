package durable

import (
	"testing"

	"github.com/ncruces/go-sqlite3"
)

// TestPreparedOnce runs a query with ever other limits, and asks SQLite how often it prepared the statement again.
func TestPreparedOnce(t *testing.T) {
	t.Parallel()
	schema := Schema{Name: "notes", Steps: []string{"CREATE TABLE notes (n INTEGER PRIMARY KEY)"}}
	db, err := OpenMemory([]Schema{schema}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const query = "SELECT n FROM notes WHERE n > ? LIMIT ?"
	for i := range 10 {
		if err := db.Read(t.Context(), func(tx *Tx) error {
			_, err := tx.One(nil, query, i, 10+i)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if n := db.conn.tx.stmts[query].Status(sqlite3.STMTSTATUS_REPREPARE, false); n != 0 {
		t.Errorf("prepared %d times more than once", n)
	}
}
