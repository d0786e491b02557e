package fs_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"etude/internal/fs"
)

// Entries that are no plain files are listed with their kind, and refused when opened.
func TestOnlyPlainFilesAreOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ok(t, os.WriteFile(at("plain"), []byte("x"), 0o600))
	ok(t, os.Mkdir(at("folder"), 0o700))
	want := map[string]fs.Kind{"plain": fs.Plain, "folder": fs.Folder}
	if err := os.Symlink(at("plain"), at("link")); err == nil { // Windows may not allow it
		want["link"] = fs.Link
	}
	m := fs.NewMem()
	ok(t, m.Mkdir(dir))
	for name, kind := range want {
		if kind == fs.Plain {
			f, err := m.Create(at(name))
			ok(t, err)
			ok(t, f.Close())
			continue
		}
		m.Replace(at(name), kind)
	}
	for name, fsys := range map[string]fs.FS{"os": fs.OS, "mem": m} {
		files, err := fsys.List(dir)
		ok(t, err)
		if len(files) != len(want) {
			t.Errorf("%s: list: %+v", name, files)
		}
		for _, f := range files {
			if f.Kind != want[f.Name] {
				t.Errorf("%s: %s is %q, want %q", name, f.Name, f.Kind, want[f.Name])
			}
		}
		for file, kind := range want {
			for what, open := range map[string]func(string) (fs.File, error){"open": fsys.Open, "append": fsys.Append} {
				f, err := open(at(file))
				var special *fs.KindError
				switch {
				case kind == fs.Plain:
					ok(t, err)
					ok(t, f.Close())
				case !errors.As(err, &special) || special.Kind != kind:
					t.Errorf("%s: %s of a %s: %v, want a KindError", name, what, kind, err)
				}
			}
		}
	}
}

// A file and a folder notice when their names lead elsewhere.
func TestNamesThatLeadElsewhere(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not let go of open files")
	}
	for name, fsys := range map[string]fs.FS{"os": fs.OS, "mem": fs.NewMem()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "folder")
			file, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
			ok(t, fsys.Mkdir(dir))
			make := func(name string) fs.File {
				f, err := fsys.Create(name)
				ok(t, err)
				return f
			}
			f := make(file)
			pin, err := fsys.Pin(dir)
			ok(t, err)
			defer pin.Close()
			ok(t, f.Named())
			ok(t, pin.Still())
			ok(t, fsys.Rename(file, other))
			if err := f.Named(); !fs.IsNotExist(err) {
				t.Errorf("a renamed file: %v", err)
			}
			ok(t, make(file).Close())
			if err := f.Named(); !errors.Is(err, fs.ErrReplaced) {
				t.Errorf("a replaced file: %v", err)
			}
			ok(t, fsys.Rename(other, file))
			ok(t, f.Named())
			ok(t, pin.Still())
			ok(t, f.Close())
			if _, err := fsys.Pin(other); !fs.IsNotExist(err) {
				t.Errorf("pin of nothing: %v", err)
			}
			if mem, is := fsys.(*fs.Mem); is {
				mem.Move(dir, dir+"2")
			} else {
				ok(t, os.Rename(dir, dir+"2"))
			}
			if err := pin.Still(); !fs.IsNotExist(err) {
				t.Errorf("a renamed folder: %v", err)
			}
			ok(t, fsys.Mkdir(dir))
			if err := pin.Still(); !errors.Is(err, fs.ErrReplaced) {
				t.Errorf("a replaced folder: %v", err)
			}
		})
	}
}
