package fs

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData leaves out the time stamps, which spares a write of the inode; the
// length is made durable, since the data could not be read without it.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			if err != nil {
				return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
			}
			return nil
		}
	}
}
