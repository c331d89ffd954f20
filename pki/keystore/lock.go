package keystore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
)

// lockRetry is how often a lock that somebody else has is tried again. Arbitrary: nobody notices so much.
const lockRetry = 20 * time.Millisecond

// lockFile takes an exclusive lock among processes, on every platform. It ends with the returned function, or with the
// process. While somebody else has it, waiting is called once (nil: nobody is told), and the end of ctx ends the wait.
func lockFile(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	if err := MakeDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return take(ctx, flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(fileMode)), waiting)
}

// lockDir is lockFile for a folder that is there. It leaves no file behind but on Windows, where a folder cannot be locked.
func lockDir(ctx context.Context, dir string, waiting func()) (unlock func(), err error) {
	if runtime.GOOS == "windows" {
		return lockFile(ctx, filepath.Join(dir, ".lock"), waiting)
	}
	return take(ctx, flock.New(dir, flock.SetFlag(os.O_RDONLY)), waiting)
}

func take(ctx context.Context, lock *flock.Flock, waiting func()) (unlock func(), err error) {
	got, err := lock.TryLock()
	if err == nil && !got {
		if waiting != nil {
			waiting()
		}
		_, err = lock.TryLockContext(ctx, lockRetry)
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = lock.Close() }, nil
}

// LockAuthority has the group's CA to the caller alone, among all processes, until the returned function is called: it is
// held over reading the newest roster, signing the next one and saving it. While another has it, waiting is called once.
func (d Dir) LockAuthority(ctx context.Context, waiting func()) (unlock func(), err error) {
	unlock, err = lockDir(ctx, filepath.Dir(d.AuthorityFile()), waiting)
	if err != nil {
		return nil, fmt.Errorf("waiting for another command that changes the group: %w", err)
	}
	return unlock, nil
}
