package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/serdes"

	"conclave/overlay/wire"
)

// imageID stands in an image for the ID that each new file draws.
var imageID = wire.DatabaseID([]byte("ID of a new file"))

// create gives a path that has no file one that holds the tables already. Where the system cannot make a file that is
// there whole or not at all, it leaves an empty one, which is a valid empty database: its tables are made in it, in
// transactions that are flushed one by one, and that takes several times as long.
func create(path string, schemas []Schema, opts Options) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // checkFile judges it
	}
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return fmt.Errorf("creating the database's folder: %w", err)
	}
	image, err := ownImage(schemas, opts)
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

// ownImage returns the image with an ID of its own.
func ownImage(schemas []Schema, opts Options) ([]byte, error) {
	image := opts.Image
	if image == nil {
		var err error
		if image, err = newImage(schemas, positive(opts.PageSize, defaultPage)); err != nil {
			return nil, err
		}
	}
	id, err := drawID(opts.Random)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(image, imageID[:]); n != 1 {
		return nil, fmt.Errorf("an image has %d places for its ID, want one", n)
	}
	return bytes.Replace(image, imageID[:], id[:], 1), nil
}

// newImage returns the bytes of a database that holds the tables of schemas and nothing else, with imageID as its ID. They
// are the same each time, for one version of SQLite.
func newImage(schemas []Schema, page int) (image []byte, err error) {
	raw, err := sqlite3.OpenFlags(inMemory, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	if err != nil {
		return nil, err
	}
	c := newConn(raw)
	defer func() { err = errors.Join(err, c.close()) }()
	if err := raw.Exec(fmt.Sprintf("PRAGMA page_size = %d", page)); err != nil {
		return nil, err
	}
	if _, err := c.migrate("(new)", schemas, bytes.NewReader(imageID[:])); err != nil {
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
