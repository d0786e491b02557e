package store

import (
	"slices"
	"sync"

	"etude/otlp"
	"etude/trace"
)

// head holds the spans in memory: parts, the oldest first. Only the last one may
// be growing. Its lock is held for as long as one payload takes to add, at most.
type head struct {
	mu     sync.Mutex
	parts  []*part
	active *part         // the last of parts, or nil
	views  []*trace.View // what Tables has returned last, or nil; never changed
	fresh  bool          // views is true but for the active part
}

// part is one Table with the log segments that its spans lie in.
type part struct {
	table    *trace.Table // nil when sealed
	view     *trace.View  // nil while the Table grows
	segments []uint64
	spans    int
	bytes    int64 // of memory; up to date when the Table does not grow
	newest   int64 // arrival, unix ns
}

// Tables returns the spans stored so far, the newest Table last. All that was
// acknowledged before is in them. The slice and the views belong to everybody
// and must not be changed; calling it often is cheap.
func (s *Store) Tables() []*trace.View { return s.head.tables() }

func (h *head) tables() []*trace.View {
	h.mu.Lock()
	defer h.mu.Unlock()
	var growing *trace.View
	if h.active != nil {
		growing = h.active.table.View()
	}
	if h.fresh && (growing == nil || len(h.views) > 0 && h.views[len(h.views)-1] == growing) {
		return h.views // Fast path: nothing has changed.
	}
	views := make([]*trace.View, 0, len(h.parts))
	for _, p := range h.parts {
		v := p.view
		if p == h.active {
			v = growing
		}
		if v.Spans() > 0 {
			views = append(views, v)
		}
	}
	h.views, h.fresh = views, true
	return views
}

// add adds one committed payload and returns the part to seal when the payload
// lies in a new segment.
func (h *head) add(segment uint64, payload []byte, arrival int64) (added int, old *part, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.active == nil || h.active.segments[0] != segment {
		old = h.close()
		h.active = &part{table: tableAfter(old), segments: []uint64{segment}}
		h.parts = append(h.parts, h.active)
	}
	p := h.active
	added, err = otlp.Append(p.table, payload, arrival)
	p.spans = p.table.Spans()
	p.newest = max(p.newest, arrival)
	return added, old, err
}

// tableAfter returns the Table for what comes after a part.
func tableAfter(old *part) *trace.Table {
	if old == nil {
		return trace.NewTable()
	}
	return trace.NewTableLike(old.view)
}

// seal ends the growing part and returns it, or nil when none grows.
func (h *head) seal() *part {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.close()
}

func (h *head) close() *part {
	p := h.active
	if p != nil {
		p.view, p.bytes = p.table.View(), int64(p.table.Bytes())
		h.active, h.fresh = nil, false
	}
	return p
}

// sealed puts a part's final form in place.
func (h *head) sealed(p *part, v *trace.View, bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.table, p.view, p.bytes = nil, v, bytes
	h.views, h.fresh = nil, false
}

// remove takes parts off the front.
func (h *head) remove(n int) {
	h.parts = slices.Clone(h.parts[n:])
	h.views, h.fresh = nil, false // they would hold the memory until somebody asks again
}

// bytes is the memory of all parts; the lock is held.
func (h *head) bytes() (n int64) {
	for _, p := range h.parts {
		if p == h.active {
			p.bytes = int64(p.table.Bytes())
		}
		n += p.bytes
	}
	return n
}

// spans is the number of spans of all parts; the lock is held.
func (h *head) spans() (n int64) {
	for _, p := range h.parts {
		n += int64(p.spans)
	}
	return n
}
