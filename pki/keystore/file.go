package keystore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Modes of everything in a home.
const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600
)

// OpenModeError is returned for a private key, or a folder with one, that is open to others.
type OpenModeError struct {
	Path string
	Mode fs.FileMode // as found
	Want fs.FileMode // 0600 or 0700

	bare bool // the file system holds no permissions
}

// Error names the file and its mode.
func (e *OpenModeError) Error() string {
	return fmt.Sprintf("%s is open to others (mode %04o)", e.Path, e.Mode)
}

// Hint says what to do about it.
func (e *OpenModeError) Hint() string {
	if e.bare {
		return "the file system there has no permissions: copy the group's folder onto this machine's own disk, and name that with --home"
	}
	return fmt.Sprintf("chmod %04o %s", e.Want, e.Path)
}

// WriteFile replaces a file whole or not at all, with mode 0600, making its folder (0700) if need be. When it returns
// nil, the file survives a power cut. What is written beside the file until then has one name: if the process is killed
// it stays, and the next write of the file takes it over.
func WriteFile(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	if err := MakeDir(dir); err != nil {
		return err
	}
	f, err := openTemp(filepath.Join(dir, "."+filepath.Base(path)+".tmp"))
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("writing %s: %w", path, err)
		}
		f.Close() // which ends the lock
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // where a file that is open cannot be renamed, and there is no lock to keep
		if err := f.Close(); err != nil {
			return err
		}
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// sharedMode is the mode of what is written for others to read.
const sharedMode fs.FileMode = 0o644

// WriteShared writes what is meant for others, who may read it: nothing in it is secret. A file is replaced whole or not at
// all, in its folder as it is. What is no file, such as a device or a pipe, is written into and never replaced.
func WriteShared(path string, data []byte) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return errors.Join(err, f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	_ = f.Chmod(sharedMode) // where that is impossible, as on a stick, files are open to others anyway
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// openTemp opens an empty file of that name, which nobody else writes until it is closed.
func openTemp(name string) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, fileMode)
		if err != nil {
			return nil, err
		}
		err = lock(f)
		if err == nil && !isStill(f, name) {
			f.Close() // whoever had the lock before has renamed it
			continue
		}
		if err == nil {
			err = errors.Join(f.Truncate(0), closeToOthers(f))
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
}

// closeToOthers gives a file its mode. A file system that holds no permissions may refuse that, which matters where it lets
// others read.
func closeToOthers(f *os.File) error {
	err := f.Chmod(fileMode)
	if err != nil && CheckMode(f.Name()) == nil {
		return nil
	}
	return err
}

// isStill reports whether an open file has that name.
func isStill(f *os.File, name string) bool {
	named, err := os.Stat(name)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && os.SameFile(info, named)
}

// MakeDir makes a folder and those above it with mode 0700, where they are missing.
func MakeDir(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	return nil
}

// syncDir makes a rename in the folder durable. Windows has no such call, and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// CheckMode returns an OpenModeError if others than the owner may read, write or enter the path. Windows has no modes.
func CheckMode(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	want := fileMode
	if info.IsDir() {
		want = dirMode
	}
	folder := path
	if !info.IsDir() {
		folder = filepath.Dir(path)
	}
	holds, err := HoldsModes(folder)
	return &OpenModeError{Path: path, Mode: info.Mode().Perm(), Want: want, bare: err == nil && !holds}
}

// HoldsModes reports whether a file in that folder can be closed to others. On FAT, as sticks have it, it cannot.
func HoldsModes(dir string) (bool, error) {
	if runtime.GOOS == "windows" {
		return true, nil
	}
	f, err := os.CreateTemp(dir, ".mode.*.tmp")
	if err != nil {
		return false, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	_ = f.Chmod(fileMode) // what came of it is looked at
	info, err := f.Stat()
	return err == nil && info.Mode().Perm()&0o077 == 0, err
}

// CopyFolder copies the papers and keys of a folder, and of those in it, also onto a file system that holds no permissions; on
// any other they are closed to others. Files of the same names are replaced. A folder that is not there has no files.
func CopyFolder(to, from string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == from {
			return nil
		}
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".lock" {
			return nil
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return MakeDir(filepath.Join(to, name))
		}
		data, err := readFile(path)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(filepath.Join(to, name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, fileMode)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return errors.Join(err, f.Sync(), f.Close())
	})
}
