package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"etude/internal/fs"
	"etude/store"
	"etude/store/wal"
)

const (
	tamperSegments = 5
	tamperSpans    = 10
)

// segmentedDir is a data directory with five segments of ten spans, after a clean
// stop. Payload i is in segment i+1.
func segmentedDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	s := mustOpen(t, store.Options{Dir: dir, TableSpans: tamperSpans})
	for i := range tamperSegments {
		if _, err := s.Append(t.Context(), payload(i, tamperSpans)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal")); err != nil || len(files) != tamperSegments {
		t.Fatalf("segments: %q, %v", files, err)
	}
	return dir
}

func segmentFile(dir string, number int) string {
	return filepath.Join(dir, "wal", fmt.Sprintf("%020d.wal", number))
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	must(t, err, os.WriteFile(to, b, 0o600))
}

// tamperings change the files of a log between two starts.
var tamperings = []struct {
	name           string
	lost, problems int64
	says           string
	change         func(t *testing.T, dir string)
}{
	{"nothing", 0, 0, "", func(*testing.T, string) {}},
	{"truncated to nothing", 10, 1, "it holds 0 spans of 10", func(t *testing.T, dir string) { must(t, os.Truncate(segmentFile(dir, 3), 0)) }},
	{"truncated to its header", 10, 1, "it holds 0 spans of 10", func(t *testing.T, dir string) { must(t, os.Truncate(segmentFile(dir, 3), 48)) }},
	{"cut in half", 10, 1, "it holds 0 spans of 10", func(t *testing.T, dir string) { must(t, os.Truncate(segmentFile(dir, 3), 300)) }},
	{"the last one truncated to nothing", 10, 1, "it holds 0 spans of 10", func(t *testing.T, dir string) { must(t, os.Truncate(segmentFile(dir, 5), 0)) }},
	{"one missing from the middle", 10, 1, "there is no such file", func(t *testing.T, dir string) { must(t, os.Remove(segmentFile(dir, 3))) }},
	{"the first missing", 10, 1, "there is no such file", func(t *testing.T, dir string) { must(t, os.Remove(segmentFile(dir, 1))) }},
	{"the last missing", 10, 1, "there is no such file", func(t *testing.T, dir string) { must(t, os.Remove(segmentFile(dir, 5))) }},
	{"all missing", 50, 5, "there is no such file", func(t *testing.T, dir string) {
		for n := range tamperSegments {
			must(t, os.Remove(segmentFile(dir, n+1)))
		}
	}},
	{"replaced by a link", 10, 1, "symbolic link", func(t *testing.T, dir string) {
		aside := filepath.Join(t.TempDir(), "aside")
		must(t, os.Rename(segmentFile(dir, 3), aside), os.Symlink(aside, segmentFile(dir, 3)))
	}},
	{"replaced by a link to nothing", 10, 1, "symbolic link", func(t *testing.T, dir string) {
		must(t, os.Remove(segmentFile(dir, 3)), os.Symlink("nowhere", segmentFile(dir, 3)))
	}},
	{"replaced by a folder", 10, 1, "folder", func(t *testing.T, dir string) {
		must(t, os.Remove(segmentFile(dir, 3)), os.Mkdir(segmentFile(dir, 3), 0o700))
	}},
	{"two exchanged", 0, 2, "under another name", func(t *testing.T, dir string) {
		must(t, os.Rename(segmentFile(dir, 2), segmentFile(dir, 9)), os.Rename(segmentFile(dir, 4), segmentFile(dir, 2)), os.Rename(segmentFile(dir, 9), segmentFile(dir, 4)))
	}},
	{"one renamed", 0, 1, "under another name", func(t *testing.T, dir string) { must(t, os.Rename(segmentFile(dir, 3), segmentFile(dir, 9))) }},
	{"one copied", 0, 1, "it is a copy of segment 3", func(t *testing.T, dir string) { copyFile(t, segmentFile(dir, 3), segmentFile(dir, 9)) }},
	{"one overwritten by a copy of another", 10, 1, "it is a copy of segment 4", func(t *testing.T, dir string) { copyFile(t, segmentFile(dir, 4), segmentFile(dir, 3)) }},
	{"one of another store copied in", 0, 1, "another log", func(t *testing.T, dir string) { copyFile(t, segmentFile(segmentedDir(t), 3), segmentFile(dir, 9)) }},
	{"overwritten by one of another store", 10, 1, "another log", func(t *testing.T, dir string) { copyFile(t, segmentFile(segmentedDir(t), 3), segmentFile(dir, 3)) }},
	{"the manifest missing", 0, 1, "missing segments cannot be noticed", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "wal", "manifest"))) }},
	{"the manifest truncated to nothing", 0, 1, "missing segments cannot be noticed", func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, "wal", "manifest"), 0)) }},
	{"the manifest cut", 0, 1, "2 of 5 entries are damaged", func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, "wal", "manifest"), 36+3*32+5)) }},
	{"the manifest a folder", 0, 1, "missing segments cannot be noticed", func(t *testing.T, dir string) {
		name := filepath.Join(dir, "wal", "manifest")
		must(t, os.Remove(name), os.Mkdir(name, 0o700))
	}},
	{"left over from an unfinished manifest", 0, 0, "", func(t *testing.T, dir string) {
		must(t, os.WriteFile(filepath.Join(dir, "wal", "manifest.tmp"), []byte("half"), 0o600))
	}},
	{"a half finished removal", 0, 0, "", func(t *testing.T, dir string) {
		must(t, os.WriteFile(segmentFile(dir, 7)+"x", nil, 0o600), os.WriteFile(strings.Replace(segmentFile(dir, 7), ".wal", ".removed", 1), nil, 0o600))
	}},
	{"the directory reached by a link", 0, 0, "", func(t *testing.T, dir string) {
		must(t, os.Rename(dir, dir+"-real"), os.Symlink(dir+"-real", dir))
	}},
}

