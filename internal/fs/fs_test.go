package fs_test

import (
	"errors"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"etude/internal/fs"
)

// Both implementations behave alike as long as nothing fails.
func TestFileSystems(t *testing.T) {
	t.Parallel()
	for name, fsys := range map[string]fs.FS{"os": fs.OS, "mem": fs.NewMem()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "a", "b")
			a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
			ok(t, fsys.Mkdir(dir))
			ok(t, fsys.Mkdir(dir))

			f, err := fsys.Create(a)
			ok(t, err)
			write(t, f, "hello, world")
			ok(t, f.Truncate(5))
			write(t, f, "!")
			ok(t, f.Sync())
			ok(t, f.Close())
			if _, err := fsys.Create(a); !errors.Is(err, iofs.ErrExist) {
				t.Errorf("create of an existing file: %v, want ErrExist", err)
			}
			f, err = fsys.Append(a)
			ok(t, err)
			write(t, f, " more")
			if size, err := f.Size(); size != 11 || err != nil {
				t.Errorf("size = %d, %v, want 11", size, err)
			}
			ok(t, f.Close())
			content(t, fsys, a, "hello! more")

			ok(t, fs.WriteFile(fsys, dir, filepath.Join(dir, "tmp"), b, []byte("other")))
			ok(t, fsys.Rename(a, b))
			ok(t, fsys.SyncDir(dir))
			content(t, fsys, b, "hello! more")
			files, err := fsys.List(dir)
			ok(t, err)
			if len(files) != 1 || files[0].Name != "b" || files[0].Size != 11 || files[0].Modified.IsZero() {
				t.Errorf("list = %+v, want b alone", files)
			}

			r, err := fsys.Open(b)
			ok(t, err)
			part := make([]byte, 4)
			if n, err := r.ReadAt(part, 7); n != 4 || err != nil && err != io.EOF || string(part) != "more" {
				t.Errorf("read at 7 = %q, %v", part[:n], err)
			}
			if n, err := r.ReadAt(part, 9); n != 2 || err != io.EOF {
				t.Errorf("read past the end = %d, %v, want 2, EOF", n, err)
			}
			ok(t, r.Close())
			ok(t, fsys.Remove(b))
			if _, err := fsys.Open(b); !fs.IsNotExist(err) {
				t.Errorf("open of a removed file: %v", err)
			}
			if err := fsys.Remove(b); !fs.IsNotExist(err) {
				t.Errorf("second remove: %v", err)
			}

			l, err := fsys.Lock(filepath.Join(dir, "lock"))
			ok(t, err)
			var locked *fs.LockedError
			if _, err := fsys.Lock(filepath.Join(dir, "lock")); !errors.As(err, &locked) {
				t.Errorf("second lock: %v, want a LockedError", err)
			} else if name == "os" && locked.PID != os.Getpid() {
				t.Errorf("holder %d, want this process, %d", locked.PID, os.Getpid())
			}
			ok(t, l.Close())
			l, err = fsys.Lock(filepath.Join(dir, "lock"))
			ok(t, err)
			ok(t, l.Close())
		})
	}
}

func TestMemCrashLosesWhatWasNotSynced(t *testing.T) {
	t.Parallel()
	m := fs.NewMem()
	ok(t, m.Mkdir("d"))
	kept := create(t, m, "d/kept", "synced")
	ok(t, kept.Sync())
	ok(t, m.SyncDir("d"))
	write(t, kept, " and not")
	noName := create(t, m, "d/no-name", "x")
	ok(t, noName.Sync())

	after := m.Crash(nil)
	if names := after.Names(); !slices.Equal(names, []string{"d/kept"}) {
		t.Errorf("names after the crash: %q", names)
	}
	content(t, after, "d/kept", "synced")
	if _, err := kept.Write([]byte("x")); !errors.Is(err, fs.ErrCrashed) {
		t.Errorf("write after the crash: %v", err)
	}
}

func TestMemCrashIsUnpredictable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for seed := range uint64(200) {
		m := fs.NewMem()
		ok(t, m.Mkdir("d"))
		f := create(t, m, "d/f", "ab")
		ok(t, f.Sync())
		ok(t, m.SyncDir("d"))
		write(t, f, "cd")
		ok(t, m.Rename("d/f", "d/g"))
		after := m.Crash(rand.New(rand.NewPCG(seed, 0)))
		name := after.Names()[0]
		data, err := fs.ReadFile(after, name)
		ok(t, err)
		seen[name+" "+string(data)] = true
	}
	for _, want := range []string{"d/f ab", "d/f abc", "d/f abcd", "d/g ab", "d/g abcd", "d/g ab\x00\x00"} {
		if !seen[want] {
			t.Errorf("never left %q", want)
		}
	}
}

