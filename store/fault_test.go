package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"etude/internal/fs"
	"etude/store"
)

const spansEach = 3

// acked is the set of payloads, by trace number, that Append has acknowledged,
// and how many were tried at all.
type acked struct {
	mu     sync.Mutex
	traces []int
	tried  int
}

func (a *acked) append(ctx context.Context, s *store.Store) error {
	a.mu.Lock()
	number := a.tried
	a.tried++
	a.mu.Unlock()
	err := appendAndReuse(ctx, s, payload(number, spansEach))
	if err == nil {
		a.mu.Lock()
		a.traces = append(a.traces, number)
		a.mu.Unlock()
	}
	return err
}

// appendAndReuse overwrites the payload as soon as Append has returned.
func appendAndReuse(ctx context.Context, s *store.Store, payload []byte) error {
	_, err := s.Append(ctx, payload)
	for i := range payload {
		payload[i] = 0xff
	}
	return err
}

// check asks that everything acknowledged is there, and nothing by half.
func (a *acked) check(s *store.Store) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for number := range a.tried {
		n := spansOf(s, number)
		if n != 0 && n != spansEach {
			return fmt.Errorf("payload %d has %d spans of %d", number, n, spansEach)
		}
		if n == 0 && slices.Contains(a.traces, number) {
			return fmt.Errorf("payload %d was acknowledged and is gone", number)
		}
	}
	return nil
}

// run opens, appends a little, and closes, as far as the file system allows.
func (a *acked) run(fsys fs.FS, appends int) error {
	s, err := store.Open(store.Options{Dir: "data", FS: fsys, TableSpans: 4 * spansEach})
	if err != nil {
		return err
	}
	err = a.check(s)
	for range appends {
		_ = a.append(context.Background(), s)
	}
	_ = s.Close()
	return err
}

// The power is cut at every operation that changes the disk, then once more at
// every third operation of the repair and the work that follows.
func TestCrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		for at := 1; ; at++ {
			if done := crashAt(t, seed, at); done {
				if at < 30 {
					t.Errorf("the run had only %d operations to crash at", at)
				}
				break
			}
		}
	}
}

func crashAt(t *testing.T, seed uint64, at int) (done bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, uint64(at)))
	survive := func(m *fs.Mem) *fs.Mem {
		if seed == 0 {
			return m.Crash(nil)
		}
		return m.Crash(rng)
	}
	var a acked
	m := fs.NewMem()
	crashed := crashAfter(m, at, rng)
	_ = a.run(m, 14)
	if !*crashed {
		return true
	}
	m = survive(m)
	again := crashAfter(m, 1+rng.IntN(12), rng)
	if err := a.run(m, 3); err != nil && !*again {
		t.Fatalf("seed %d, crash at %d: %v", seed, at, err)
	}
	m = survive(m)
	for start := range 2 {
		if err := a.run(m, 2); err != nil {
			t.Fatalf("seed %d, crash at %d and again, start %d: %v", seed, at, start, err)
		}
	}
	return false
}

// crashAfter cuts the power at the n-th operation that changes the disk; a write
// may get part of its way.
func crashAfter(m *fs.Mem, n int, rng *rand.Rand) (crashed *bool) {
	crashed = new(bool)
	m.Inject(func(op fs.Op) fs.Fault {
		if !op.Changes() {
			return fs.Fault{}
		}
		if n--; n > 0 {
			return fs.Fault{}
		}
		*crashed = true
		return fs.Fault{Crash: true, Keep: rng.IntN(op.Size + 1)}
	})
	return crashed
}

// Many writers, readers, a disk that fails now and then, crashes and restarts.
func TestRandomRuns(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			var a acked
			m := fs.NewMem()
			for round := range 6 {
				s, err := store.Open(store.Options{Dir: "data", FS: m, TableSpans: 40})
				if err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				if err := a.check(s); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				m.Inject(flaky(rng.Uint64()))
				busy(t, s, &a)
				if rng.IntN(3) == 0 {
					m.Inject(nil)
					if err := s.Close(); err != nil {
						t.Fatalf("round %d: close: %v", round, err)
					}
				}
				next := m.Crash(rng)
				_ = s.Close() // Ends its goroutines; the disk is out of its reach.
				m = next
			}
			if len(a.traces) < a.tried/4 || len(a.traces) == a.tried {
				t.Errorf("%d of %d acknowledged: the disk failed too often or never", len(a.traces), a.tried)
			}
		})
	}
}

