package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/ncruces/go-sqlite3"
)

var (
	// ErrClosed is returned when the database was closed before the call.
	ErrClosed = errors.New("the database is closed")
	// ErrLocked is returned when another process, or another DB in this one, has the file open.
	ErrLocked = errors.New("the database is in use by another process")
	// ErrFull is returned when the disk is full. The write left nothing behind; it may be tried again later.
	ErrFull = errors.New("the disk is full")
	// ErrDisk is returned when the disk failed to read, write or flush. The write was not acknowledged, and whether it
	// is there after a crash is not known.
	ErrDisk = errors.New("the disk failed")
)

// CorruptError is returned when the file is not a database, or one whose content contradicts itself.
type CorruptError struct {
	Path  string // the database file
	Found string // what is wrong, in SQLite's words
}

// Error names the file and what is wrong with it.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("database %s is damaged: %s", e.Path, e.Found)
}

// NewerError is returned when the file was written by a newer program than this one.
type NewerError struct {
	Path      string // the database file
	Component string // the Schema's name
	Have      int    // the version in the file
	Want      int    // the highest version this program knows
}

// Error names the file, the component and both versions.
func (e *NewerError) Error() string {
	return fmt.Sprintf("database %s was written by a newer program: %s has version %d, this program knows %d", e.Path, e.Component, e.Have, e.Want)
}

// ModeError is returned when somebody else than the owner may read or write the file.
type ModeError struct {
	Path string      // the database file
	Mode fs.FileMode // its permissions
}

// Error names the file and its mode.
func (e *ModeError) Error() string {
	return fmt.Sprintf("database %s is open to others (mode %04o); it must be 0600", e.Path, e.Mode.Perm())
}

// classify gives an error that came out of SQLite the name that callers branch on, and leaves every other one alone.
func classify(path string, err error) error {
	var code sqlite3.ErrorCode
	if err == nil || !errors.As(err, &code) {
		return err
	}
	switch {
	case code == sqlite3.FULL, errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case code == sqlite3.CORRUPT, code == sqlite3.NOTADB:
		return &CorruptError{Path: path, Found: err.Error()}
	case code == sqlite3.IOERR:
		return fmt.Errorf("%w: %w", ErrDisk, err)
	case code == sqlite3.BUSY:
		return fmt.Errorf("%w: %w", ErrLocked, err)
	}
	return err
}
