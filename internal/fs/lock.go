package fs

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func (e *LockedError) Error() string {
	if e.PID > 0 {
		return fmt.Sprintf("lock %s: in use by process %d", e.Path, e.PID)
	}
	return fmt.Sprintf("lock %s: in use by another process", e.Path)
}

// IsNotExist reports whether an error means that a file does not exist.
func IsNotExist(err error) bool { return errors.Is(err, iofs.ErrNotExist) }

// NoSpace reports whether an error means that the disk, or the user's quota, is full.
func NoSpace(err error) bool { return errors.Is(err, ErrNoSpace) || isFull(err) }

// osLock holds the operating system's lock on an open file and, where the system can lock folders, on the
// file's folder. The system releases both when the process dies, so no stale lock can block a restart. The file
// remains; its content only names the holder. The folder's lock blocks a second process even after someone has
// removed the file.
type osLock struct{ f, dir *os.File }

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := openPlain(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	taken, err := tryLock(f)
	if taken {
		pid := readPID(f)
		return nil, errors.Join(&LockedError{Path: name, PID: pid}, f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
	}
	dir, taken := lockFolder(filepath.Dir(name))
	if taken {
		return nil, errors.Join(&LockedError{Path: name}, unlock(f), f.Close())
	}
	writePID(f)
	return &osLock{f, dir}, nil
}

// Close releases the lock even while a process that this one is starting still has the file open: a child has
// all files from its fork to its exec.
func (l *osLock) Close() error {
	err := errors.Join(unlock(l.f), l.f.Close())
	if l.dir != nil {
		err = errors.Join(err, unlock(l.dir), l.dir.Close())
	}
	return err
}

// The process id is only for the text of an error, so errors in reading or writing it are ignored.
func readPID(f *os.File) int {
	buf := make([]byte, 20)
	n, _ := f.ReadAt(buf, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		return 0
	}
	return pid
}

func writePID(f *os.File) {
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
}
