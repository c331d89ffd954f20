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
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
