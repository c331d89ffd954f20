//go:build unix

package keystore

import (
	"os"
	"syscall"
)

// lock takes an exclusive lock on an open file. It ends when the file is closed.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
