//go:build unix

package fs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks an open file, or reports that the lock is taken. flock belongs to the open file, not to the
// process, so it also blocks a second open of the file in this process.
func tryLock(f *os.File) (taken bool, err error) {
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	return errors.Is(err, unix.EWOULDBLOCK), err
}

// lockFolder locks a folder. Some network file systems cannot; then dir is nil, and only the file is locked.
func lockFolder(name string) (dir *os.File, taken bool) {
	dir, err := os.Open(name)
	if err != nil {
		return nil, false
	}
	if taken, err = tryLock(dir); err != nil {
		_ = dir.Close() // Opened only for reading.
		return nil, taken
	}
	return dir, false
}

func unlock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }

func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
