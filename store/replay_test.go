package store_test

import (
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"etude/internal/fs"
	"etude/store"
)

// filledDisk returns a data directory with so many segments of 50 spans.
func filledDisk(t *testing.T, segments int) *fs.Mem {
	t.Helper()
	m := fs.NewMem()
	s := mustOpen(t, store.Options{FS: m, TableSpans: 50, Sync: store.SyncInterval})
	for i := range segments {
		if _, err := s.Append(t.Context(), payload(i, 50-i%7)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

// newest returns how many of the newest parts fit under a bound.
func newest(sizes []int64, bound int64) (n int, sum int64) {
	for _, size := range slices.Backward(sizes) {
		if sum+size > bound {
			return n, sum
		}
		n, sum = n+1, sum+size
	}
	return n, sum
}

// Replay under a bound keeps just what reading everything and then dropping the
// oldest would keep, reads little more than that, and says what left.
func TestReplayIsHeldToTheBounds(t *testing.T) {
	t.Parallel()
	const segments = 60
	// Several runs in one process leave small segments, which share Tables. Young
	// tables of their own need a TableAge that no two segments fit in.
	open := func(m *fs.Mem, o store.Options) *store.Store {
		o.FS, o.TableSpans, o.TableAge = m, 50, 1
		return mustOpen(t, o)
	}
	s := open(filledDisk(t, segments), store.Options{})
	bytes, spans := s.Parts()
	all := s.Stats()
	_ = s.Close()
	if len(bytes) != segments {
		t.Fatalf("%d parts, want one for each of %d segments", len(bytes), segments)
	}
	for _, share := range []int64{1, 2, 3, 10, 100} {
		for what, o := range map[string]store.Options{
			"memory": {HeadMaxBytes: all.HeadBytes / share},
			"spans":  {HeadMaxSpans: all.Spans / share},
		} {
			m := filledDisk(t, segments)
			var read atomic.Int64
			m.Inject(func(op fs.Op) fs.Fault {
				if op.Kind == "read" && strings.HasSuffix(op.Path, ".wal") && op.Size > 100 {
					read.Add(1)
				}
				return fs.Fault{}
			})
			want, sum := newest(spans, o.HeadMaxSpans)
			if o.HeadMaxBytes > 0 {
				want, _ = newest(bytes, o.HeadMaxBytes)
				sum = 0
				for _, n := range spans[segments-want:] {
					sum += n
				}
			}
			s := open(m, o)
			st := s.Stats()
			if st.Tables != want || st.Spans != sum || total(s) != int(sum) {
				t.Errorf("a %d th of %s: %d tables and %d spans are kept, want %d and %d", share, what, st.Tables, st.Spans, want, sum)
			}
			if left := st.LeftByMemory.Tables + st.LeftBySpans.Tables; left != int64(segments-want) {
				t.Errorf("a %d th of %s: %d tables left, want %d", share, what, left, segments-want)
			}
			if most := int64(want + 2*runtime.GOMAXPROCS(0)); read.Load() > most {
				t.Errorf("a %d th of %s: %d segments were read to keep %d", share, what, read.Load(), want)
			}
			_ = s.Close()
			if s = open(m, store.Options{}); s.Stats().Spans != sum {
				t.Errorf("a %d th of %s: %d spans at the next start, want %d", share, what, s.Stats().Spans, sum)
			}
			_ = s.Close()
		}
	}
}

// A Table that outgrows the bound is given up while it is read, not afterwards.
func TestReplayGivesUpALargeTable(t *testing.T) {
	t.Parallel()
	m := fs.NewMem()
	s := mustOpen(t, store.Options{FS: m, Sync: store.SyncInterval})
	for i := range 200 { // some 6 MB in one segment
		if _, err := s.Append(t.Context(), payload(i, 100)); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	var o tally
	s = mustOpen(t, store.Options{FS: m, HeadMaxBytes: 100 << 10, Observer: &o})
	defer s.Close()
	st := s.Stats()
	if st.Spans != 0 || st.LeftByMemory.Tables != 1 {
		t.Errorf("stats: %+v", st)
	}
	if st.Replayed == 0 || st.Replayed > 15_000 {
		t.Errorf("%d of 20,000 spans were read before the table was given up", st.Replayed)
	}
}
