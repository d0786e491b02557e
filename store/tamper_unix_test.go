//go:build unix

package store_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etude/store"
)

// Pipes and sockets in the place of files do not hang the start.
func TestPipesInTheLog(t *testing.T) {
	t.Parallel()
	pipe := func(t *testing.T, name string) {
		_ = os.Remove(name)
		must(t, unix.Mkfifo(name, 0o600))
	}
	for name, x := range map[string]struct {
		lost, problems int64
		change         func(t *testing.T, dir string)
	}{
		"a segment a pipe":      {10, 1, func(t *testing.T, dir string) { pipe(t, segmentFile(dir, 3)) }},
		"one more pipe":         {0, 1, func(t *testing.T, dir string) { pipe(t, segmentFile(dir, 9)) }},
		"the manifest a pipe":   {0, 1, func(t *testing.T, dir string) { pipe(t, filepath.Join(dir, "wal", "manifest")) }},
		"a pipe left to rename": {0, 0, func(t *testing.T, dir string) { pipe(t, filepath.Join(dir, "wal", "manifest.tmp")) }},
		"a segment a socket": {10, 1, func(t *testing.T, dir string) {
			short, err := os.MkdirTemp("", "s") // the names of sockets must be
			must(t, err)
			l, err := net.Listen("unix", filepath.Join(short, "s"))
			must(t, err, os.Rename(filepath.Join(short, "s"), segmentFile(dir, 3)))
			t.Cleanup(func() { _, _ = l.Close(), os.RemoveAll(short) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := segmentedDir(t)
			x.change(t, dir)
			opened := make(chan *store.Store, 1)
			go func() {
				s, err := store.Open(store.Options{Dir: dir, TableSpans: tamperSpans})
				if err != nil {
					t.Error(err)
				}
				opened <- s
			}()
			select {
			case s := <-opened:
				if s == nil {
					return
				}
				defer s.Close()
				if st := s.Stats(); st.Missing != x.lost || st.Problems != x.problems {
					t.Errorf("%d spans lost, %d problems, want %d and %d: %q", st.Missing, st.Problems, x.lost, x.problems, s.Problems())
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the start hangs")
			}
		})
	}
}

func TestPipeForALock(t *testing.T) {
	t.Parallel()
	dir := segmentedDir(t)
	must(t, os.Remove(filepath.Join(dir, "lock")), unix.Mkfifo(filepath.Join(dir, "lock"), 0o600))
	if _, err := store.Open(store.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "it is a pipe") {
		t.Errorf("open: %v", err)
	}
}

// Removing the lock file does not let a second process in.
func TestRemovedLock(t *testing.T) {
	t.Parallel()
	dir := segmentedDir(t)
	s := mustOpen(t, store.Options{Dir: dir})
	defer s.Close()
	must(t, os.Remove(filepath.Join(dir, "lock")))
	if second, err := store.Open(store.Options{Dir: dir}); err == nil {
		_ = second.Close()
		t.Error("a second store is open in the same directory")
	}
}
