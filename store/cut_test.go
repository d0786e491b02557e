package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"etude/internal/fs"
	"etude/internal/testkit"
	"etude/store"
	"etude/trace"
)

// never is an age that no Table of a test reaches: cuts happen when the test says so.
const never = 24 * time.Hour

func withBlocks(fsys fs.FS) store.Options {
	return store.Options{Dir: "data", FS: fsys, TableSpans: 4 * spansEach, Blocks: &store.BlockOptions{After: never}}
}

// counts says how often a snapshot has each span of each trace, head and blocks
// together.
func counts(s *store.Store) (map[trace.TraceID]map[trace.SpanID]int, error) {
	ctx := context.Background()
	snap, err := s.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	found := map[trace.TraceID]map[trace.SpanID]int{}
	for part := range snap.Parts() {
		v, err := snap.Open(ctx, part, &trace.Need{Columns: trace.SpanIDs})
		if err != nil {
			return nil, err
		}
		for number, id := range v.TraceIDs {
			if found[id] == nil {
				found[id] = map[trace.SpanID]int{}
			}
			for row := range v.Rows(uint32(number)) {
				found[id][v.SpanID[row]]++
			}
		}
	}
	return found, nil
}

// onceEach checks that every span of some traces is there exactly once.
func onceEach(s *store.Store, traces []int) error {
	all, err := counts(s)
	if err != nil {
		return err
	}
	for _, number := range traces {
		found := all[traceID(number)]
		if len(found) != spansEach {
			return fmt.Errorf("trace %d has %d spans of %d", number, len(found), spansEach)
		}
		for id, n := range found {
			if n != 1 {
				return fmt.Errorf("trace %d has span %s %d times", number, id, n)
			}
		}
	}
	return nil
}

// countIn reads everything in a snapshot and counts its spans.
func countIn(snap trace.Snapshot) (n int, err error) {
	for part := range snap.Parts() {
		v, err := snap.Open(context.Background(), part, trace.Everything())
		if err != nil {
			return n, err
		}
		n += v.Spans()
	}
	return n, nil
}

