package wal

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"etude/internal/fs"
)

// journal collects what a log commits.
type journal struct {
	mu     sync.Mutex
	good   []string
	errs   []error
	segs   []uint64
	answer chan struct{}
}

func (j *journal) committed(b *Batch) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range b.Entries {
		if b.Err != nil {
			j.errs = append(j.errs, b.Err)
		} else {
			j.good = append(j.good, string(b.Payload(i)))
			j.segs = append(j.segs, b.Segment)
		}
		j.answer <- struct{}{}
	}
}

func open(t *testing.T, fsys fs.FS, change func(*Options)) (*Log, *journal) {
	t.Helper()
	j := &journal{answer: make(chan struct{}, 1000)}
	o := Options{Dir: "data", FS: fsys, Committed: j.committed}
	if change != nil {
		change(&o)
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l, j
}

// put submits payloads one after the other, waiting for each.
func put(t *testing.T, l *Log, j *journal, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		if err := l.Submit([]byte(p), 1, 42, nil); err != nil {
			t.Fatal(err)
		}
		<-j.answer
	}
}

// replay closes nothing and reads all that a start would.
func replay(t *testing.T, l *Log) (payloads []string, reports []Report) {
	t.Helper()
	for _, seg := range l.Segments() {
		rep, err := l.Replay(seg.Number, func(r *Record) error {
			p, err := r.Payload(nil)
			payloads = append(payloads, string(p))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, rep)
	}
	return payloads, reports
}

func TestLogKeepsOrderOverSegmentsAndRestarts(t *testing.T) {
	t.Parallel()
	fsys := fs.NewMem()
	var want []string
	for run := range 3 {
		l, j := open(t, fsys, func(o *Options) { o.SegmentSpans = 4 })
		got, reports := replay(t, l)
		if !slices.Equal(got, want) {
			t.Fatalf("run %d: replay = %q, want %q", run, got, want)
		}
		for _, r := range reports {
			if r.Torn != nil || len(r.Damage) > 0 {
				t.Errorf("run %d: report %+v", run, r)
			}
		}
		for i := range 10 {
			p := fmt.Sprintf("run %d payload %d %s", run, i, bytes.Repeat([]byte("again "), i*50))
			put(t, l, j, p)
			want = append(want, p)
		}
		if n := len(slices.Compact(j.segs)); n != 3 {
			t.Errorf("run %d: 10 spans in %d segments of 4, want 3", run, n)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := l.Submit(nil, 1, 1, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("submit after close: %v", err)
		}
	}
}

func TestGroupCommitSyncsOnceForAll(t *testing.T) {
	t.Parallel()
	fsys := fs.NewMem()
	l, j := open(t, fsys, nil)
	put(t, l, j, "first")
	before := l.Syncs()
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fsys.Inject(func(op fs.Op) fs.Fault {
		if op.Kind == "sync" {
			once.Do(func() { close(begun); <-goOn })
		}
		return fs.Fault{}
	})
	submit := func(p string) { _ = l.Submit([]byte(p), 1, 1, nil) }
	submit("alone")
	<-begun
	for i := range 50 {
		submit(fmt.Sprint("together ", i))
	}
	close(goOn)
	for range 51 {
		<-j.answer
	}
	if n := l.Syncs() - before; n != 2 {
		t.Errorf("%d syncs for one and then 50 that wait together, want 2", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTornTailAtEveryByte(t *testing.T) {
	t.Parallel()
	for _, header := range [][]byte{oldHeader(7), newHeader(7, 1)} {
		tornTailAtEveryByte(t, header)
	}
}

func tornTailAtEveryByte(t *testing.T, whole []byte) {
	headerSize := len(whole)
	whole = append(whole, appendRecord(nil, []byte("one, one, one, one, one, one, one, one, one"), 1, 1)...)
	lastAt := len(whole)
	whole = append(whole, appendRecord(nil, []byte("two"), 1, 1)...)
	for size := headerSize; size < len(whole); size++ {
		fsys := fs.NewMem()
		writeSegment(t, fsys, 1, whole[:size])
		l, j := open(t, fsys, nil)
		got, reports := replay(t, l)
		wantTorn := size != lastAt && size != headerSize
		if want := 0; size >= lastAt {
			want = 1
			if len(got) != want {
				t.Fatalf("cut to %d: %d records, want %d", size, len(got), want)
			}
		}
		if torn := reports[0].Torn != nil; torn != wantTorn || len(reports[0].Damage) > 0 {
			t.Errorf("cut to %d: report %+v", size, reports[0])
		}
		put(t, l, j, "three")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l, _ = open(t, fsys, nil)
		again, reports := replay(t, l)
		if want := append(got, "three"); !slices.Equal(again, want) {
			t.Errorf("cut to %d: second start = %q, want %q", size, again, want)
		}
		for _, r := range reports {
			if r.Torn != nil || len(r.Damage) > 0 {
				t.Errorf("cut to %d: second start reports %+v", size, r)
			}
		}
		_ = l.Close()
	}
}

// A flipped bit costs its own record, at most, and is reported with its place.
func TestBitFlipAtEveryByte(t *testing.T) {
	t.Parallel()
	bitFlipAtEveryByte(t, oldHeader(7), oldHeader(8))
	bitFlipAtEveryByte(t, newHeader(7, 1), newHeader(8, 2))
}

func bitFlipAtEveryByte(t *testing.T, whole, second []byte) {
	ends := []int{len(whole)}
	for _, p := range []string{"one", "two", "three"} {
		whole = append(whole, appendRecord(nil, []byte(p), 1, 1)...)
		ends = append(ends, len(whole))
	}
	for at := range whole {
		fsys := fs.NewMem()
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1 << (at % 8)
		writeSegment(t, fsys, 1, flipped)
		writeSegment(t, fsys, 2, append(bytes.Clone(second), appendRecord(nil, []byte("four"), 1, 1)...))
		l, _ := open(t, fsys, nil)
		got, reports := replay(t, l)
		want := []string{"one", "two", "three", "four"}
		hit, _ := slices.BinarySearch(ends, at+1)
		if hit > 0 {
			want = slices.Delete(want, hit-1, hit)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("flip at %d: replay = %q, want %q", at, got, want)
		}
		d := reports[0].Damage
		if len(d) != 1 || int(d[0].Offset) > at || int(d[0].Offset+d[0].Length) <= at || filepath.Base(d[0].File) != "00000000000000000001.wal" {
			t.Fatalf("flip at %d: reported as %+v", at, d)
		}
		kept, err := fs.ReadFile(fsys, path("data", 1, damagedSuffix))
		if err != nil || !bytes.Equal(kept, flipped) {
			t.Errorf("flip at %d: copy: %v", at, err)
		}
		_ = l.Close()
		l, _ = open(t, fsys, nil)
		again, reports := replay(t, l)
		if !slices.Equal(again, want) || len(reports[0].Damage) > 0 {
			t.Errorf("flip at %d: second start = %q, %+v", at, again, reports[0])
		}
		_ = l.Close()
	}
}

func TestDiskErrorsRefuseAndRecover(t *testing.T) {
	t.Parallel()
	eio := errors.New("input/output error")
	for _, kind := range []string{"write", "sync", "create", "syncdir", "short", "full"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			fsys := fs.NewMem()
			l, j := open(t, fsys, func(o *Options) { o.SegmentSpans = 2 })
			put(t, l, j, "a", "b")
			fsys.Inject(func(op fs.Op) fs.Fault {
				switch {
				case op.Kind == kind:
					return fs.Fault{Err: eio}
				case op.Kind == "write" && kind == "short":
					return fs.Fault{Err: eio, Keep: op.Size / 2}
				case op.Kind == "write" && kind == "full":
					return fs.Fault{Err: fs.ErrNoSpace, Keep: 1}
				}
				return fs.Fault{}
			})
			put(t, l, j, "refused", "refused")
			fsys.Inject(nil)
			put(t, l, j, "c", "d", "e")
			if len(j.errs) != 2 {
				t.Fatalf("errors: %v, want 2", j.errs)
			}
			var we *WriteError
			if !errors.As(j.errs[0], &we) || we.RetryAfter() <= 0 || we.Full() != (kind == "full") {
				t.Errorf("error: %v", j.errs[0])
			}
			after := fsys.Crash(nil)
			l, _ = open(t, after, nil)
			got, _ := replay(t, l)
			got = slices.DeleteFunc(got, func(p string) bool { return p == "refused" })
			if want := []string{"a", "b", "c", "d", "e"}; !slices.Equal(got, want) {
				t.Errorf("replay = %q, want %q", got, want)
			}
			_ = l.Close()
		})
	}
}

// The sync that fails once and then succeeds must not be trusted.
func TestFailedSyncIsNotTrusted(t *testing.T) {
	t.Parallel()
	fsys := fs.NewMem()
	l, j := open(t, fsys, nil)
	put(t, l, j, "a")
	failed := false
	fsys.Inject(func(op fs.Op) fs.Fault {
		if op.Kind == "sync" && !failed {
			failed = true
			return fs.Fault{Err: errors.New("input/output error")}
		}
		return fs.Fault{}
	})
	put(t, l, j, "refused", "b")
	if len(j.errs) != 1 || j.segs[0] == j.segs[1] {
		t.Errorf("errors %v, segments %v: want one error and another segment", j.errs, j.segs)
	}
	l, _ = open(t, fsys.Crash(nil), nil)
	if got, _ := replay(t, l); !slices.Contains(got, "a") || !slices.Contains(got, "b") {
		t.Errorf("replay = %q", got)
	}
}

func TestOpenRefusesWhatItMustNotTouch(t *testing.T) {
	t.Parallel()
	fsys := fs.NewMem()
	l, _ := open(t, fsys, nil)
	var locked *fs.LockedError
	if _, err := Open(Options{Dir: "data", FS: fsys}); !errors.As(err, &locked) {
		t.Errorf("second open: %v, want a LockedError", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	newer := appendHeader1(nil, 1, Version+1)
	writeSegment(t, fsys, 9, newer)
	var version *VersionError
	if _, err := Open(Options{Dir: "data", FS: fsys}); !errors.As(err, &version) || version.Version != Version+1 {
		t.Errorf("open of a newer log: %v, want a VersionError", err)
	}
	fsys.Corrupt(path("data", 9, segmentSuffix), func([]byte) []byte { return oldHeader(1) })
	l, err := Open(Options{Dir: "data", FS: fsys})
	if err != nil {
		t.Fatalf("the lock is still held after a failed open: %v", err)
	}
	_ = l.Close()
}

func writeSegment(t *testing.T, fsys fs.FS, number uint64, data []byte) {
	t.Helper()
	if err := fsys.Mkdir(folder("data")); err != nil {
		t.Fatal(err)
	}
	if err := fs.WriteFile(fsys, folder("data"), path("data", number, tempSuffix), path("data", number, segmentSuffix), data); err != nil {
		t.Fatal(err)
	}
}
