package durable

import (
	"crypto/rand"
	"fmt"
	"io"

	"conclave/overlay/wire"
)

// fileVersion is the version of what this package itself keeps in the file (PRAGMA user_version).
const fileVersion = 1

// Schema is the tables of one component that lives in the file. Several components may share a file; each has a
// version of its own, and a component that the program does not name is left alone.
type Schema struct {
	// Name is the component's name. It must never change.
	Name string
	// Steps are SQL scripts; Steps[i] takes the component from version i to version i+1. Steps are only ever added.
	Steps []string
}

const metaTables = `
CREATE TABLE durable_meta (id BLOB NOT NULL);
CREATE TABLE durable_schema (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;`

// migrate brings the file up to the versions this program knows, in one transaction, and returns the file's ID.
func (c *conn) migrate(path string, schemas []Schema, random io.Reader) (wire.DatabaseID, error) {
	var id wire.DatabaseID
	have, err := c.versions(path, &id)
	if err != nil || upToDate(have, schemas) {
		return id, err
	}
	if err := c.raw.Exec("BEGIN IMMEDIATE"); err != nil {
		return id, err
	}
	err = c.migrateSteps(path, have, schemas, random, &id)
	if err == nil {
		err = c.raw.Exec("COMMIT")
	}
	if err != nil && !c.raw.GetAutocommit() {
		_ = c.raw.Exec("ROLLBACK") // the first error is the one that matters
	}
	if err != nil {
		return id, err
	}
	return id, c.checkpoint() // the tables have their room in the file now, whatever becomes of the disk
}

func upToDate(have map[string]int, schemas []Schema) bool {
	for _, s := range schemas {
		if have[s.Name] != len(s.Steps) {
			return false
		}
	}
	return have != nil
}

// versions returns the version of each component, nil for a file that has just been created.
func (c *conn) versions(path string, id *wire.DatabaseID) (map[string]int, error) {
	var version int
	if _, err := c.tx.One([]any{&version}, "PRAGMA user_version"); err != nil || version == 0 {
		return nil, err
	}
	if version > fileVersion {
		return nil, &NewerError{Path: path, Component: "the file", Have: version, Want: fileVersion}
	}
	var raw []byte
	if _, err := c.tx.One([]any{&raw}, "SELECT id FROM durable_meta"); err != nil {
		return nil, err
	}
	if copy(id[:], raw) != len(id) {
		return nil, &CorruptError{Path: path, Found: "it has no ID"}
	}
	have := map[string]int{}
	for row, err := range c.tx.Rows("SELECT name, version FROM durable_schema") {
		if err != nil {
			return nil, err
		}
		have[row.Text(0)] = int(row.Int64(1))
	}
	return have, nil
}

func (c *conn) migrateSteps(path string, have map[string]int, schemas []Schema, random io.Reader, id *wire.DatabaseID) error {
	if have == nil {
		if err := c.create(random, id); err != nil {
			return err
		}
	}
	for _, s := range schemas {
		at := have[s.Name]
		if at > len(s.Steps) {
			return &NewerError{Path: path, Component: s.Name, Have: at, Want: len(s.Steps)}
		}
		for i, step := range s.Steps[at:] {
			if err := c.raw.Exec(step); err != nil {
				return fmt.Errorf("bringing %s to version %d: %w", s.Name, at+i+1, err)
			}
		}
		if err := c.tx.Exec("INSERT INTO durable_schema (name, version) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET version = ?2", s.Name, len(s.Steps)); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) create(random io.Reader, id *wire.DatabaseID) error {
	var err error
	if *id, err = drawID(random); err != nil {
		return err
	}
	if err := c.raw.Exec(metaTables); err != nil {
		return err
	}
	if err := c.tx.Exec("INSERT INTO durable_meta (id) VALUES (?)", id[:]); err != nil {
		return err
	}
	return c.raw.Exec(fmt.Sprintf("PRAGMA user_version = %d", fileVersion))
}

// drawID draws the ID of a new file.
func drawID(random io.Reader) (id wire.DatabaseID, err error) {
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return id, fmt.Errorf("drawing the database's ID: %w", err)
	}
	return id, nil
}
