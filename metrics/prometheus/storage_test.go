package prometheus

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// stopped writes series to a directory and closes it again. With blocks, data
// are so old that they are cut to blocks.
func stopped(t *testing.T, dir string, blocks bool) {
	t.Helper()
	t.Run("write", func(t *testing.T) {
		in := run(t, Options{Dir: dir})
		now := time.Now()
		if blocks {
			for at := now.Add(-8 * time.Hour); at.Before(now); at = at.Add(30 * time.Minute) {
				in.put(`calls_total`, at, 1, "")
			}
			if err := in.running.Load().db.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
			if len(in.running.Load().db.Blocks()) == 0 {
				t.Fatal("no block was cut")
			}
		}
		in.put(`calls_total`, now, 7, "")
	})
}

func TestRestartKeepsTheData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stopped(t, dir, true)
	in := run(t, Options{Dir: dir})
	if got := in.ask(`calls_total`); !strings.HasPrefix(got, `calls_total => 7 @`) {
		t.Errorf("after a restart: %q", got)
	}
	if got := in.ask(`count_over_time(calls_total[9h])`); !strings.HasPrefix(got, `{} => 17 @`) {
		t.Errorf("after a restart: %q", got)
	}
	if got := in.logs.String(); got != "" {
		t.Errorf("it warns: %s", got)
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string)
		moved  string // what is found aside
	}{
		{"torn log", func(t *testing.T, dir string) { garble(t, glob(t, dir, "wal/0*")[0], true) }, ""},
		{"garbled log", func(t *testing.T, dir string) { garble(t, glob(t, dir, "wal/0*")[0], false) }, ""},
		{"gap in the log", func(t *testing.T, dir string) { write(t, dir+"/wal/00000009", "") }, "wal"},
		{"head chunks", func(t *testing.T, dir string) { write(t, dir+"/chunks_head/000001", "nonsense") }, "chunks_head"},
		{"index of a block", func(t *testing.T, dir string) { garble(t, glob(t, dir, "01*/index")[0], false) }, "01*"},
		{"block without chunks", func(t *testing.T, dir string) { remove(t, filepath.Dir(glob(t, dir, "01*/chunks/*")[0])) }, "01*"},
		{"log is a file", func(t *testing.T, dir string) { remove(t, dir+"/wal"); write(t, dir+"/wal", "x") }, "wal"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			stopped(t, dir, true)
			test.damage(t, dir)
			in := run(t, Options{Dir: dir})
			if test.moved != "" {
				glob(t, dir, asidePrefix+"*/"+test.moved)
				if got := in.logs.String(); !strings.Contains(got, "damaged") {
					t.Errorf("it does not tell: %s", got)
				}
			}
			in.put(`calls_total`, time.Now(), 8, "")
			if got := in.ask(`calls_total`); !strings.HasPrefix(got, `calls_total => 8 @`) {
				t.Errorf("after the damage: %q", got)
			}
		})
	}
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) == 0 {
		entries, _ := filepath.Glob(dir + "/*")
		t.Fatalf("no %s (%v) in %v", pattern, err, entries)
	}
	return found
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// garble cuts a file short or overwrites its middle.
func garble(t *testing.T, path string, cut bool) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if cut {
		b = b[:len(b)-3]
	} else {
		copy(b[len(b)/2:], "garbled garbled garbled")
	}
	write(t, path, string(b))
}

func TestRetention(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"age": {Retention: time.Hour}, "size": {MaxDisk: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			stopped(t, dir, true)
			glob(t, dir, "01*")
			o.Dir = dir
			in := run(t, o)
			if got := in.ask(`count_over_time(calls_total[30m] offset 7h)`); got != "" {
				t.Errorf("older than the retention: %q", got)
			}
			if got := in.ask(`calls_total`); !strings.HasPrefix(got, `calls_total => 7 @`) {
				t.Errorf("the newest sample: %q", got)
			}
		})
	}
}