func TestCut(t *testing.T) {
	t.Parallel()
	fsys := fs.NewMem()
	s := mustOpen(t, withBlocks(fsys))
	var all []int
	for round := range 3 {
		for i := range 10 {
			number := round*10 + i
			if _, err := s.Append(t.Context(), payload(number, spansEach)); err != nil {
				t.Fatal(err)
			}
			all = append(all, number)
		}
		if err := s.CutAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := onceEach(s, all); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Append(t.Context(), payload(99, spansEach)); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	if st.Blocks != 3 || st.BlockSpans != 90 || st.Spans != 93 || st.Tables != 1 || st.Cuts != 3 {
		t.Errorf("stats after three cuts: %+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, withBlocks(fsys))
	if st := s.Stats(); st.Blocks != 3 || st.Replayed != 3 || st.Problems != 0 {
		t.Errorf("stats after a restart: %+v", st)
	}
	if err := onceEach(s, append(all, 99)); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A trace goes on after its first spans became a block.
func TestTraceAcrossTheCut(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, withBlocks(fs.NewMem()))
	defer s.Close()
	for _, n := range []int{2, 5} { // The second request repeats the spans of the first.
		if _, err := s.Append(t.Context(), payload(7, n)); err != nil {
			t.Fatal(err)
		}
		if err := s.CutAll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := counts(s); len(found[traceID(7)]) != 5 || err != nil {
		t.Errorf("%d spans, want 5: %v", len(found[traceID(7)]), err)
	}
}

// Tables become blocks by themselves when they are old, and when the head fills.
func TestCutByItself(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*store.Options){
		"age":  func(o *store.Options) { o.Blocks.After, o.TableAge = time.Millisecond, time.Millisecond },
		"full": func(o *store.Options) { o.HeadMaxSpans = 5 * spansEach },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := withBlocks(fs.NewMem())
			change(&o)
			s := mustOpen(t, o)
			defer s.Close()
			var all []int
			testkit.Until(t, "twenty traces in blocks", func() bool {
				var later retrier
				_, err := s.Append(t.Context(), payload(len(all), spansEach))
				switch {
				case err == nil:
					all = append(all, len(all))
				case !errors.As(err, &later):
					t.Fatal(err)
				}
				return s.Stats().BlockSpans >= 20*spansEach
			})
			if err := onceEach(s, all); err != nil {
				t.Error(err)
			}
			if st := s.Stats(); st.LeftByMemory.Spans+st.LeftBySpans.Spans != 0 {
				t.Errorf("spans were dropped: %+v", st)
			}
		})
	}
}

// cutRun appends, cuts, appends and cuts as far as the file system allows.
func cutRun(fsys fs.FS, a *acked) error {
	s, err := store.Open(withBlocks(fsys))
	if err != nil {
		return err
	}
	defer s.Close()
	if err := onceEach(s, a.traces); err != nil {
		return err
	}
	for range 2 {
		for range 5 {
			_ = a.append(context.Background(), s)
		}
		_ = s.CutAll(context.Background())
	}
	return nil
}

// Whatever step the power fails at, the next start has every acknowledged span once.
func TestCrashAtEveryStepOfACut(t *testing.T) {
	t.Parallel()
	steps := 0
	for step := 1; ; step++ {
		fsys, a, rng := fs.NewMem(), &acked{}, rand.New(rand.NewPCG(1, uint64(step)))
		if err := cutRun(fsys, a); err != nil { // There is a block to begin with.
			t.Fatal(err)
		}
		n, crashed := 0, false
		fsys.Inject(func(op fs.Op) fs.Fault {
			if op.Changes() {
				n++
			}
			crashed = crashed || n == step
			return fs.Fault{Crash: n == step}
		})
		_ = cutRun(fsys, a)
		after := fsys.Crash(rng)
		if step%2 == 0 {
			after = fsys.Crash(nil)
		}
		s, err := store.Open(withBlocks(after))
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if err := onceEach(s, a.traces); err != nil {
			t.Errorf("crash at step %d: %v", step, err)
		}
		if st := s.Stats(); st.Problems != 0 {
			t.Errorf("crash at step %d: %q", step, s.Problems())
		}
		if err := s.Close(); err != nil {
			t.Errorf("step %d: close: %v", step, err)
		}
		if !crashed {
			break
		}
		steps = step
	}
	if steps < 50 {
		t.Errorf("only %d steps were crashed", steps)
	}
}

// A full or failing disk stops a cut, never loses a span, and leaves nothing behind
// once it works again.
func TestFaultAtEveryStepOfACut(t *testing.T) {
	t.Parallel()
	for _, fault := range []error{fs.ErrNoSpace, errors.New("input/output error")} {
		for step := 1; ; step++ {
			fsys, a := fs.NewMem(), &acked{}
			s := mustOpen(t, withBlocks(fsys))
			for range 5 {
				if err := a.append(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			n, hit := 0, false
			fsys.Inject(func(op fs.Op) fs.Fault {
				if !strings.Contains(op.Path, "blocks") || !op.Changes() {
					return fs.Fault{}
				}
				if n++; n == step {
					hit = true
					return fs.Fault{Err: fault}
				}
				return fs.Fault{}
			})
			err := s.CutAll(t.Context())
			fsys.Inject(nil)
			if hit && err == nil && step < 10 {
				t.Errorf("%v at step %d: the cut says that it succeeded", fault, step)
			}
			if err := onceEach(s, a.traces); err != nil {
				t.Errorf("%v at step %d: %v", fault, step, err)
			}
			if err := s.CutAll(t.Context()); err != nil {
				t.Errorf("%v at step %d: cut again: %v", fault, step, err)
			}
			if err := errors.Join(onceEach(s, a.traces), s.Close()); err != nil {
				t.Errorf("%v at step %d: %v", fault, step, err)
			}
			s = mustOpen(t, withBlocks(fsys))
			if err := errors.Join(onceEach(s, a.traces), s.Close()); err != nil {
				t.Errorf("%v at step %d: opened again: %v", fault, step, err)
			}
			if !hit {
				break
			}
		}
	}
}

// A store's snapshot passes on what its blocks know of pairs, and a joined one as well.
func TestSnapshotExcludesPairs(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, withBlocks(fs.NewMem()))
	defer s.Close()
	for number := range 2 { // a block, and a Table in the head
		if _, err := s.Append(t.Context(), payload(number, spansEach)); err != nil {
			t.Fatal(err)
		}
		if number == 0 {
			if err := s.CutAll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	one, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	both := trace.Join(one, two)
	defer both.Close()
	for _, snap := range []trace.Snapshot{one, both} {
		excluded := 0
		for part := range snap.Parts() {
			v, err := snap.Open(t.Context(), part, trace.Everything())
			if err != nil {
				t.Fatal(err)
			}
			name := trace.Condition{Of: trace.Names, Texts: []string{v.Text(v.Name[0])}}
			least := v.Duration(0)
			for row := range uint32(v.Spans()) {
				least = min(least, v.Duration(row))
			}
			kind := trace.Condition{Of: trace.Kinds, Bounded: true, Min: int64(v.Kind[0]), Max: int64(v.Kind[0])}
			short := trace.Condition{Of: trace.Times, Bounded: true, Min: least - 2, Max: least - 1}
			pairs, ok := snap.(trace.PairExcluder)
			if !ok || pairs.ExcludesBoth(part, name, kind) {
				t.Fatalf("%T rules out what is there, or knows no pairs: %t", snap, ok)
			}
			if pairs.ExcludesBoth(part, name, short) {
				excluded++
			}
		}
		if want := len(snap.Parts()) / 2; excluded != want {
			t.Errorf("%T: %d parts of %d are ruled out, want those in blocks, %d", snap, excluded, len(snap.Parts()), want)
		}
	}
}
