package durable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	"conclave/overlay/wire"
)

// Implementation constants. All of them are arbitrary within a factor of a few.
const (
	defaultQueue    = 1024        // writes that may wait
	defaultGroup    = 256         // most writes in one commit
	defaultLockWait = time.Second // how long Open waits for a predecessor that is about to exit
	defaultPage     = 4 << 10     // bytes, of a file's pages
	logBytes        = 16 << 20    // of log after which it is moved into the database
	eraseLogBytes   = 256 << 10   // the same when what was deleted shall be gone soon
	folderMode      = fs.FileMode(0o700)
	fileMode        = fs.FileMode(0o600)
	inMemory        = ":memory:" // SQLite's name for a database without a file
)

// Options tune a DB. The zero value is what a node uses.
type Options struct {
	// Queue is how many writes may wait for the writer; 0 means 1024. When it is full, Write waits.
	Queue int
	// Group is the most writes that one commit takes; 0 means 256. 1 switches group commit off.
	Group int
	// PageSize is the size of a new file's pages in bytes, a power of 2 from 512 to 65,536; 0 means 4 KiB. A file that is
	// there, or is a copy of Image, has the pages that it has.
	PageSize int
	// LockWait is how long Open waits for another process to let go of the file; 0 means one second, less than 0 not at all.
	LockWait time.Duration
	// Erase overwrites what is deleted and keeps the log short, so that a key that was erased is soon gone from the
	// file too. It costs some writing. The default leaves deleted content in free pages until they are used again.
	Erase bool
	// OneThread has all calls that change the file come from one thread: whoever counts a thread's system calls, as fault
	// injectors do, counts them all. It costs a change of threads for each commit.
	OneThread bool
	// Random is where a new file's ID comes from; nil means crypto/rand.
	Random io.Reader
	// Image is a new file of the same schemas whose ID is "ID of a new file". A new file is then a copy of it with an ID
	// of its own, which takes a fraction of the time that making the tables takes; nil means that they are made. Only
	// Open uses it.
	Image []byte
}

// DB is an open database file. Its methods may be called from any goroutine.
type DB struct {
	// Static after Open.
	path string
	id   wire.DatabaseID
	max  int // writes in one commit

	jobs   chan *job
	done   chan struct{} // closed when the writer has ended and the file is closed
	gate   sync.RWMutex  // held for reading while a job is queued, for writing while closing
	closed bool          // guarded by gate

	mu    sync.Mutex // guards conn and stats: held by the writer for one group, by a reader for one read
	conn  *conn
	stats Stats

	closeErr error // owned by the writer until done is closed
}

// Stats count what a DB has done since it was opened.
type Stats struct {
	Writes  uint64 // acknowledged writes
	Groups  uint64 // commits that took place
	Largest int    // most writes in one of them
	Refused uint64 // writes that ended in an error of the disk or the database, not of their own function
}

// conn is the one connection to the file.
type conn struct {
	raw *sqlite3.Conn
	tx  Tx
}

// Open opens the database at path, creates it when there is none, and brings it to the versions of schemas. The folder
// is created too, with mode 0700; its parent has to exist or be creatable.
func Open(path string, schemas []Schema, opts Options) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening database %s: %w", path, err)
	}
	return open(abs, dsn(abs), schemas, opts)
}

// OpenMemory makes a database that lives in memory and is gone after Close. Nothing in it is durable; everything else
// is as in a file.
func OpenMemory(schemas []Schema, opts Options) (*DB, error) {
	return open("(memory)", inMemory, schemas, opts)
}

func open(path, name string, schemas []Schema, opts Options) (*DB, error) {
	d := &DB{
		path: path,
		max:  positive(opts.Group, defaultGroup),
		jobs: make(chan *job, positive(opts.Queue, defaultQueue)),
		done: make(chan struct{}),
	}
	opened := make(chan error)
	go d.run(opts.OneThread, func() error {
		if name != inMemory {
			if err := create(path, schemas, opts); err != nil {
				return err
			}
			if err := checkFile(path); err != nil {
				return err
			}
		}
		var err error
		d.conn, d.id, err = connect(path, name, schemas, opts)
		return err
	}, opened)
	if err := <-opened; err != nil {
		return nil, fmt.Errorf("opening database %s: %w", path, classify(path, err))
	}
	return d, nil
}

