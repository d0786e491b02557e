package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etude/internal/fs"
	"etude/internal/testkit"
	"etude/store"
)

// later is when every window of a test is over.
func later() time.Time { return time.Now().Add(3 * time.Hour) }

// mergeRun makes some blocks and merges them, as far as the file system allows.
func mergeRun(fsys fs.FS, a *acked) error {
	s, err := store.Open(withBlocks(fsys))
	if err != nil {
		return err
	}
	defer s.Close()
	if err := onceEach(s, a.traces); err != nil {
		return err
	}
	for range 3 {
		_ = a.append(context.Background(), s)
		_ = s.CutAll(context.Background())
	}
	s.Merge(context.Background(), later())
	return onceEach(s, a.traces)
}

func TestMerge(t *testing.T) {
	t.Parallel()
	fsys, a := fs.NewMem(), &acked{}
	for round := range 3 {
		if err := mergeRun(fsys, a); err != nil {
			t.Fatal(err)
		}
		s := mustOpen(t, withBlocks(fsys))
		if st := s.Stats(); st.Blocks != 1 || st.BlockSpans != int64(3*(round+1)*spansEach) || st.Problems != 0 {
			t.Errorf("round %d: %+v", round, st)
		}
		if err := errors.Join(onceEach(s, a.traces), s.Close()); err != nil {
			t.Error(err)
		}
	}
	folders := map[string]bool{}
	for _, name := range fsys.Names() {
		if strings.Contains(name, "blocks") {
			folders[filepath.Dir(name)] = true
		}
	}
	if len(folders) != 1 {
		t.Errorf("folders %v, want one", folders)
	}
}

// Blocks of an hour that is not over merge when there are four of a level.
func TestMergeWithinTheHour(t *testing.T) {
	t.Parallel()
	s, a := mustOpen(t, withBlocks(fs.NewMem())), &acked{}
	defer s.Close()
	hour := func() int64 { return time.Now().UnixNano() / int64(time.Hour) }
	began := hour()
	for n := range 4 {
		if err := errors.Join(a.append(t.Context(), s), s.CutAll(t.Context())); err != nil {
			t.Fatal(err)
		}
		if merged := s.Merge(t.Context(), time.Now()); merged != (n == 3) && hour() == began {
			t.Errorf("merged %t with %d blocks", merged, n+1)
		}
	}
	if err := onceEach(s, a.traces); err != nil {
		t.Error(err)
	}
}

// A query that began before goes on reading what has been merged.
func TestMergeUnderASnapshot(t *testing.T) {
	t.Parallel()
	s, a := mustOpen(t, withBlocks(fs.NewMem())), &acked{}
	defer s.Close()
	for range 2 {
		if err := errors.Join(a.append(t.Context(), s), s.CutAll(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !s.Merge(t.Context(), later()) {
		t.Fatal("nothing was merged")
	}
	if n, err := countIn(snap); n != 2*spansEach || err != nil {
		t.Errorf("%d spans, %v", n, err)
	}
	snap.Close()
	if err := onceEach(s, a.traces); err != nil {
		t.Error(err)
	}
}

func TestCrashAtEveryStepOfAMerge(t *testing.T) {
	t.Parallel()
	for step := 1; ; step++ {
		fsys, a, rng := fs.NewMem(), &acked{}, rand.New(rand.NewPCG(2, uint64(step)))
		n, merging := 0, false
		s := mustOpen(t, withBlocks(fsys))
		for range 3 {
			if err := errors.Join(a.append(t.Context(), s), s.CutAll(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		fsys.Inject(func(op fs.Op) fs.Fault {
			if op.Changes() {
				n++
			}
			merging = merging || n == step
			return fs.Fault{Crash: n == step}
		})
		s.Merge(t.Context(), later())
		after := fsys.Crash(rng)
		_ = s.Close()
		s, err := store.Open(withBlocks(after))
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if err := onceEach(s, a.traces); err != nil {
			t.Errorf("crash at step %d: %v", step, err)
		}
		if st := s.Stats(); st.Problems != 0 || st.BlockSpans != 3*spansEach {
			t.Errorf("crash at step %d: %+v %q", step, st, s.Problems())
		}
		if err := s.Close(); err != nil {
			t.Errorf("step %d: close: %v", step, err)
		}
		if !merging {
			if step < 10 {
				t.Errorf("only %d steps were crashed", step)
			}
			return
		}
	}
}

// A damaged block is set aside, at the start or when a query meets it; all else stays.
func TestDamagedBlock(t *testing.T) {
	t.Parallel()
	flip := func(b []byte) []byte { b[40] ^= 0x55; return b } // in the ids of the traces
	for name, damage := range map[string]struct {
		file  string
		start bool
	}{"meta": {"meta.json", true}, "data": {"data.parquet", false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys, a := fs.NewMem(), &acked{}
			s := mustOpen(t, withBlocks(fsys))
			for range 2 {
				if err := errors.Join(a.append(t.Context(), s), s.CutAll(t.Context())); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for _, name := range fsys.Names() {
				if filepath.Base(name) == damage.file {
					change := flip
					if damage.start {
						change = func([]byte) []byte { return []byte("{") }
					}
					fsys.Corrupt(name, change)
					break
				}
			}
			s = mustOpen(t, withBlocks(fsys))
			if !damage.start {
				snap, err := s.Snapshot(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := countIn(snap); err == nil {
					t.Error("the damaged block was read")
				}
				snap.Close()
			}
			all, err := counts(s)
			if err != nil || len(all) != 1 {
				t.Errorf("%d traces beside the damaged block, want 1: %v", len(all), err)
			}
			if st := s.Stats(); st.BlocksDamaged != 1 || st.Blocks != 1 || len(s.Problems()) != 1 {
				t.Errorf("%+v %q", st, s.Problems())
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, withBlocks(fsys))
			if st := s.Stats(); st.Blocks != 1 || len(s.Problems()) != 1 {
				t.Errorf("the next start: %+v %q", st, s.Problems())
			}
			_ = s.Close()
		})
	}
}

// A block that leaves while it is merged does not come back by the merged one.
func TestRetentionDuringAMerge(t *testing.T) {
	t.Parallel()
	fsys, a := fs.NewMem(), &acked{}
	s := mustOpen(t, withBlocks(fsys))
	defer s.Close()
	for range 3 {
		if err := errors.Join(a.append(t.Context(), s), s.CutAll(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	left := false
	fsys.Inject(func(op fs.Op) fs.Fault {
		if !left && op.Changes() && filepath.Base(op.Path) == "data.parquet" {
			left = true
			s.SetBounds(store.Bounds{Disk: 1})
			testkit.Until(t, "all blocks leave", func() bool { return s.Stats().LeftByDisk.Tables == 3 })
			s.SetBounds(store.Bounds{})
		}
		return fs.Fault{}
	})
	s.Merge(t.Context(), later())
	fsys.Inject(nil)
	if n, err := counts(s); !left || len(n) != 0 || err != nil {
		t.Errorf("%d traces came back, %v", len(n), err)
	}
	if st := s.Stats(); st.Blocks != 0 || st.Merges != 0 {
		t.Errorf("stats: %+v", st)
	}
	for _, name := range fsys.Names() {
		if strings.Contains(name, "blocks") {
			t.Errorf("%s is left", name)
		}
	}
}