// busy appends from several goroutines while others read; an acknowledged payload
// must be visible at once.
func busy(t *testing.T, s *store.Store, a *acked) {
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					total(s)
				}
			}
		})
	}
	for w := range 8 {
		writers.Go(func() {
			for i := range 25 {
				ctx, leave := context.WithCancel(context.Background())
				if w < 3 { // Some do not wait.
					go func() {
						for range i {
							runtime.Gosched()
						}
						leave()
					}()
				}
				err := a.append(ctx, s)
				leave()
				if err == nil {
					a.mu.Lock()
					last := a.traces[len(a.traces)-1]
					a.mu.Unlock()
					if n := spansOf(s, last); n != spansEach {
						t.Errorf("payload %d was acknowledged and %d spans are visible", last, n)
					}
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

func flaky(seed uint64) func(fs.Op) fs.Fault {
	rng := rand.New(rand.NewPCG(seed, 2))
	return func(op fs.Op) fs.Fault {
		if !op.Changes() || rng.IntN(12) > 0 {
			return fs.Fault{}
		}
		err := errors.New("input/output error")
		if rng.IntN(2) == 0 {
			err = fs.ErrNoSpace
		}
		return fs.Fault{Err: err, Keep: rng.IntN(op.Size + 1)}
	}
}

// A full disk refuses, keeps what it has, and takes again when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	m := fs.NewMem()
	m.SetCapacity(2000)
	s := mustOpen(t, store.Options{FS: m})
	var a acked
	var err error
	for range 100 {
		if err = a.append(context.Background(), s); err != nil {
			break
		}
	}
	var retry retrier
	if !errors.As(err, &retry) || !fs.NoSpace(err) {
		t.Fatalf("full disk: %v, want a full disk with RetryAfter", err)
	}
	if s.Stats().Refused == 0 {
		t.Error("nothing counted as refused")
	}
	if err := a.check(s); err != nil {
		t.Error(err)
	}
	m.SetCapacity(0)
	for range 5 {
		if err := a.append(context.Background(), s); err != nil {
			t.Fatalf("after there is room again: %v", err)
		}
	}
	_ = s.Close()
	s = mustOpen(t, store.Options{FS: m})
	defer s.Close()
	if err := a.check(s); err != nil {
		t.Error(err)
	}
}

// Damage anywhere costs the payload it hits and nothing else.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var a acked
		m := fs.NewMem()
		if err := a.run(m, 30); err != nil {
			t.Fatal(err)
		}
		var segments []string
		for _, name := range m.Names() {
			if len(name) > 4 && name[len(name)-4:] == ".wal" {
				segments = append(segments, name)
			}
		}
		m.Corrupt(segments[rng.IntN(len(segments))], func(b []byte) []byte {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			return b
		})
		if seed%2 == 1 { // The power is cut while the damage is being repaired.
			crashAfter(m, 1+int(seed/2)%12, rng)
			if s, err := store.Open(store.Options{Dir: "data", FS: m}); err == nil {
				_ = s.Close()
			}
			m = m.Crash(rng)
		}
		s := mustOpen(t, store.Options{FS: m})
		missing := 0
		for number := range a.tried {
			if spansOf(s, number) != spansEach {
				missing++
			}
		}
		if missing > 1 {
			t.Errorf("seed %d: one flipped bit lost %d payloads", seed, missing)
		}
		_ = s.Close()
	}
}

// A segment that cannot be read does not stop the start, and is there for the
// next one.
func TestUnreadableSegment(t *testing.T) {
	t.Parallel()
	var a acked
	m := fs.NewMem()
	if err := a.run(m, 12); err != nil {
		t.Fatal(err)
	}
	m.Inject(func(op fs.Op) fs.Fault {
		if op.Kind == "read" && strings.HasSuffix(op.Path, "1.wal") && op.Size > 100 {
			return fs.Fault{Err: errors.New("input/output error")}
		}
		return fs.Fault{}
	})
	s := mustOpen(t, store.Options{FS: m})
	if n := total(s); n == 0 || n >= 12*spansEach {
		t.Errorf("%d spans while one segment cannot be read", n)
	}
	if err := a.append(t.Context(), s); err != nil {
		t.Error(err)
	}
	_ = s.Close()
	m.Inject(nil)
	s = mustOpen(t, store.Options{FS: m})
	defer s.Close()
	if err := a.check(s); err != nil {
		t.Error(err)
	}
}
