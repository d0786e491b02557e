package query

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"etude/trace"
)

// shrinking is a source that drops its tables.
type shrinking struct {
	mu    sync.Mutex
	views []*trace.View
}

func (s *shrinking) Tables() []*trace.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.views
}

func (s *shrinking) keep(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views = s.views[len(s.views)-n:]
}

func (s *shelf) known() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.infos)
}

// TestShelfLetsGoOfDroppedViews has nobody ask after the source has dropped what
// was asked for.
func TestShelfLetsGoOfDroppedViews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &shrinking{}
		for range 5 {
			src.views = append(src.views, trace.NewTable().View())
		}
		s := newShelf(src)
		s.views()
		for _, n := range []int{5, 2, 2, 0, 0} {
			src.keep(n)
			time.Sleep(2 * sweepEvery)
			if got := s.known(); got != n {
				t.Errorf("%d views are held, the source has %d", got, n)
			}
		}
		if s.sweep != nil {
			t.Error("an empty shelf is still swept")
		}
		src.views = append(src.views, trace.NewTable().View())
		s.views()
		s.close()
		s.views() // of a query that began before
		if time.Sleep(2 * sweepEvery); s.sweep != nil && s.sweep.Stop() {
			t.Error("a closed shelf is still swept")
		}
	})
}
