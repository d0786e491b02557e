package store_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"etude/internal/fs"
	"etude/store"
)

type retrier interface {
	error
	RetryAfter() time.Duration
}

type invalid interface {
	error
	InvalidSpans() bool
}

func TestAppendOnTheRealDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, store.Options{Dir: dir})
	for i := range 20 {
		if _, err := s.Append(t.Context(), payload(i, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Append(t.Context(), payload(3, 10)); err != nil {
		t.Fatalf("the same again: %v", err)
	}
	if st := s.Stats(); st.Appended != 200 || st.Duplicates != 10 || st.Spans != 200 || st.Payloads != 21 {
		t.Errorf("stats: %+v", st)
	}
	var locked *fs.LockedError
	if _, err := store.Open(store.Options{Dir: dir}); !errors.As(err, &locked) {
		t.Errorf("second open: %v, want a LockedError", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, store.Options{Dir: dir})
	defer s.Close()
	if n := total(s); n != 200 || s.Stats().Replayed != 210 {
		t.Errorf("after a restart: %d spans, stats %+v", n, s.Stats())
	}
}

// TestRejectedSpansAreNotStored stores a payload with one span whose id is too
// short, one with text that is not UTF-8, and one that is only bad; a replay reads
// what was stored.
func TestRejectedSpansAreNotStored(t *testing.T) {
	t.Parallel()
	disk := fs.NewMem()
	s := mustOpen(t, store.Options{FS: disk})
	whole := payload(1, 5)
	short := bytes.Replace(whole, append([]byte{2<<3 | 2, 8}, spanID(1, 3)...), append([]byte{2<<3 | 2, 8}, make([]byte, 8)...), 1)
	rejected, err := s.Append(t.Context(), short)
	if err != nil || rejected.Spans != 1 || rejected.Reason != "resource_spans[0].scope_spans[0].spans[2].span_id: span ids must be 64 bits and not all zero" {
		t.Fatalf("rejected %+v, %v", rejected, err)
	}
	if rejected, err := s.Append(t.Context(), bytes.ReplaceAll(payload(2, 2), []byte("operation"), []byte("oper\xfftion"))); err != nil || rejected.Spans != 0 {
		t.Fatalf("rejected %+v, %v", rejected, err)
	}
	id := traceID(3)
	if rejected, err := s.Append(t.Context(), bytes.ReplaceAll(payload(3, 1), id[:], make([]byte, 16))); err != nil || rejected.Spans != 1 {
		t.Fatalf("rejected %+v, %v", rejected, err)
	}
	if st := s.Stats(); st.Rejected != 2 || st.Mended != 1 || st.Payloads != 2 || st.Invalid != 0 || st.Waiting != 0 {
		t.Errorf("counted %+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, store.Options{FS: disk})
	defer s.Close()
	if spansOf(s, 1) != 4 || spansOf(s, 2) != 2 || total(s) != 6 {
		t.Errorf("%d spans after a restart, of the first trace %d", total(s), spansOf(s, 1))
	}
	if _, ok := s.Tables()[0].Strings.Find("oper\uFFFDtion 1"); !ok {
		t.Error("the name with U+FFFD is not there")
	}
}

func TestAppendErrors(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, store.Options{FS: fs.NewMem()})
	var bad invalid
	if _, err := s.Append(t.Context(), []byte("not protobuf")); !errors.As(err, &bad) || !bad.InvalidSpans() {
		t.Errorf("bad payload: %v", err)
	}
	if _, err := s.Append(t.Context(), nil); err != nil {
		t.Errorf("empty payload: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := s.Append(ended, payload(1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	var retry retrier
	if _, err := s.Append(t.Context(), payload(1, 1)); !errors.Is(err, store.ErrClosed) || !errors.As(err, &retry) {
		t.Errorf("closed: %v", err)
	}
	if st := s.Stats(); st.Invalid != 1 || st.Spans != 0 || st.Waiting != 0 {
		t.Errorf("stats: %+v", st)
	}
}

// While a sync hangs: more than the queue takes is refused, a caller may leave
// and use its payload again, and the queued payload is still stored.
func TestOverloadAndLeaving(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := fs.NewMem()
		one := payload(1, 5)
		s := mustOpen(t, store.Options{FS: m, MaxQueue: int64(2*len(one) + 10)})
		hang := make(chan struct{})
		m.Inject(func(op fs.Op) fs.Fault {
			if op.Kind == "sync" {
				<-hang
			}
			return fs.Fault{}
		})
		ctx, leave := context.WithCancel(t.Context())
		left, stayed := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := s.Append(ctx, one)
			clear(one) // It is ours again.
			left <- err
		}()
		go func() { stayed <- result(s.Append(t.Context(), payload(2, 5))) }()
		synctest.Wait()
		var retry retrier
		if _, err := s.Append(t.Context(), payload(3, 5)); !errors.As(err, &retry) || retry.RetryAfter() <= 0 {
			t.Errorf("third payload: %v, want a refusal with RetryAfter", err)
		}
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("left: %v", err)
		}
		close(hang)
		if err := <-stayed; err != nil {
			t.Errorf("stayed: %v", err)
		}
		synctest.Wait()
		if a, b := spansOf(s, 1), spansOf(s, 2); a != 5 || b != 5 {
			t.Errorf("%d and %d spans, want 5 and 5", a, b)
		}
		if st := s.Stats(); st.Waiting != 0 || st.Overloaded != 1 {
			t.Errorf("stats: %+v", st)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRetentionByAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := fs.NewMem()
		o := store.Options{FS: m, Retention: time.Hour, TableAge: 5 * time.Minute}
		s := mustOpen(t, o)
		for i := range 24 { // Two hours.
			if _, err := s.Append(t.Context(), payload(i, 2)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Minute)
		}
		synctest.Wait()
		for i := range 24 {
			want := 2
			if i < 12 {
				want = 0
			}
			if n := spansOf(s, i); n != want {
				t.Errorf("payload %d of 24 has %d spans, want %d", i, n, want)
			}
		}
		// The last Table leaves as well, though nothing comes any more.
		time.Sleep(time.Hour)
		synctest.Wait()
		st := s.Stats()
		if st.Spans != 0 || st.DiskBytes != 0 || st.LeftByAge.Spans != 48 || len(s.Tables()) != 0 {
			t.Errorf("an hour later: %+v", st)
		}
		if names := m.Names(); len(names) != 1 || filepath.Base(names[0]) != "manifest" {
			t.Errorf("files left: %q", names)
		}
		if _, err := s.Append(t.Context(), payload(99, 2)); err != nil || spansOf(s, 99) != 2 {
			t.Errorf("append after all has left: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		s = mustOpen(t, o)
		if n := total(s); n != 0 {
			t.Errorf("%d spans older than the retention after a restart", n)
		}
		_ = s.Close()
	})
}

func TestLimitsOfDiskAndMemory(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]store.Options{
		"disk":   {MaxDisk: 40_000, TableSpans: 100},
		"memory": {HeadMaxBytes: 1 << 20, TableSpans: 500},
		"spans":  {HeadMaxSpans: 3000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o.FS = fs.NewMem()
				s := mustOpen(t, o)
				for i := range 1000 {
					if _, err := s.Append(t.Context(), payload(i, 20)); err != nil {
						t.Fatal(err)
					}
					synctest.Wait() // The keeper has had its turn.
					st := s.Stats()
					if o.MaxDisk > 0 && st.DiskBytes > o.MaxDisk || o.HeadMaxBytes > 0 && st.HeadBytes > o.HeadMaxBytes || o.HeadMaxSpans > 0 && st.Spans > o.HeadMaxSpans {
						t.Fatalf("payload %d: over the limit: %+v", i, st)
					}
					if n := spansOf(s, i); n != 20 {
						t.Fatalf("payload %d: the newest has %d spans", i, n)
					}
				}
				st := s.Stats()
				gone := st.LeftByDisk.Spans + st.LeftByMemory.Spans + st.LeftBySpans.Spans
				if st.Spans < 200 || gone == 0 || gone+st.Spans != 20_000 || total(s) != int(st.Spans) {
					t.Errorf("stats: %+v", st)
				}
				if spansOf(s, 0) != 0 {
					t.Error("the oldest is still there")
				}
				_ = s.Close()
				before := st.Spans
				s = mustOpen(t, o)
				if n := int64(total(s)); n != before {
					t.Errorf("%d spans after a restart, %d before", n, before)
				}
				_ = s.Close()
			})
		})
	}
}

// With SyncInterval an acknowledgement does not wait for the disk, a clean stop
// and the interval's sync make durable.
func TestSyncInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := fs.NewMem()
		s := mustOpen(t, store.Options{FS: m, Sync: store.SyncInterval, SyncInterval: 10 * time.Second})
		for i := range 5 {
			if _, err := s.Append(t.Context(), payload(i, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.Stats().Syncs; n != 0 {
			t.Errorf("%d syncs before the interval was over", n)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if n := s.Stats().Syncs; n != 1 {
			t.Errorf("%d syncs after the interval, want 1", n)
		}
		if _, err := s.Append(t.Context(), payload(5, 1)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, store.Options{FS: m.Crash(nil)})
		if n := total(s); n != 6 {
			t.Errorf("%d spans after a clean stop and a crash, want 6", n)
		}
		_ = s.Close()
	})
}

// The segments of many short runs are read into few Tables.
func TestSmallSegmentsShareATable(t *testing.T) {
	t.Parallel()
	m := fs.NewMem()
	for i := range 10 {
		s := mustOpen(t, store.Options{FS: m})
		if _, err := s.Append(t.Context(), payload(i, 2)); err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
	}
	s := mustOpen(t, store.Options{FS: m})
	defer s.Close()
	if views := s.Tables(); len(views) != 1 || views[0].Spans() != 20 {
		t.Errorf("%d tables", len(views))
	}
	a, errA := s.Snapshot(t.Context())
	b, errB := s.Snapshot(t.Context())
	if errA != nil || errB != nil || a != b {
		t.Errorf("a new snapshot is made though nothing has changed: %v, %v", errA, errB)
	}
}

// TestStoreTakesSpansBesideAQuery has a query that never ends.
func TestStoreTakesSpansBesideAQuery(t *testing.T) {
	t.Parallel()
	var p store.Priority
	s := mustOpen(t, store.Options{FS: fs.NewMem(), Priority: &p})
	defer p.Query()()
	for n := range 20 {
		if _, err := s.Append(context.Background(), payload(n, 3)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseEndsAPause closes while the applier lets a query go first. Time moves
// only when everybody waits for it.
func TestCloseEndsAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p store.Priority
		s := mustOpen(t, store.Options{FS: fs.NewMem(), Priority: &p})
		defer p.Query()()
		began := time.Now()
		answers := make(chan error, 50)
		for n := range cap(answers) {
			go func() { answers <- result(s.Append(context.Background(), payload(n, 3))) }()
		}
		synctest.Wait() // the applier pauses before the first
		if len(answers) > 0 {
			t.Errorf("%d payloads were answered beside a young query", len(answers))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("Close waited %s for a query", d)
		}
		for range cap(answers) {
			if err := <-answers; err != nil {
				t.Errorf("a payload taken before Close: %v", err)
			}
		}
		if n := total(s); n != 3*cap(answers) {
			t.Errorf("%d spans", n)
		}
	})
}

// The feed has new spans only, through sealing, restart and replay.
func TestHeadFeedsNewSpans(t *testing.T) {
	t.Parallel()
	m := fs.NewMem()
	feed := func(s *store.Store) (n int) {
		for _, v := range s.Head() {
			n += v.Spans()
		}
		return n
	}
	for run := range 3 {
		s := mustOpen(t, store.Options{FS: m, TableSpans: 10})
		if n := feed(s); n != 0 {
			t.Errorf("run %d: the feed has %d spans at the start", run, n)
		}
		ids := map[uint64]bool{}
		for i := range 5 {
			if _, err := s.Append(t.Context(), payload(10*run+i, 7)); err != nil {
				t.Fatal(err)
			}
			if n := feed(s); n != 7*(i+1) {
				t.Errorf("run %d: %d spans in the feed after %d payloads of 7", run, n, i+1)
			}
			for _, v := range s.Head() {
				ids[v.ID()] = true
			}
		}
		if len(ids) != 5 || total(s) != 35*(run+1) {
			t.Errorf("run %d: %d tables in the feed, %d spans held", run, len(ids), total(s))
		}
		_ = s.Close()
	}
}
