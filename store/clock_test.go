package store_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"etude/internal/fs"
	"etude/internal/testkit"
	"etude/store"
)

// jumps are what a clock is wrong by, one after the other.
var jumps = []time.Duration{0, 5 * time.Hour, -5 * time.Hour, -7 * time.Hour, 0}

// A clock that jumps by hours deletes nothing, whichever way. A jump forward that lasts
// is believed in the end.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var shift atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
		s, a := mustOpen(t, store.Options{FS: fs.NewMem(), TableAge: time.Minute, Retention: 2 * time.Hour, Now: now}), &acked{}
		for _, jump := range jumps {
			shift.Store(int64(jump))
			for range 5 {
				if err := a.append(t.Context(), s); err != nil {
					t.Fatalf("jump of %s: %v", jump, err)
				}
				time.Sleep(2 * time.Minute)
			}
			if err := onceEach(s, a.traces); err != nil {
				t.Fatalf("jump of %s: %v", jump, err)
			}
		}
		shift.Store(int64(30 * time.Hour))
		time.Sleep(2 * time.Hour)
		if err := a.append(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if st := s.Stats(); st.Spans != spansEach {
			t.Errorf("%d spans are held hours after a jump forward, want %d", st.Spans, spansEach)
		}
		if err := errors.Join(onceEach(s, a.traces[len(a.traces)-1:]), s.Close()); err != nil {
			t.Error(err)
		}
	})
}

// Spans become blocks also when the clock has gone back behind their arrival, and stay.
// There is no bubble: the writer of blocks has encoders that all tests share.
func TestClockJumpsWithBlocks(t *testing.T) {
	t.Parallel()
	var shift atomic.Int64
	o, a := withBlocks(fs.NewMem()), &acked{}
	o.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	o.Retention, o.Blocks.After = 2*time.Hour, time.Hour
	s := mustOpen(t, o)
	defer s.Close()
	for _, jump := range jumps {
		shift.Store(int64(jump))
		for range 5 {
			if err := a.append(t.Context(), s); err != nil {
				t.Fatalf("jump of %s: %v", jump, err)
			}
		}
		s.Enforce()
		if err := onceEach(s, a.traces); err != nil {
			t.Fatalf("jump of %s: %v", jump, err)
		}
	}
	shift.Store(int64(-9 * time.Hour))
	testkit.Until(t, "all spans are in blocks", func() bool { return s.Stats().BlockSpans == int64(len(a.traces)*spansEach) })
	s.Enforce()
	if err := onceEach(s, a.traces); err != nil {
		t.Error(err)
	}
}
