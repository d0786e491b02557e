package store_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"etude/internal/fs"
	"etude/internal/testkit"
	"etude/store"
	"etude/trace"
)

// gated is a file system in which no sidecar is written until the gate opens.
type gated struct {
	*fs.Mem
	gate chan struct{}
}

func (g gated) Create(name string) (fs.File, error) {
	if strings.Contains(name, sidecarName) {
		<-g.gate
	}
	return g.Mem.Create(name)
}

const (
	sidecarName = "etude.sidecar"
	nowhere     = 999 // a trace that is not stored
)

// sidecars returns the names of the sidecars, whole ones only.
func sidecars(fsys *fs.Mem) []string {
	return slices.DeleteFunc(fsys.Names(), func(name string) bool { return filepath.Base(name) != sidecarName })
}

// bareBlocks returns a directory with four blocks: one sidecar is missing, one is damaged,
// one is cut off.
func bareBlocks(t *testing.T) (fsys *fs.Mem, a *acked) {
	t.Helper()
	fsys, a = fs.NewMem(), &acked{}
	s := mustOpen(t, withBlocks(fsys))
	for range 4 {
		if err := errors.Join(a.append(t.Context(), s), s.CutAll(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names := sidecars(fsys)
	if err := fsys.Remove(names[0]); err != nil {
		t.Fatal(err)
	}
	fsys.Corrupt(names[1], func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	fsys.Corrupt(names[2], func(b []byte) []byte { return b[:len(b)-1] })
	return fsys, a
}

// excluded counts the parts of a snapshot that an attribute which no span has rules out.
func excluded(t *testing.T, s *store.Store) (n int) {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for part := range snap.Parts() {
		if snap.Excludes(part, trace.Condition{Level: trace.SpanLevel, Key: "no.such.key"}) {
			n++
		}
	}
	return n
}

// foundIn returns in how many parts a trace is looked for.
func foundIn(t *testing.T, s *store.Store, number int) int {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	parts, err := snap.Find(t.Context(), traceID(number))
	if err != nil {
		t.Fatal(err)
	}
	return len(parts)
}

// A store is ready while sidecars are missing, answers without them, and writes them in the
// background.
func TestSidecarsAreWrittenInTheBackground(t *testing.T) {
	t.Parallel()
	fsys, a := bareBlocks(t)
	gate := make(chan struct{})
	o := withBlocks(fsys)
	o.FS = gated{fsys, gate}
	s := mustOpen(t, o)
	defer s.Close()
	if st := s.Stats(); st.Blocks != 4 || st.BlockSpans != 4*spansEach || st.Problems != 0 {
		t.Errorf("after the start: %+v %q", st, s.Problems())
	}
	if err := onceEach(s, a.traces); err != nil {
		t.Error(err)
	}
	if n, found := excluded(t, s), foundIn(t, s, nowhere); n != 1 || found != 3 {
		t.Errorf("%d parts are ruled out, want the one with a sidecar; a trace that is nowhere is looked for in %d, want 3", n, found)
	}
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	close(gate)
	testkit.Until(t, "all blocks have sidecars", func() bool { return excluded(t, s) == 4 })
	if n, err := countIn(snap); n != 4*spansEach || err != nil {
		t.Errorf("a query that began before reads %d spans: %v", n, err)
	}
	snap.Close()
	if err := onceEach(s, a.traces); err != nil {
		t.Error(err)
	}
	if found, absent := foundIn(t, s, a.traces[0]), foundIn(t, s, nowhere); found != 1 || absent != 0 {
		t.Errorf("a trace is looked for in %d parts, want 1; one that is nowhere in %d", found, absent)
	}
	if names := sidecars(fsys); len(names) != 4 {
		t.Errorf("sidecars %q", names)
	}
}

// A store closes while sidecars are missing, and the next start goes on.
func TestCloseWhileSidecarsAreMissing(t *testing.T) {
	t.Parallel()
	fsys, a := bareBlocks(t)
	for range 3 {
		s := mustOpen(t, withBlocks(fsys))
		if err := errors.Join(onceEach(s, a.traces), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCrashAtEveryStepOfASurvey(t *testing.T) {
	t.Parallel()
	for step := 1; ; step++ {
		fsys, a := bareBlocks(t)
		n := 0
		var crashed atomic.Bool
		fsys.Inject(func(op fs.Op) fs.Fault {
			if op.Changes() && strings.Contains(op.Path, "blocks"+string(filepath.Separator)) {
				n++
			}
			if n == step {
				crashed.Store(true)
			}
			return fs.Fault{Crash: n == step}
		})
		s, err := store.Open(withBlocks(fsys))
		if err == nil {
			testkit.Until(t, "the crash, or all sidecars", func() bool { return len(sidecars(fsys)) == 4 && excluded(t, s) == 4 || crashed.Load() })
			_ = s.Close()
		}
		after := fsys.Crash(rand.New(rand.NewPCG(3, uint64(step))))
		s = mustOpen(t, withBlocks(after))
		if err := onceEach(s, a.traces); err != nil {
			t.Errorf("crash at step %d: %v", step, err)
		}
		testkit.Until(t, "all blocks have sidecars", func() bool { return excluded(t, s) == 4 })
		if st := s.Stats(); st.Problems != 0 || st.BlockSpans != 4*spansEach {
			t.Errorf("crash at step %d: %+v %q", step, st, s.Problems())
		}
		if err := s.Close(); err != nil {
			t.Errorf("step %d: close: %v", step, err)
		}
		if !crashed.Load() {
			if step < 10 {
				t.Errorf("only %d steps were crashed", step)
			}
			return
		}
	}
}

// A sidecar that cannot be written is kept in memory; a block that cannot be read is set aside.
func TestSurveyOfABadDisk(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		kind, file string
		blocks     int64
	}{"write": {"create", sidecarName, 4}, "read": {"read", "data.parquet", 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys, _ := bareBlocks(t)
			o := withBlocks(fsys)
			reads := map[string]int{}
			fsys.Inject(func(op fs.Op) fs.Fault {
				if op.Kind != want.kind || !strings.Contains(op.Path, want.file) {
					return fs.Fault{}
				}
				if reads[op.Path]++; op.Kind == "read" && reads[op.Path] <= 2 { // the footer, at the start
					return fs.Fault{}
				}
				return fs.Fault{Err: errors.New("the disk is bad")}
			})
			s := mustOpen(t, o)
			defer s.Close()
			testkit.Until(t, "the survey", func() bool { return int64(excluded(t, s)) == want.blocks && s.Stats().Blocks == want.blocks })
			if n := int64(len(s.Problems())); n != 4-want.blocks {
				t.Errorf("problems %q", s.Problems())
			}
		})
	}
}
