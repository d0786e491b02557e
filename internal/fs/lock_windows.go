package fs

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockedByte is the byte that is locked. It is far after the content, so that other processes can still read
// which process holds the lock.
const lockedByte = 1 << 30

// tryLock locks an open file, or reports that the lock is taken.
func tryLock(f *os.File) (taken bool, err error) {
	at := &windows.Overlapped{Offset: lockedByte}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	return errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING), err
}

// lockFolder does nothing: Windows does not remove an open file.
func lockFolder(string) (dir *os.File, taken bool) { return nil, false }

// unlock does nothing: closing the file unlocks it, because children do not inherit it.
func unlock(*os.File) error { return nil }

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// syncDir does nothing: NTFS journals names itself and has no call for it.
func syncDir(string) error { return nil }