func newConn(raw *sqlite3.Conn) *conn {
	return &conn{raw: raw, tx: Tx{raw: raw, stmts: map[string]*sqlite3.Stmt{}}}
}

func connect(path, name string, schemas []Schema, opts Options) (*conn, wire.DatabaseID, error) {
	raw, err := sqlite3.OpenFlags(name, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE|sqlite3.OPEN_URI)
	if err != nil {
		return nil, wire.DatabaseID{}, err
	}
	c := newConn(raw)
	var id wire.DatabaseID
	if err = c.configure(opts); err == nil {
		id, err = c.migrate(path, schemas, opts.Random)
	}
	if err != nil {
		return nil, id, errors.Join(err, c.close())
	}
	return c, id, nil
}

// configure sets what the package's guarantees rest on. The exclusive lock comes first: with it the log's index is kept
// on the heap instead of in a mapped file, so that a full disk cannot become a bus error.
func (c *conn) configure(opts Options) error {
	wait := opts.LockWait
	if wait == 0 {
		wait = defaultLockWait
	}
	if err := c.raw.BusyTimeout(max(wait, 0)); err != nil {
		return err
	}
	// A plan that does not depend on what is bound: otherwise SQLite prepares a statement with a limit anew each time it
	// runs, to plan for the limit that it has now.
	if _, err := c.raw.Config(sqlite3.DBCONFIG_ENABLE_QPSG, true); err != nil {
		return err
	}
	script := "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;"
	size := logBytes
	if opts.Erase {
		script += "PRAGMA secure_delete = ON;"
		size = eraseLogBytes
	}
	if err := c.raw.Exec(script); err != nil {
		return err
	}
	var page int
	if _, err := c.tx.One([]any{&page}, "PRAGMA page_size"); err != nil {
		return err
	}
	if err := c.raw.WALAutoCheckpoint(size / page); err != nil {
		return err
	}
	return c.checkpoint()
}

// checkpoint moves what is in the log into the database. When a file is opened that is what a crash left behind: after a
// failed flush the kernel may hold pages that never reached the disk and call them clean, and copying them makes it write
// them again. On a full disk the log stays as it is; what it holds can be read all the same.
func (c *conn) checkpoint() error {
	_, _, err := c.raw.WALCheckpoint("main", sqlite3.CHECKPOINT_TRUNCATE)
	if errors.Is(classify("", err), ErrFull) {
		return nil
	}
	return err
}

func (c *conn) close() error {
	for _, s := range c.tx.stmts {
		_ = s.Close() // repeats the error of the last step, which was reported
	}
	return c.raw.Close()
}

// checkFile checks the kind and the mode of a file.
func checkFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return &ModeError{Path: path, Mode: info.Mode()}
	}
	return nil
}

// syncFolder makes a new file's name durable.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be flushed there
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("flushing folder %s: %w", dir, err)
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}

// dsn names the file to SQLite and tells it to give the log the mode of the database. SQLite decodes %XX and nothing else.
func dsn(path string) string {
	escaped := strings.ReplaceAll(url.QueryEscape(filepath.ToSlash(path)), "+", "%20")
	name := "file:" + escaped
	if !strings.HasPrefix(path, "/") {
		name = "file:/" + escaped // a drive letter
	}
	return name + "?modeof=" + escaped
}

func positive(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// ID returns the ID that was drawn when the file was created.
func (d *DB) ID() wire.DatabaseID { return d.id }

// Stats returns what the database has done so far.
func (d *DB) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// Check reads the whole file and returns a CorruptError when it contradicts itself. It takes seconds on a large file and
// holds back writes meanwhile.
func (d *DB) Check(ctx context.Context) error {
	return d.Read(ctx, func(tx *Tx) error {
		var found string
		if _, err := tx.One([]any{&found}, "PRAGMA integrity_check(1)"); err != nil {
			return err
		}
		if found != "ok" {
			return &CorruptError{Path: d.path, Found: found}
		}
		return nil
	})
}
