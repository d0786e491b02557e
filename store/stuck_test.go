package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"etude/internal/fs"
	"etude/store"
)

// While the applier is stuck in one payload: counters, searches and readiness
// answer, Close ends within its bound, and the next start has every span.
func TestStuckApplier(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := fs.NewMem()
		s := mustOpen(t, store.Options{FS: m, HeadMaxBytes: 1 << 30, HeadMaxSpans: 1 << 30})
		if _, err := s.Append(t.Context(), payload(1, 5)); err != nil {
			t.Fatal(err)
		}
		if n := total(s); n != 5 {
			t.Fatalf("%d spans before", n)
		}
		release := s.HoldApplier()
		answers := make(chan error, 8) // more than the channel to the applier holds
		for i := range cap(answers) {
			go func() { answers <- result(s.Append(context.Background(), payload(2+i, 5))) }()
			synctest.Wait()
		}
		if err := s.Ready(); err != nil {
			t.Errorf("ready at once: %v", err)
		}
		time.Sleep(11 * time.Second)
		var stalled *store.StalledError
		if err := s.Ready(); !errors.As(err, &stalled) || stalled.Waiting == 0 {
			t.Errorf("ready after 11 s: %v, want a StalledError", err)
		}
		began := time.Now()
		if st := s.Stats(); st.Spans != 5 || st.Waiting == 0 {
			t.Errorf("stats: %+v", st)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("Stats waited %s", d)
		}
		if n := total(s); n != 5 {
			t.Errorf("%d spans are visible, want those acknowledged before", n)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("Tables waited %s", d)
		}
		began = time.Now()
		var stuck *store.StuckError
		if err := s.Close(); !errors.As(err, &stuck) || stuck.Waiting == 0 || stuck.Disk {
			t.Errorf("close: %v, want a StuckError of the applier", err)
		}
		if d := time.Since(began); d > 6*time.Second {
			t.Errorf("Close took %s", d)
		}
		release()
		for range cap(answers) { // the first may have been applied after release
			if err := <-answers; err != nil && !errors.Is(err, store.ErrClosed) {
				t.Errorf("a payload that was not applied: %v", err)
			}
		}
		s = mustOpen(t, store.Options{FS: m.Crash(nil)})
		defer s.Close()
		if n := total(s); n != 5*(1+cap(answers)) {
			t.Errorf("%d spans after the next start", n)
		}
	})
}

// A disk that never answers does not keep Close for ever.
func TestStuckDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := fs.NewMem()
		s := mustOpen(t, store.Options{FS: m})
		hang := make(chan struct{})
		m.Inject(func(op fs.Op) fs.Fault {
			if op.Kind == "sync" {
				<-hang
			}
			return fs.Fault{}
		})
		answer := make(chan error, 1)
		go func() { answer <- result(s.Append(context.Background(), payload(1, 5))) }()
		synctest.Wait()
		time.Sleep(11 * time.Second)
		var stalled *store.StalledError
		if err := s.Ready(); !errors.As(err, &stalled) {
			t.Errorf("ready: %v, want a StalledError", err)
		}
		var stuck *store.StuckError
		if err := s.Close(); !errors.As(err, &stuck) || !stuck.Disk {
			t.Errorf("close: %v, want a StuckError of the disk", err)
		}
		close(hang)
		<-answer
	})
}

// A reader that does not wait for a heavy payload still sees all that was
// acknowledged before it.
func TestHeavyPayloadHidesNothing(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, store.Options{FS: fs.NewMem()})
	defer s.Close()
	for i := range 3 {
		if _, err := s.Append(t.Context(), payload(i, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Append(t.Context(), payload(9, 2000)); err != nil {
		t.Fatal(err)
	}
	if n := s.PublishedSpans(); n != 6 {
		t.Errorf("%d spans were published before the heavy payload, want 6", n)
	}
	if n := total(s); n != 2006 {
		t.Errorf("%d spans at the end", n)
	}
}
