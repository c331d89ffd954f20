//go:build unix

package keystore

import (
	"os"
	"path/filepath"
	"syscall"
)

// lockFile takes an exclusive lock among processes. It ends with the returned function, or with the process.
func lockFile(path string) (unlock func(), err error) {
	if err := MakeDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, lockOrClose(f)
}

// lockDir is lockFile for a folder that is there.
func lockDir(path string) (unlock func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, lockOrClose(f)
}

func lockOrClose(f *os.File) error {
	err := lock(f)
	if err != nil {
		f.Close()
	}
	return err
}

// lock takes an exclusive lock on an open file. It ends when the file is closed.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
