package query

import (
	"context"
	"sync"
	"time"

	"etude/tenant"
	"etude/trace"
)

// Tenants hands out the Source of each tenant, one that can be compared; nil for
// a tenant that has no spans.
type Tenants interface {
	Source(id string) Source
}

// NewForTenants returns an Engine that reads what the tenants of the context
// have, all together, and nothing for a context without tenants. A trace of
// several tenants is one trace.
func NewForTenants(t Tenants, o Options) *Engine {
	e := New(nil, o)
	s := &tenantShelves{tenants: t, shelves: map[string]*shelf{}, swept: time.Now()}
	e.shelves = s.of
	return e
}

// shelf is a Source and what is known about the Views that it hands out.
type shelf struct {
	src   Source
	mu    sync.Mutex
	infos map[*trace.View]*info // of Views that the source still hands out
	sweep *time.Timer           // nil while there are none
	gone  bool
}

func newShelf(src Source) *shelf { return &shelf{src: src, infos: map[*trace.View]*info{}} }

// views returns the Views with what is known about each.
func (s *shelf) views() ([]*trace.View, []*info) {
	views := s.src.Tables()
	infos := make([]*info, len(views))
	s.mu.Lock()
	defer s.mu.Unlock()
	current := make(map[*trace.View]*info, len(views))
	for i, v := range views {
		in, ok := s.infos[v]
		if !ok {
			in = newInfo(v, s.earlier(v))
		}
		current[v], infos[i] = in, in
	}
	if s.infos = current; len(current) > 0 && s.sweep == nil && !s.gone {
		s.sweep = time.AfterFunc(sweepEvery, s.sweepNow)
	}
	return views, infos
}

// earlier returns what is known of another View of a View's Table, or nil; the
// lock is held.
func (s *shelf) earlier(v *trace.View) *info {
	for other, in := range s.infos {
		if other.ID() == v.ID() {
			return in
		}
	}
	return nil
}

// sweepNow lets go of the Views that the source has dropped: without it they
// would stay in memory for as long as nobody asks anything.
func (s *shelf) sweepNow() {
	s.mu.Lock()
	s.sweep = nil
	gone := s.gone
	s.mu.Unlock()
	if !gone {
		s.views()
	}
}

// close forgets everything. Queries that run may go on.
func (s *shelf) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.infos, s.gone = nil, true
	if s.sweep != nil {
		s.sweep.Stop()
	}
}

// tables returns the Views that a context may read.
func (e *Engine) tables(ctx context.Context) []*trace.View {
	shelves := e.shelves(ctx)
	if len(shelves) == 1 { // Fast path: all but reads of several tenants.
		return shelves[0].src.Tables()
	}
	var all []*trace.View
	for _, s := range shelves {
		all = append(all, s.src.Tables()...)
	}
	return all
}

// views returns the Views that a context may read with what is known about each.
func (e *Engine) views(ctx context.Context) ([]*trace.View, []*info) {
	shelves := e.shelves(ctx)
	if len(shelves) == 1 { // Fast path, as above.
		return shelves[0].views()
	}
	var all []*trace.View
	var known []*info
	for _, s := range shelves {
		views, infos := s.views()
		all, known = append(all, views...), append(known, infos...)
	}
	return all, known
}

// tenantShelves are the shelves of tenants that somebody has read.
type tenantShelves struct {
	tenants Tenants

	mu      sync.Mutex
	shelves map[string]*shelf
	swept   time.Time
}

// sweepEvery is how often what is known is looked through, so that it does not
// hold spans which the sources have dropped.
const sweepEvery = 10 * time.Second

// of returns the shelves of the context's tenants.
func (t *tenantShelves) of(ctx context.Context) (out []*shelf) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range tenant.Of(ctx) {
		if s := t.shelf(id); s != nil {
			out = append(out, s)
		}
	}
	if time.Since(t.swept) > sweepEvery {
		t.swept = time.Now()
		t.sweep()
	}
	return out
}

// shelf returns a tenant's shelf, nil when it has no spans; the lock is held.
func (t *tenantShelves) shelf(id string) *shelf {
	src, s := t.tenants.Source(id), t.shelves[id]
	if s != nil && s.src == src {
		return s
	}
	if s != nil {
		s.close()
		delete(t.shelves, id)
	}
	if src == nil {
		return nil
	}
	s = newShelf(src)
	t.shelves[id] = s
	return s
}

// sweep lets go of the sources of tenants that are gone; the lock is held.
func (t *tenantShelves) sweep() {
	for id := range t.shelves {
		t.shelf(id)
	}
}
