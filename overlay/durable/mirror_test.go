package durable_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"conclave/overlay/durable"
)

// tally is what memory holds of the rows of a table: how many there are.
type tally struct{ rows int }

func loadTally(tx *durable.Tx) (*tally, error) {
	var t tally
	_, err := tx.One([]any{&t.rows}, "SELECT count(*) FROM item")
	return &t, err
}

// TestMirrorFollowsItsTables loads a mirror once, changes it with its table, takes a change back, and is told when they differ.
func TestMirrorFollowsItsTables(t *testing.T) {
	db, err := durable.OpenMemory([]durable.Schema{{Name: "test", Steps: []string{"CREATE TABLE item (n INTEGER PRIMARY KEY)"}}}, durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	loads := 0
	m := durable.NewMirror(db, func(tx *durable.Tx) (*tally, error) {
		loads++
		return loadTally(tx)
	})
	add := func(fails error) error {
		return m.Write(t.Context(), "adding", func(tx *durable.Tx, held *tally) error {
			if err := tx.Exec("INSERT INTO item DEFAULT VALUES"); err != nil {
				return err
			}
			held.rows++
			tx.OnUndo(func() { held.rows-- })
			return fails
		})
	}
	check := func() error {
		return m.Check(context.Background(), "checking", func(_ *durable.Tx, held, now *tally) error {
			if *held != *now {
				return fmt.Errorf("%d in memory, %d in the table", held.rows, now.rows)
			}
			return nil
		})
	}
	failed := errors.New("on purpose")
	if err := errors.Join(add(nil), add(nil)); err != nil {
		t.Fatal(err)
	}
	if err := add(failed); !errors.Is(err, failed) || !strings.HasPrefix(err.Error(), "adding: ") {
		t.Errorf("a change that fails returns %v", err)
	}
	err = m.Read(t.Context(), "reading", func(_ *durable.Tx, held *tally) error {
		if held.rows != 2 || loads != 1 {
			t.Errorf("memory holds %d rows, loaded %d times", held.rows, loads)
		}
		return nil
	})
	if err := errors.Join(err, check()); err != nil {
		t.Error(err)
	}
	if err := db.Write(t.Context(), func(tx *durable.Tx) error { return tx.Exec("DELETE FROM item") }); err != nil {
		t.Fatal(err)
	}
	if err := check(); err == nil || err.Error() != "checking: 2 in memory, 0 in the table" {
		t.Errorf("a table that changed alone: %v", err)
	}
}
