package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// place makes a file with that content, flushed before it has a name: a crash leaves the whole file or none, and nothing
// to clean up. It reports false where the file system has no files without a name. One that is there already stays.
func place(path string, content []byte) (bool, error) {
	fd, err := unix.Open(filepath.Dir(path), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, uint32(fileMode))
	if err != nil {
		return false, nil // whatever it is, placeEmpty names it
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if _, err := f.WriteAt(content, 0); err != nil {
		return false, full(err)
	}
	if err := unix.Fdatasync(fd); err != nil {
		return false, full(err)
	}
	err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	return err == nil || errors.Is(err, fs.ErrExist), nil
}

// full gives an error of the file system the name that callers branch on.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("%w: %w", ErrDisk, err)
}