// Whatever happens to the files of a log between two starts: the start succeeds,
// what is there is read, and what is missing is told, with its number of spans, at
// this start and at the next.
func TestTamperedLog(t *testing.T) {
	t.Parallel()
	for _, x := range tamperings {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			dir := segmentedDir(t)
			x.change(t, dir)
			for start := range 2 {
				s := mustOpen(t, store.Options{Dir: dir, TableSpans: tamperSpans})
				st := s.Stats()
				if st.Missing != x.lost || start == 0 && st.Problems != x.problems || st.Problems < min(x.problems, x.lost) {
					t.Errorf("start %d: %d spans lost and %d problems, want %d and %d: %q", start, st.Missing, st.Problems, x.lost, x.problems, s.Problems())
				}
				if n := total(s); n != tamperSegments*tamperSpans-int(x.lost) {
					t.Errorf("start %d: %d spans", start, n)
				}
				if says := strings.Join(s.Problems(), "\n"); start == 0 && !strings.Contains(says, x.says) {
					t.Errorf("it says %q, want %q", says, x.says)
				}
				if start == 1 {
					if _, err := s.Append(t.Context(), payload(100, 1)); err != nil || spansOf(s, 100) != 1 {
						t.Errorf("the store does not go on: %v", err)
					}
				}
				if err := s.Close(); err != nil {
					t.Errorf("start %d: close: %v", start, err)
				}
			}
		})
	}
}

// A missing segment is forgotten once its retention would have ended.
func TestLossIsForgottenInTime(t *testing.T) {
	t.Parallel()
	dir := segmentedDir(t)
	must(t, os.Remove(segmentFile(dir, 2)))
	s := mustOpen(t, store.Options{Dir: dir, TableSpans: tamperSpans, HeadMaxSpans: 2 * tamperSpans})
	if st := s.Stats(); st.Missing != 10 || st.Spans != 20 {
		t.Errorf("first start: %+v", st)
	}
	must(t, s.Close())
	s = mustOpen(t, store.Options{Dir: dir, TableSpans: tamperSpans})
	defer s.Close()
	if st := s.Stats(); st.Missing != 0 || st.Problems != 0 || st.Spans != 20 {
		t.Errorf("second start: %+v, %q", st, s.Problems())
	}
}

// Every byte of the manifest may be wrong: the start succeeds and loses nothing.
func TestManifestDamagedAnywhere(t *testing.T) {
	t.Parallel()
	m := filledDisk(t, 4)
	var name string
	for _, n := range m.Names() {
		if filepath.Base(n) == "manifest" {
			name = n
		}
	}
	whole, err := fs.ReadFile(m, name)
	must(t, err)
	for at := range whole {
		m.Corrupt(name, func([]byte) []byte {
			b := bytes.Clone(whole)
			b[at] ^= 0x10
			return b
		})
		s := mustOpen(t, store.Options{FS: m, TableSpans: 50})
		if st := s.Stats(); st.Missing != 0 || st.Problems != 1 || st.Spans != 4*50-6 {
			t.Errorf("byte %d: %+v, %q", at, st, s.Problems())
		}
		_ = s.Close()
	}
}

// A segment or manifest with holes in it has any size. Its content is read, and it
// is small afterwards.
func TestFilesWithHoles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"manifest", "00000000000000000002.wal", "00000000000000000005.wal"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := segmentedDir(t)
			large := filepath.Join(dir, "wal", name)
			if err := os.Truncate(large, 1<<40); err != nil {
				t.Skip("this file system has no files with holes:", err)
			}
			for range 2 {
				s := mustOpen(t, store.Options{Dir: dir, TableSpans: tamperSpans, MaxDisk: 1 << 30})
				if st := s.Stats(); st.Spans != tamperSegments*tamperSpans || st.Missing != 0 {
					t.Errorf("%+v, %q", st, s.Problems())
				}
				must(t, s.Close())
			}
			if info, err := os.Stat(large); err != nil || info.Size() > 1<<20 {
				t.Errorf("afterwards: %v, %v", info, err)
			}
		})
	}
}

