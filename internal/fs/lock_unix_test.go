//go:build unix

package fs

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnlockWhileAChildStarts has the file open twice when the lock is given
// back, as a process has that is between the fork and the exec of a child.
func TestUnlockWhileAChildStarts(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "lock")
	held, err := OS.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	child, err := unix.Dup(int(held.(*osLock).f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OS.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
