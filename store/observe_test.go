package store_test

import (
	"sync/atomic"
	"testing"
	"time"

	"etude/internal/fs"
	"etude/store"
)

// tally is an Observer that counts.
type tally struct{ acknowledged, applied, synced, sealed atomic.Int64 }

func (o *tally) Acknowledged(time.Duration) { o.acknowledged.Add(1) }
func (o *tally) Applied(time.Duration)      { o.applied.Add(1) }
func (o *tally) Synced(time.Duration)       { o.synced.Add(1) }
func (o *tally) Sealed(time.Duration)       { o.sealed.Add(1) }
func (o *tally) Cut(time.Duration)          {}

func TestObserver(t *testing.T) {
	t.Parallel()
	var o tally
	s := mustOpen(t, store.Options{FS: fs.NewMem(), TableSpans: 10, Observer: &o})
	for i := range 5 {
		if _, err := s.Append(t.Context(), payload(i, 10)); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = s.Append(t.Context(), []byte("not protobuf")) // refused: not a time to acknowledge
	_, _ = s.Append(t.Context(), nil)                    // nothing to store
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := o.acknowledged.Load(); n != 5 {
		t.Errorf("%d times to acknowledge, want 5", n)
	}
	if n := o.applied.Load(); n < 1 || n > 5 {
		t.Errorf("%d times of adding to the head for 5 payloads", n)
	}
	if n := o.synced.Load(); n != s.Stats().Syncs || n < 5 {
		t.Errorf("%d times of a sync, %d syncs", n, s.Stats().Syncs)
	}
	if n := o.sealed.Load(); n != 4 { // the fifth Table still grows
		t.Errorf("%d times of sealing, want 4", n)
	}
}
