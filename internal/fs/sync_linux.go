package fs

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData does not sync the time stamps, which saves a write of the inode. It does sync the length, without
// which the data could not be read.
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