// A Sync that succeeds after one that failed does not bring the data back.
func TestMemFailedSyncLosesData(t *testing.T) {
	t.Parallel()
	m := fs.NewMem()
	ok(t, m.Mkdir("d"))
	f := create(t, m, "d/f", "ab")
	ok(t, m.SyncDir("d"))
	ok(t, f.Sync())
	write(t, f, "cd")
	bad := errors.New("input/output error")
	m.Inject(func(op fs.Op) fs.Fault {
		if op.Kind == "sync" {
			return fs.Fault{Err: bad}
		}
		return fs.Fault{}
	})
	if err := f.Sync(); !errors.Is(err, bad) {
		t.Fatalf("sync: %v", err)
	}
	m.Inject(nil)
	write(t, f, "ef")
	ok(t, f.Sync())
	content(t, m, "d/f", "abcdef")
	content(t, m.Crash(nil), "d/f", "ab\x00\x00ef")
}

func TestMemFaults(t *testing.T) {
	t.Parallel()
	m := fs.NewMem()
	ok(t, m.Mkdir("d"))
	f := create(t, m, "d/f", "ab")
	bad := errors.New("bad")
	m.Inject(func(op fs.Op) fs.Fault {
		if op.Kind == "write" && op.Size == 3 {
			return fs.Fault{Err: bad, Keep: 1}
		}
		return fs.Fault{Crash: op.Kind == "rename"}
	})
	if n, err := f.Write([]byte("cde")); n != 1 || !errors.Is(err, bad) {
		t.Errorf("short write = %d, %v", n, err)
	}
	content(t, m, "d/f", "abc")
	m.SetCapacity(5)
	if n, err := f.Write([]byte("defg")); n != 2 || !fs.NoSpace(err) {
		t.Errorf("write on a full disk = %d, %v", n, err)
	}
	ok(t, f.Truncate(1))
	write(t, f, "xyz!")
	if err := m.Rename("d/f", "d/g"); !errors.Is(err, fs.ErrCrashed) {
		t.Errorf("rename: %v", err)
	}
	if _, err := m.List("d"); !errors.Is(err, fs.ErrCrashed) {
		t.Errorf("list after the crash: %v", err)
	}
}

func create(t *testing.T, fsys fs.FS, name, data string) fs.File {
	t.Helper()
	f, err := fsys.Create(name)
	ok(t, err)
	write(t, f, data)
	return f
}

func write(t *testing.T, f fs.File, data string) {
	t.Helper()
	if n, err := f.Write([]byte(data)); n != len(data) || err != nil {
		t.Fatalf("write = %d, %v", n, err)
	}
}

func content(t *testing.T, fsys fs.FS, name, want string) {
	t.Helper()
	data, err := fs.ReadFile(fsys, name)
	ok(t, err)
	if string(data) != want {
		t.Errorf("%s holds %q, want %q", name, data, want)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFoldersInAList(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fs.FS{"mem": fs.NewMem(), "os": fs.OS} {
		dir := t.TempDir()
		if err := f.Mkdir(filepath.Join(dir, "b", "c")); err != nil {
			t.Fatal(name, err)
		}
		if err := fs.WriteFile(f, dir, filepath.Join(dir, "a.tmp"), filepath.Join(dir, "a"), []byte("x")); err != nil {
			t.Fatal(name, err)
		}
		files, err := f.List(dir)
		if err != nil || len(files) != 2 || files[0].Name != "a" || files[0].Kind != fs.Plain || files[1].Name != "b" || files[1].Kind != fs.Folder {
			t.Errorf("%s: listed %v, %v", name, files, err)
		}
		if err := f.Remove(filepath.Join(dir, "b")); err == nil {
			t.Errorf("%s: removed a folder that is not empty", name)
		}
		if err := errors.Join(f.Remove(filepath.Join(dir, "b", "c")), f.Remove(filepath.Join(dir, "b"))); err != nil {
			t.Error(name, err)
		}
		if files, err := f.List(dir); err != nil || len(files) != 1 {
			t.Errorf("%s: left %v, %v", name, files, err)
		}
	}
}
