package state

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"conclave/overlay/durable"
	"conclave/overlay/wire"
)

// MaxShown is how many shown messages are remembered, newest first. The frames' own replay windows are what keeps old
// messages from being shown again; this list only covers what a crash lets through twice and what was sealed twice.
const MaxShown = 20_000

// schema is the file's tables.
var schema = durable.Schema{Name: "node", Steps: []string{`
CREATE TABLE records  (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE sessions (transcript BLOB PRIMARY KEY, about BLOB NOT NULL, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox   (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, text TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE shown    (seq INTEGER PRIMARY KEY, sender TEXT NOT NULL, id BLOB NOT NULL, UNIQUE (sender, id));
`, `
CREATE TABLE marks    (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
`, `
CREATE TABLE outgoing (seq INTEGER PRIMARY KEY, id BLOB NOT NULL, text TEXT NOT NULL, at INTEGER NOT NULL);
INSERT INTO outgoing SELECT seq, id, text, at FROM outbox;
DROP TABLE outbox;
CREATE TABLE shown_log (upto INTEGER PRIMARY KEY, list BLOB NOT NULL);
INSERT INTO shown_log SELECT seq, CAST(char(length(sender)) || sender || id AS BLOB) FROM shown ORDER BY seq;
DROP TABLE shown;
`, `
CREATE TABLE shelf    (seq INTEGER PRIMARY KEY, data BLOB NOT NULL, at INTEGER NOT NULL, stored INTEGER NOT NULL);
`}}

// image is a state file without content, so that no member's start has to make the tables: "go test ./node/state -update"
// makes it anew, and TestImage says when that is needed.
//
//go:embed empty.db
var image []byte

// Store is an open state file.
type Store struct{ db *durable.DB }

// Session is a frame session as the file keeps it.
type Session struct {
	Transcript wire.Transcript
	About      []byte // what the session is: written once
	State      []byte // where its chains and windows are: written often
}

// Outgoing is a message that has not been acknowledged yet.
type Outgoing struct {
	Seq  int64 // its place in the outbox
	ID   wire.MessageID
	Text string
	At   time.Time // when it was accepted, to the millisecond
}

// Shown names a message that was handed to the screens.
type Shown struct {
	Sender wire.Role
	ID     wire.MessageID
}

// Shelved is a sealed batch that is kept for other members.
type Shelved struct {
	Seq    int64
	Data   []byte
	At     time.Time // when it was put in, to the millisecond
	Stored bool      // a relay node holds it
}

// Loaded is everything in the file.
type Loaded struct {
	Records  map[string][]byte
	Sessions []Session
	Outbox   []Outgoing        // in the order in which they were accepted
	Shown    []Shown           // oldest first
	Shelf    []Shelved         // in the order of their places
	Marks    map[string][]byte // what people decided and what was found out, by name
}

// Open opens the state file at path, or creates it. An empty path keeps the state in memory, for tests.
func Open(path string) (*Store, error) {
	open := func() (*durable.DB, error) {
		opts := durable.Options{Erase: true}
		if path == "" {
			return durable.OpenMemory([]durable.Schema{schema}, opts)
		}
		opts.Image = image
		return durable.Open(path, []durable.Schema{schema}, opts)
	}
	db, err := open()
	if err != nil {
		return nil, fmt.Errorf("opening the member's state: %w", err)
	}
	return &Store{db}, nil
}

// Close commits what is under way and closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Load reads everything.
func (s *Store) Load(ctx context.Context) (*Loaded, error) {
	l := &Loaded{Records: make(map[string][]byte), Marks: make(map[string][]byte)}
	err := s.db.Read(ctx, func(tx *durable.Tx) error {
		for _, step := range []func(*durable.Tx) error{l.readRecords, l.readSessions, l.readOutbox, l.readShown, l.readMarks, l.readShelf} {
			if err := step(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the member's state: %w", err)
	}
	return l, nil
}

func (l *Loaded) readRecords(tx *durable.Tx) error {
	for row, err := range tx.Rows("SELECT key, value FROM records") {
		if err != nil {
			return err
		}
		l.Records[row.Text(0)] = row.Blob(1)
	}
	return nil
}

func (l *Loaded) readSessions(tx *durable.Tx) error {
	for row, err := range tx.Rows("SELECT transcript, about, state FROM sessions") {
		if err != nil {
			return err
		}
		s := Session{About: row.Blob(1), State: row.Blob(2)}
		if copy(s.Transcript[:], row.Blob(0)) != len(s.Transcript) {
			return fmt.Errorf("a session's name has the wrong length")
		}
		l.Sessions = append(l.Sessions, s)
	}
	return nil
}

func (l *Loaded) readOutbox(tx *durable.Tx) error {
	for row, err := range tx.Rows("SELECT seq, id, text, at FROM outgoing ORDER BY seq") {
		if err != nil {
			return err
		}
		o := Outgoing{Seq: row.Int64(0), Text: row.Text(2), At: time.UnixMilli(row.Int64(3))}
		if copy(o.ID[:], row.Blob(1)) != len(o.ID) {
			return fmt.Errorf("a message's ID has the wrong length")
		}
		l.Outbox = append(l.Outbox, o)
	}
	return nil
}

func (l *Loaded) readShelf(tx *durable.Tx) error {
	for row, err := range tx.Rows("SELECT seq, data, at, stored FROM shelf ORDER BY seq") {
		if err != nil {
			return err
		}
		l.Shelf = append(l.Shelf, Shelved{Seq: row.Int64(0), Data: row.Blob(1), At: time.UnixMilli(row.Int64(2)), Stored: row.Int64(3) != 0})
	}
	return nil
}

func (l *Loaded) readMarks(tx *durable.Tx) error {
	for row, err := range tx.Rows("SELECT key, value FROM marks") {
		if err != nil {
			return err
		}
		l.Marks[row.Text(0)] = row.Blob(1)
	}
	return nil
}

func (l *Loaded) readShown(tx *durable.Tx) error {
	for row, err := range tx.Rows("SELECT list FROM shown_log ORDER BY upto") {
		if err != nil {
			return err
		}
		for list := row.Blob(0); len(list) > 0; {
			var s Shown
			if list = s.cut(list); list == nil {
				return fmt.Errorf("a list of shown messages is cut short")
			}
			l.Shown = append(l.Shown, s)
		}
	}
	l.Shown = l.Shown[max(0, len(l.Shown)-MaxShown):] // a row goes when all of it is too old
	return nil
}

// append appends a message's name: length of the sender's (1 byte) ‖ sender ‖ ID.
func (s Shown) append(list []byte) []byte {
	list = append(list, byte(len(s.Sender)))
	list = append(list, s.Sender...)
	return append(list, s.ID[:]...)
}

// cut reads what append wrote and returns the rest, which is nil if there was not enough.
func (s *Shown) cut(list []byte) []byte {
	end := 1 + int(list[0])
	if len(list) < end+len(s.ID) {
		return nil
	}
	s.Sender = wire.Role(list[1:end])
	copy(s.ID[:], list[end:])
	return list[end+len(s.ID):]
}
