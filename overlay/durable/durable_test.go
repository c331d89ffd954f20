package durable_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"conclave/overlay/durable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var notes = durable.Schema{Name: "notes", Steps: []string{"CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)"}}

func open(t testing.TB, path string, opts durable.Options, schemas ...durable.Schema) *durable.DB {
	t.Helper()
	if schemas == nil {
		schemas = []durable.Schema{notes}
	}
	db, err := durable.Open(path, schemas, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // a test that minds closes it itself
	return db
}

func note(db *durable.DB, text string) error {
	return db.Write(context.Background(), func(tx *durable.Tx) error {
		return tx.Exec("INSERT INTO notes (text) VALUES (?)", text)
	})
}

func mustNote(t *testing.T, db *durable.DB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := note(db, text); err != nil {
			t.Fatal(err)
		}
	}
}

func all(t *testing.T, db *durable.DB) string {
	t.Helper()
	var texts []string
	err := db.Read(t.Context(), func(tx *durable.Tx) error {
		texts = nil
		for row, err := range tx.Rows("SELECT text FROM notes ORDER BY n") {
			if err != nil {
				return err
			}
			texts = append(texts, row.Text(0))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(texts, " ")
}

func want(t *testing.T, db *durable.DB, texts string) {
	t.Helper()
	if got := all(t, db); got != texts {
		t.Errorf("the database holds %.100q (%d bytes), want %.100q (%d bytes)", got, len(got), texts, len(texts))
	}
}

func TestKeepsWhatWasWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new folder ?#%", "state.db")
	db := open(t, path, durable.Options{})
	id := db.ID()
	mustNote(t, db, "a", "b")
	want(t, db, "a b")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, path, durable.Options{Erase: true})
	want(t, again, "a b")
	if again.ID() != id {
		t.Error("the ID changed")
	}
	if err := again.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if other := open(t, filepath.Join(t.TempDir(), "state.db"), durable.Options{}); other.ID() == id {
		t.Error("two databases have one ID")
	}
}

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: no Unix permissions here")
	}
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "relay")
	path := filepath.Join(folder, "state.db")
	db := open(t, path, durable.Options{})
	mustNote(t, db, "a")
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info.Mode(), err)
	}
	files, err := os.ReadDir(folder)
	if err != nil || len(files) < 2 {
		t.Fatalf("files: %v, %v; want the database and its log", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
	if err := errors.Join(db.Close(), os.Chmod(path, 0o640)); err != nil {
		t.Fatal(err)
	}
	var mode *durable.ModeError
	if _, err := durable.Open(path, nil, durable.Options{}); !errors.As(err, &mode) || mode.Mode.Perm() != 0o640 {
		t.Errorf("opening a file that others may read: %v", err)
	}
	link := filepath.Join(folder, "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := durable.Open(link, nil, durable.Options{}); err == nil {
		t.Error("a symbolic link was opened")
	}
}

// TestGroups holds the writer up until 200 writes wait, a third of which fail, and sees them go in few commits.
func TestGroups(t *testing.T) {
	t.Parallel()
	const writes = 200
	db := open(t, filepath.Join(t.TempDir(), "state.db"), durable.Options{Group: 100})
	started, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := db.Write(context.Background(), func(*durable.Tx) error {
			close(started)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-started
	mine := errors.New("mine")
	errs := make([]error, writes)
	for i := range writes {
		wg.Go(func() {
			errs[i] = db.Write(context.Background(), func(tx *durable.Tx) error {
				if err := tx.Exec("INSERT INTO notes (n, text) VALUES (?, ?)", i, fmt.Sprint("note ", i)); err != nil {
					return err
				}
				switch i % 6 {
				case 1:
					return mine
				case 4:
					return tx.Exec("INSERT INTO notes (n, text) VALUES (?, 'again')", i) // n is taken
				}
				return nil
			})
		})
	}
	awaitQueue(db, writes)
	close(release)
	wg.Wait()
	n := 0
	for i, err := range errs {
		switch i % 6 {
		case 1:
			if !errors.Is(err, mine) {
				t.Errorf("write %d: %v", i, err)
			}
		case 4:
			if err == nil {
				t.Errorf("write %d broke a constraint and was reported done", i)
			}
		default:
			n++
			if err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		}
	}
	if got := len(strings.Split(all(t, db), "note")) - 1; got != n {
		t.Errorf("%d writes left something behind, want %d", got, n)
	}
	if s := db.Stats(); s.Groups > 4 || s.Largest != 100 || s.Writes != uint64(n)+1 || s.Refused != 0 {
		t.Errorf("%+v; want %d writes in at most 4 groups of at most 100", s, n+1)
	}
}

// awaitQueue returns when n writes wait.
func awaitQueue(db *durable.DB, n int) {
	for db.Waiting() < n {
		runtime.Gosched()
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "state.db"), durable.Options{Queue: 1})
	started, release := make(chan struct{}), make(chan struct{})
	running, stop := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() {
		first <- db.Write(running, func(tx *durable.Tx) error {
			close(started)
			<-release
			return tx.Exec("INSERT INTO notes (text) VALUES ('begun')")
		})
	}()
	<-started
	queued, cancel := context.WithCancel(context.Background())
	second := make(chan error, 1)
	go func() {
		second <- db.Write(queued, func(tx *durable.Tx) error {
			return tx.Exec("INSERT INTO notes (text) VALUES ('withdrawn')")
		})
	}()
	awaitQueue(db, 1)
	third, cancelThird := context.WithCancel(context.Background())
	cancelThird()
	if err := db.Write(third, func(*durable.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a full queue and a cancelled context: %v", err)
	}
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("a queued write that was cancelled: %v", err)
	}
	stop() // too late: it has begun
	close(release)
	if err := <-first; err != nil {
		t.Errorf("a write that had begun when it was cancelled: %v", err)
	}
	want(t, db, "begun")

	reading, stopReading := context.WithCancel(context.Background())
	err := db.Read(reading, func(tx *durable.Tx) error {
		stopReading()
		_, err := tx.One(nil, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT n FROM c WHERE n < 0")
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an endless query that was cancelled: %v", err)
	}
	want(t, db, "begun")
}

func TestReadChangesNothing(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "state.db"), durable.Options{})
	if err := db.Read(t.Context(), func(tx *durable.Tx) error { return tx.Exec("INSERT INTO notes (text) VALUES ('x')") }); err != nil {
		t.Fatal(err)
	}
	mustNote(t, db, "y")
	want(t, db, "y")
}

func TestCloseWaits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, path, durable.Options{})
	started, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = db.Write(context.Background(), func(*durable.Tx) error { close(started); <-release; return nil })
	})
	<-started
	for i := range 10 {
		wg.Go(func() {
			if err := note(db, fmt.Sprint(i)); err != nil {
				t.Errorf("a write that was queued before Close: %v", err)
			}
		})
	}
	awaitQueue(db, 10)
	closed := make(chan error, 2)
	for range 2 {
		go func() { closed <- db.Close() }()
	}
	close(release)
	wg.Wait()
	if err := errors.Join(<-closed, <-closed); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := note(db, "late"); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if err := db.Read(t.Context(), func(*durable.Tx) error { return nil }); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
	if n := len(strings.Fields(all(t, open(t, path, durable.Options{})))); n != 10 {
		t.Errorf("%d writes are there, want 10", n)
	}
}

func TestOneOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, path, durable.Options{})
	if _, err := durable.Open(path, []durable.Schema{notes}, durable.Options{LockWait: -1}); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("opening a second time: %v", err)
	}
	mustNote(t, db, "unharmed")
	want(t, db, "unharmed")
}

func TestVersions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, path, durable.Options{})
	mustNote(t, db, "a")
	id := db.ID()
	reopen := func(schemas ...durable.Schema) error {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		db, err = durable.Open(path, schemas, durable.Options{})
		return err
	}
	next := durable.Schema{Name: "notes", Steps: append(notes.Steps, "ALTER TABLE notes ADD COLUMN seen INTEGER NOT NULL DEFAULT 7")}
	other := durable.Schema{Name: "other", Steps: []string{"CREATE TABLE other (x)"}}
	broken := durable.Schema{Name: "broken", Steps: []string{"CREATE TABLE fine (x); CREATE TABLE notes (x)"}}
	if err := reopen(next, other); err != nil {
		t.Fatal(err)
	}
	var seen int
	if err := db.Read(t.Context(), func(tx *durable.Tx) error {
		_, err := tx.One([]any{&seen}, "SELECT seen FROM notes")
		return err
	}); err != nil || seen != 7 {
		t.Errorf("the new column holds %d, %v", seen, err)
	}
	var newer *durable.NewerError
	if err := reopen(notes); !errors.As(err, &newer) || newer.Component != "notes" || newer.Have != 2 || newer.Want != 1 {
		t.Fatalf("an older program: %v", err)
	}
	if db, _ = durable.Open(path, []durable.Schema{next}, durable.Options{}); db == nil || db.ID() != id {
		t.Fatal("a component that is not named is in the way, or the ID changed")
	}
	if err := reopen(next, other, broken); err == nil {
		t.Fatal("a broken step was taken")
	}
	db = open(t, path, durable.Options{}, next)
	if err := db.Read(t.Context(), func(tx *durable.Tx) error { return tx.Exec("SELECT * FROM fine") }); err == nil {
		t.Error("half of a broken step is there")
	}
	want(t, db, "a")
}

func TestNewerFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, path, durable.Options{})
	if err := db.Write(t.Context(), func(tx *durable.Tx) error { return tx.Exec("PRAGMA user_version = 99") }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var newer *durable.NewerError
	if _, err := durable.Open(path, []durable.Schema{notes}, durable.Options{}); !errors.As(err, &newer) || newer.Have != 99 {
		t.Errorf("a file of version 99: %v", err)
	}
}

func TestCorrupt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, path, durable.Options{})
	for i := range 500 {
		mustNote(t, db, fmt.Sprint(i, strings.Repeat(" padding", 20)))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var corrupt *durable.CorruptError
	damage := func(name string, change func([]byte) []byte) {
		broken := filepath.Join(t.TempDir(), "broken.db")
		if err := os.WriteFile(broken, change(append([]byte(nil), whole...)), 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := durable.Open(broken, []durable.Schema{notes}, durable.Options{})
		if err == nil {
			err = db.Check(t.Context())
			_ = db.Close() // the damage may well show here again
		}
		if !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	damage("a text file", func([]byte) []byte { return []byte(strings.Repeat("not a database\n", 1000)) })
	damage("the header's magic", func(b []byte) []byte { b[3] ^= 1; return b })
	damage("half of the file", func(b []byte) []byte { return b[:len(b)/2/4096*4096] })
	damage("the tables' page", func(b []byte) []byte { copy(b[100:], make([]byte, 3000)); return b })
	damage("a page in the middle", func(b []byte) []byte {
		for i := range 4096 {
			b[len(b)/2/4096*4096+i] = 0xA5
		}
		return b
	})
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if db := open(t, path, durable.Options{}); all(t, db) != "" {
		t.Error("an empty file is not an empty database")
	}
}

func TestMemoryDatabase(t *testing.T) {
	t.Parallel()
	db, err := durable.OpenMemory([]durable.Schema{notes}, durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mustNote(t, db, "a", "b")
	if err := note(db, "a"); err == nil {
		t.Error("a constraint was broken")
	}
	want(t, db, "a b")
	if err := errors.Join(db.Check(t.Context()), db.Close()); err != nil {
		t.Error(err)
	}
}

func TestBadFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := durable.Open(filepath.Join(file, "state.db"), nil, durable.Options{}); err == nil {
		t.Error("a file was taken for a folder")
	}
	if _, err := durable.Open(t.TempDir(), nil, durable.Options{}); err == nil {
		t.Error("a folder was taken for a file")
	} else if errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening a folder: %v", err)
	}
}

// TestMemoryFollows keeps a counter beside the database, has every third write fail after it counted, and finds the
// counter equal to the rows, whichever writes were in a group with those.
func TestMemoryFollows(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "state.db"), durable.Options{})
	rows := 0 // touched by the writer only
	count := func(tx *durable.Tx) {
		before := rows
		rows++
		tx.OnUndo(func() { rows = before })
	}
	mine := errors.New("mine")
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			err := db.Write(context.Background(), func(tx *durable.Tx) error {
				count(tx)
				if err := tx.Exec("INSERT INTO notes (text) VALUES (?)", fmt.Sprint(i)); err != nil {
					return err
				}
				count(tx)
				if err := tx.Exec("INSERT INTO notes (text) VALUES (?)", fmt.Sprint("and ", i)); err != nil || i%3 != 0 {
					return err
				}
				return mine
			})
			if failed := i%3 == 0; failed != errors.Is(err, mine) || !failed && err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if err := db.Read(t.Context(), func(tx *durable.Tx) error {
		var n int
		if _, err := tx.One([]any{&n}, "SELECT count(*) FROM notes"); err != nil {
			return err
		}
		if n != 400 || rows != n {
			t.Errorf("%d rows, counted %d; want 400", n, rows)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
