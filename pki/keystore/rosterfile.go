package keystore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"conclave/pki"
)

// ErrNoRoster is returned when a group's folder has no roster.
var ErrNoRoster = errors.New("no roster here")

// RosterFile is the newest roster seen, on disk. It never goes back to an older version, whoever asks and however often
// the process restarts. It may be used from several goroutines, and several processes may share one file.
type RosterFile struct {
	path  string
	group *pki.Group
	now   func() time.Time

	mu sync.Mutex // one Save at a time in this process; a file lock does it among processes
}

// RosterFile returns the group's roster file. A nil now is time.Now.
func (d Dir) RosterFile(g *pki.Group, now func() time.Time) *RosterFile {
	return NewRosterFile(d.rosterFile(), g, now)
}

// NewRosterFile returns a roster file at any path.
func NewRosterFile(path string, g *pki.Group, now func() time.Time) *RosterFile {
	if now == nil {
		now = time.Now
	}
	return &RosterFile{path: path, group: g, now: now}
}

// Path returns the file's path, for whoever wants to see whether it changed.
func (f *RosterFile) Path() string { return f.path }

// Load reads and verifies the roster, or returns ErrNoRoster. An expired one is returned like any other.
func (f *RosterFile) Load() (*pki.Roster, error) {
	envelope, err := readFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoRoster
	}
	if err != nil {
		return nil, fmt.Errorf("reading the roster: %w", err)
	}
	r, err := pki.OpenRoster(f.group, envelope, f.now())
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.path, err)
	}
	return r, nil
}

// Save makes a verified roster the one on disk. It returns pki.ErrRosterOlder if a newer one is there and
// pki.ErrRosterConflict if another one of the same version is; the file then stays as it is. When it returns nil, the
// roster survives a power cut.
func (f *RosterFile) Save(r *pki.Roster) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Group != f.group.ID {
		return pki.ErrRosterGroup
	}
	unlock, err := lockFile(context.Background(), f.path+".lock", nil)
	if err != nil {
		return fmt.Errorf("locking the roster: %w", err)
	}
	defer unlock()
	old, err := f.Load()
	if errors.Is(err, ErrNoRoster) {
		return WriteFile(f.path, r.Envelope)
	}
	if err != nil {
		return err // not overwritten: a broken file must not be a way back to an older version
	}
	if err := r.Supersedes(old); err != nil {
		return err
	}
	if r.Hash == old.Hash {
		return nil
	}
	return WriteFile(f.path, r.Envelope)
}
