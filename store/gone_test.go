package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"etude/internal/fs"
	"etude/store"
)

// refused appends and wants a refusal that tells the client to come back, since
// nothing can be stored now.
func refused(t *testing.T, s *store.Store, number int) {
	t.Helper()
	_, err := s.Append(context.Background(), payload(number, spansEach))
	var later interface {
		retrier
		Unavailable() bool
	}
	if !errors.As(err, &later) || !later.Unavailable() || later.RetryAfter() <= 0 {
		t.Fatalf("append: %v, want a refusal with Unavailable and RetryAfter", err)
	}
}

func taken(t *testing.T, s *store.Store, number int) {
	t.Helper()
	if _, err := s.Append(context.Background(), payload(number, spansEach)); err != nil {
		t.Fatal(err)
	}
}

func skipOnWindows(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not let go of open files")
	}
}

// The folders of a running store are removed, on the real disk: nothing is
// acknowledged that the next start would not find.
func TestFolderTakenAway(t *testing.T) {
	t.Parallel()
	skipOnWindows(t)
	for name, x := range map[string]struct {
		take, back func(t *testing.T, dir string)
		says       string
	}{
		"removed": {func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }, nil, "is gone"},
		"removed and made anew": {func(t *testing.T, dir string) {
			must(t, os.RemoveAll(dir), os.MkdirAll(filepath.Join(dir, "wal"), 0o700))
		}, nil, "start again to use this one"},
		"the folder in it removed": {func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, "wal"))) }, nil, "is gone"},
		"renamed, and back": {func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+"2")) },
			func(t *testing.T, dir string) { must(t, os.Rename(dir+"2", dir)) }, "is gone"},
		"exchanged, and back": {func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+"2"), os.Mkdir(dir, 0o700)) },
			func(t *testing.T, dir string) { must(t, os.Remove(dir), os.Rename(dir+"2", dir)) }, "start again to use this one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			s := mustOpen(t, store.Options{Dir: dir})
			taken(t, s, 1)
			x.take(t, dir)
			for i := range 3 {
				refused(t, s, 100+i)
			}
			if err := s.Ready(); err == nil || !strings.Contains(err.Error(), x.says) {
				t.Errorf("ready: %v, want %q", err, x.says)
			}
			if spansOf(s, 1) != spansEach {
				t.Error("spans in memory are not found any more")
			}
			if x.back == nil {
				if err := s.Close(); err == nil {
					t.Error("Close does not say that the directory is gone")
				}
				return
			}
			x.back(t, dir)
			taken(t, s, 2)
			if err := s.Ready(); err != nil {
				t.Errorf("ready when it is back: %v", err)
			}
			must(t, s.Close())
			s = mustOpen(t, store.Options{Dir: dir})
			defer s.Close()
			if spansOf(s, 1) != spansEach || spansOf(s, 2) != spansEach || len(s.Problems()) > 0 {
				t.Errorf("after a restart: %d spans, %q", total(s), s.Problems())
			}
		})
	}
}

// The segment that is being written is removed, renamed or replaced: one batch is
// refused, and the store continues in another.
func TestSegmentTakenAway(t *testing.T) {
	t.Parallel()
	skipOnWindows(t)
	for name, take := range map[string]func(t *testing.T, file string){
		"removed": func(t *testing.T, file string) { must(t, os.Remove(file)) },
		"replaced by a copy": func(t *testing.T, file string) {
			copyFile(t, file, file+"2")
			must(t, os.Rename(file+"2", file))
		},
		"replaced by a link to itself": func(t *testing.T, file string) { must(t, os.Rename(file, file+"2"), os.Symlink(file+"2", file)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			s := mustOpen(t, store.Options{Dir: dir})
			taken(t, s, 1)
			take(t, segmentFile(dir, 1))
			refused(t, s, 2)
			taken(t, s, 3)
			st := s.Stats()
			if err := s.Ready(); err != nil || st.Problems != 1 || st.Missing != spansEach || !strings.Contains(s.Problems()[0], "taken away") {
				t.Errorf("ready: %v; %q", err, s.Problems())
			}
			must(t, s.Close())
			s = mustOpen(t, store.Options{Dir: dir})
			defer s.Close()
			if spansOf(s, 3) != spansEach || (spansOf(s, 1) == 0) != (s.Stats().Missing == spansEach) {
				t.Errorf("after a restart: %d spans, %q", total(s), s.Problems())
			}
		})
	}
}

// A store that gets nothing notices within seconds what happens to its disk, and
// that it has passed.
func TestIdleStoreNotices(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		begin, end func(m *fs.Mem)
		writes     bool // it takes a write to notice
	}{
		"renamed folder": {func(m *fs.Mem) { m.Move("data", "elsewhere") }, func(m *fs.Mem) { m.Move("elsewhere", "data") }, false},
		"full disk":      {func(m *fs.Mem) { m.SetCapacity(1) }, func(m *fs.Mem) { m.SetCapacity(0) }, true},
		"read-only disk": {func(m *fs.Mem) { m.Inject(failing(syscall.EROFS)) }, func(m *fs.Mem) { m.Inject(nil) }, true},
		"failing disk":   {func(m *fs.Mem) { m.Inject(failing(syscall.EIO)) }, func(m *fs.Mem) { m.Inject(nil) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := fs.NewMem()
				s := mustOpen(t, store.Options{FS: m})
				taken(t, s, 1)
				x.begin(m)
				if x.writes {
					refused(t, s, 2)
				}
				wait := func() { time.Sleep(2 * time.Second); synctest.Wait() }
				for range 3 {
					wait()
					if err := s.Ready(); err == nil {
						t.Fatal("the store is ready all the same")
					}
				}
				x.end(m)
				wait()
				if err := s.Ready(); err != nil {
					t.Errorf("ready when it has passed: %v", err)
				}
				taken(t, s, 3)
				must(t, s.Close())
				s = mustOpen(t, store.Options{FS: m.Crash(nil)})
				defer s.Close()
				if spansOf(s, 1) != spansEach || spansOf(s, 3) != spansEach || len(s.Problems()) > 0 {
					t.Errorf("after a restart: %d spans, %q", total(s), s.Problems())
				}
			})
		})
	}
}

func failing(err error) func(fs.Op) fs.Fault {
	return func(op fs.Op) fs.Fault {
		if op.Changes() {
			return fs.Fault{Err: err}
		}
		return fs.Fault{}
	}
}

// Old spans leave from a full disk, though the manifest needs room for that.
func TestFullDiskMakesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := fs.NewMem()
		o := store.Options{FS: m, TableSpans: spansEach, Retention: time.Hour}
		s := mustOpen(t, o)
		for i := range 20 {
			taken(t, s, i)
		}
		m.SetCapacity(1) // Not a byte is left.
		refused(t, s, 100)
		before := s.Stats().DiskBytes
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if st := s.Stats(); st.Spans > spansEach || st.DiskBytes > before/10 {
			t.Errorf("two hours later: %d spans, %d bytes of %d on disk", st.Spans, st.DiskBytes, before)
		}
		m.SetCapacity(0)
		time.Sleep(2 * time.Second)
		taken(t, s, 101)
		must(t, s.Close())
		s = mustOpen(t, store.Options{FS: m.Crash(nil)})
		defer s.Close()
		if len(s.Problems()) > 0 || spansOf(s, 101) != spansEach {
			t.Errorf("after a restart: %q", s.Problems())
		}
	})
}
