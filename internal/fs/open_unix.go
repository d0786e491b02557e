//go:build unix

package fs

import (
	"os"

	"golang.org/x/sys/unix"
)

// openFlags refuses a link, and does not wait for the writer of a pipe.
const openFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK

// checkLink does nothing: the open refuses links.
func checkLink(string) error { return nil }

// Named is called with every commit of the log, so it allocates nothing.
func (f osFile) Named() error {
	var own, now unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &own); err != nil {
		return &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	if err := unix.Lstat(f.Name(), &now); err != nil {
		return &os.PathError{Op: "find", Path: f.Name(), Err: err}
	}
	if own.Dev != now.Dev || own.Ino != now.Ino {
		return &os.PathError{Op: "find", Path: f.Name(), Err: ErrReplaced}
	}
	return nil
}
