package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/serdes"
)

// create gives a path that has no file one that holds the tables already. Where the system cannot make a file that is
// there whole or not at all, it leaves an empty one, which is a valid empty database: its tables are made in it, in
// transactions that are flushed one by one, and that takes several times as long.
func create(path string, schemas []Schema, random io.Reader) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // checkFile judges it
	}
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return fmt.Errorf("creating the database's folder: %w", err)
	}
	image, err := newImage(schemas, random)
	if err != nil {
		return err
	}
	made, err := place(path, image)
	if err == nil && !made {
		err = placeEmpty(path)
	}
	if err != nil {
		return fmt.Errorf("creating database %s: %w", path, err)
	}
	return syncFolder(filepath.Dir(path))
}

// newImage returns the bytes of a database that holds the tables and nothing else.
func newImage(schemas []Schema, random io.Reader) (image []byte, err error) {
	raw, err := sqlite3.OpenFlags(inMemory, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	if err != nil {
		return nil, err
	}
	c := newConn(raw)
	defer func() { err = errors.Join(err, c.close()) }()
	if _, err := c.migrate("(new)", schemas, random); err != nil {
		return nil, err
	}
	if image, err = serdes.Serialize(raw, "main"); err != nil {
		return nil, err
	}
	// The file format's versions for writing and reading: 2 says that the database has a write-ahead log. Otherwise
	// SQLite would write this one byte later with four flushes and a journal.
	image[18], image[19] = 2, 2
	return image, nil
}

// placeEmpty leaves an empty file, unless there is one.
func placeEmpty(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}