// A crash at any operation raises no false alarm, also while old segments are
// removed; and after it a segment that is taken away is noticed.
func TestCrashAndTheManifest(t *testing.T) {
	t.Parallel()
	run := func(m *fs.Mem, appends int) (problems []string, open bool) {
		s, err := store.Open(store.Options{Dir: "data", FS: m, TableSpans: 2 * spansEach, HeadMaxSpans: 10 * spansEach})
		if err != nil {
			return nil, false
		}
		for i := range appends {
			_, _ = s.Append(t.Context(), payload(i, spansEach))
		}
		_ = s.Close()
		return s.Problems(), true
	}
	for seed := range uint64(4) {
		for at := 1; ; at++ {
			rng := rand.New(rand.NewPCG(seed, uint64(at)))
			m := fs.NewMem()
			run(m, 8) // so that old ones leave early
			crashed := crashAfter(m, at, rng)
			run(m, 16)
			if !*crashed {
				if at < 60 {
					t.Errorf("the run had only %d operations to crash at", at)
				}
				break
			}
			if seed == 0 {
				m = m.Crash(nil)
			} else {
				m = m.Crash(rng)
			}
			if rng.IntN(2) == 0 { // once more, during the start
				crashAfter(m, 1+rng.IntN(20), rng)
				run(m, 2)
				m = m.Crash(rng)
			}
			if problems, open := run(m, 2); !open || len(problems) > 0 {
				t.Fatalf("seed %d, crash at %d: open %t, false alarm: %q", seed, at, open, problems)
			}
			m = m.Crash(rng)
			taken := takeSegment(m, rng)
			if problems, open := run(m, 0); !open || taken != "" != (len(problems) == 1) {
				t.Fatalf("seed %d, crash at %d: %q was taken away, open %t, problems %q", seed, at, taken, open, problems)
			}
		}
	}
}

// takeSegment removes some segment with records, if there is one.
func takeSegment(m *fs.Mem, rng *rand.Rand) string {
	var full []string
	for _, name := range m.Names() {
		if b, err := fs.ReadFile(m, name); strings.HasSuffix(name, ".wal") && err == nil && len(b) > 100 {
			full = append(full, name)
		}
	}
	if len(full) == 0 {
		return ""
	}
	name := full[rng.IntN(len(full))]
	_ = m.Remove(name)
	_ = m.SyncDir(filepath.Dir(name))
	return name
}

func TestSegmentWithoutPermission(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("this user may read every file")
	}
	dir := segmentedDir(t)
	must(t, os.Chmod(segmentFile(dir, 3), 0))
	s := mustOpen(t, store.Options{Dir: dir, TableSpans: tamperSpans})
	defer s.Close()
	if st := s.Stats(); st.Missing != 10 || st.Spans != 40 || !strings.Contains(s.Problems()[0], "permission denied") {
		t.Errorf("%+v, %q", st, s.Problems())
	}
}

// A header that cannot be read is like a segment that cannot be read.
func TestUnreadableHeader(t *testing.T) {
	t.Parallel()
	m := filledDisk(t, 4)
	m.Inject(func(op fs.Op) fs.Fault {
		if op.Kind == "open" && strings.HasSuffix(op.Path, "2.wal") {
			return fs.Fault{Err: os.ErrPermission}
		}
		return fs.Fault{}
	})
	s := mustOpen(t, store.Options{FS: m, TableSpans: 50})
	if st := s.Stats(); st.Missing != 49 || st.Problems != 1 {
		t.Errorf("%+v, %q", st, s.Problems())
	}
	_ = s.Close()
	m.Inject(nil)
	s = mustOpen(t, store.Options{FS: m, TableSpans: 50})
	defer s.Close()
	if st := s.Stats(); st.Missing != 0 || st.Problems != 0 || st.Spans != 4*50-6 {
		t.Errorf("when it can be read again: %+v, %q", st, s.Problems())
	}
}

func TestNewerSegmentStopsTheStart(t *testing.T) {
	t.Parallel()
	dir := segmentedDir(t)
	b, err := os.ReadFile(segmentFile(dir, 3))
	must(t, err)
	b[16] = wal.Version + 1
	binary.LittleEndian.PutUint32(b[20:], crc32.Checksum(b[:20], crc32.MakeTable(crc32.Castagnoli)))
	must(t, os.WriteFile(segmentFile(dir, 3), b, 0o600))
	var newer *wal.VersionError
	if _, err := store.Open(store.Options{Dir: dir}); !errors.As(err, &newer) {
		t.Errorf("a segment of a newer version: %v", err)
	}
}
