package keystore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
	lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(fileMode))
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
	unlock, err = lockFile(ctx, filepath.Join(filepath.Dir(d.AuthorityFile()), ".lock"), waiting)
	if err != nil {
		return nil, fmt.Errorf("waiting for another command that changes the group: %w", err)
	}
	return unlock, nil
}
