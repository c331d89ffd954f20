package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"conclave/overlay/durable"
)

// TestEmptyFile opens an empty file: what a file system without nameless files is given, and what older programs left
// when they were killed early.
func TestEmptyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db := open(t, path, durable.Options{})
	mustNote(t, db, "a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, open(t, path, durable.Options{}), "a")
}

// TestCreatedTogether has sixteen open one path that has no file: the file is created once, and at most one owns it (two
// that stand in each other's way may both be told that it is locked).
func TestCreatedTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "folder", "state.db")
	var mu sync.Mutex
	var owners []*durable.DB
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			db, err := durable.Open(path, []durable.Schema{notes}, durable.Options{LockWait: -1})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				owners = append(owners, db)
			case !errors.Is(err, durable.ErrLocked):
				t.Errorf("opening: %v", err)
			}
		})
	}
	group.Wait()
	switch len(owners) {
	case 0:
		owners = append(owners, open(t, path, durable.Options{}))
	case 1:
	default:
		t.Fatalf("%d own the file", len(owners))
	}
	mustNote(t, owners[0], "mine")
	id := owners[0].ID()
	if err := owners[0].Close(); err != nil {
		t.Fatal(err)
	}
	db := open(t, path, durable.Options{})
	if want(t, db, "mine"); db.ID() != id {
		t.Error("the file has another ID than it was created with")
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) > 2 {
		t.Errorf("the folder holds %v, %v; want the database and its log", files, err)
	}
}

// TestPageSize makes a file with large pages, which it keeps whatever it is opened with.
func TestPageSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	for _, opts := range []durable.Options{{PageSize: 8 << 10}, {}, {PageSize: 16 << 10, Erase: true}} {
		db := open(t, path, opts)
		var page, pages int
		err := db.Read(t.Context(), func(tx *durable.Tx) error {
			_, err1 := tx.One([]any{&page}, "PRAGMA page_size")
			_, err2 := tx.One([]any{&pages}, "PRAGMA wal_autocheckpoint")
			return errors.Join(err1, err2)
		})
		if err := errors.Join(err, note(db, strconv.Itoa(opts.PageSize)), db.Close()); err != nil {
			t.Fatal(err)
		}
		want := 16 << 20
		if opts.Erase {
			want = 256 << 10
		}
		if page != 8<<10 || pages*page != want {
			t.Errorf("%+v: pages of %d bytes, a log of %d; want 8192 and %d", opts, page, pages*page, want)
		}
	}
}
