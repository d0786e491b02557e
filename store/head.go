package store

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"etude/otlp"
	"etude/trace"
)

// head holds the spans in memory: parts, the oldest first. Only the last one may
// grow, and only the applier makes it grow.
//
// Two locks guard it, because one payload can take long to add and readers of
// counters must not wait for that:
//
//   - growing belongs to the applier while it adds a payload. A reader takes it
//     for a moment to publish a View of the newest rows.
//   - mu guards the list of parts and the published Views. Nothing slow happens
//     under it.
//
// Order: growing before mu. A goroutine that holds mu never waits for growing.
//
// Invariant: while heavy is set, every acknowledged row is in a published View.
// The applier publishes and then sets it before it adds a payload of heavyPayload
// bytes or more. So a reader that finds it set need not wait for growing; at any
// other time it waits for one small payload at most.
//
// Rejected: one lock for all. A payload that took minutes to add stopped searches,
// /metrics and the end of the process with it. Also rejected: publishing a View
// after each payload. A View has some 2 KB, more than most payloads.
type head struct {
	limits  Limits
	growing semaphore
	active  *part       // the last of parts, or nil; guarded by growing
	heavy   atomic.Bool // the applier adds a payload that may take long

	mu    sync.Mutex
	parts []*part
	snap  trace.Snapshot // the answer of Snapshot, or nil; a new one replaces it, nothing changes it
}

const (
	// viewPatience is how long a reader waits for a heavy payload to be added.
	viewPatience = 100 * time.Millisecond
	// heavyPayload is the size from which on the applier publishes first: adding so
	// many bytes costs far more than a View.
	heavyPayload = 128 << 10
)

// semaphore is a lock that can be waited for with a deadline; waiters are served
// in order of arrival.
type semaphore chan struct{}

func newSemaphore() semaphore { return make(semaphore, 1) }

func (s semaphore) lock()   { s <- struct{}{} }
func (s semaphore) unlock() { <-s }

// lockWithin reports whether it has the lock; if not, patience has run out.
func (s semaphore) lockWithin(patience time.Duration) bool {
	select {
	case s <- struct{}{}: // Fast path.
		return true
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case s <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

// part is one Table with the log segments of its spans. table belongs to
// whichever goroutine holds growing; mu guards the other fields.
type part struct {
	table    *trace.Table // nil when sealed
	view     *trace.View  // published last; nil before
	segments []uint64
	open     bool // grows
	live     bool // filled by Append, not by replay
	spans    int
	bytes    int64 // of memory; of a growing part as of the last batch
	newest   int64 // arrival, unix ns
}

// Snapshot returns the spans stored so far: a part for each Table and for each row
// group of a block. All that was
// acknowledged before is in it. Calling it often is cheap.
func (s *Store) Snapshot(context.Context) (trace.Snapshot, error) {
	if s.blocks == nil {
		return s.head.snapshot(s.log.ID()), nil
	}
	s.head.refresh() // may wait, so not under the lock
	s.blocks.swap.RLock()
	defer s.blocks.swap.RUnlock()
	return &watched{trace.Join(s.blocks.set.Snapshot(), s.head.published(s.log.ID())), s}, nil
}

// Head returns the Tables that Append has filled since the store was opened and
// that it still holds, the newest last. It is the feed for counting spans as they
// come: a Table that was read back from disk is never in it, and a Table keeps its
// identity while it grows and when it is sealed.
func (s *Store) Head() []*trace.View {
	s.head.refresh()
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	var views []*trace.View
	for _, p := range s.head.parts {
		if p.live && p.view != nil && p.view.Spans() > 0 {
			views = append(views, p.view)
		}
	}
	return views
}

func (h *head) snapshot(log uint64) trace.Snapshot {
	h.refresh()
	return h.published(log)
}

// published is a snapshot of the rows that were published last.
func (h *head) published(log uint64) trace.Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.snap == nil {
		var ids []trace.PartID
		var views []*trace.View
		for _, p := range h.parts {
			if p.view != nil && p.view.Spans() > 0 {
				ids, views = append(ids, p.id(log)), append(views, p.view)
			}
		}
		h.snap = trace.Resident(ids, views)
	}
	return h.snap
}

// id is the identity of a part: that of the log and the number of its first
// segment. The next start may join the segments that follow to it: then the part
// has the same rows first, as a growing part has.
func (p *part) id(log uint64) (id trace.PartID) {
	binary.LittleEndian.PutUint64(id.Of[:], log)
	binary.LittleEndian.PutUint64(id.Of[8:], p.segments[0])
	return id
}

// refresh publishes the newest rows, unless the applier adds a heavy payload.
func (h *head) refresh() {
	for {
		if h.growing.lockWithin(viewPatience) {
			h.publish()
			h.growing.unlock()
			return
		}
		if h.heavy.Load() {
			return
		}
	}
}

// publish makes the newest rows of the growing part visible; the caller holds
// growing.
func (h *head) publish() {
	if h.active == nil {
		return
	}
	v := h.active.table.View() // the same one until a row is added
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.active.view != v {
		h.active.view, h.snap = v, nil
	}
}

// add adds one committed payload and returns the part to seal when the payload
// is in a new segment.
func (h *head) add(segment uint64, payload []byte, arrival int64) (added int, lost trace.Losses, old *part, err error) {
	h.growing.lock()
	defer h.growing.unlock()
	if h.active == nil || h.active.segments[0] != segment {
		old = h.close()
		h.begin(segment, old)
	}
	if len(payload) >= heavyPayload {
		h.publish()
		h.heavy.Store(true)
		defer h.heavy.Store(false)
	}
	p := h.active
	before := p.table.Losses()
	added, err = otlp.Append(p.table, payload, arrival)
	lost = p.table.Losses().Minus(before)
	h.mu.Lock()
	defer h.mu.Unlock()
	p.spans = p.table.Spans()
	p.newest = max(p.newest, arrival)
	return added, lost, old, err
}

// begin makes the growing part for a segment; the caller holds growing.
func (h *head) begin(segment uint64, after *part) {
	h.active = &part{table: h.tableAfter(after), segments: []uint64{segment}, open: true, live: true}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts = append(h.parts, h.active)
}

// tableAfter returns the Table that follows a part.
func (h *head) tableAfter(old *part) *trace.Table {
	t := trace.NewTable()
	if old != nil {
		t = trace.NewTableLike(old.view)
	}
	t.Limit(h.limits)
	return t
}

// weigh updates the memory of the growing part.
func (h *head) weigh() {
	h.growing.lock()
	defer h.growing.unlock()
	if p := h.active; p != nil {
		bytes := int64(p.table.Bytes())
		h.mu.Lock()
		defer h.mu.Unlock()
		p.bytes = bytes
	}
}

// seal ends the growing part and returns it, or nil when none grows.
func (h *head) seal() *part {
	h.growing.lock()
	defer h.growing.unlock()
	return h.close()
}

func (h *head) close() *part {
	p := h.active
	if p == nil {
		return nil
	}
	h.publish()
	bytes := int64(p.table.Bytes())
	h.active = nil
	h.mu.Lock()
	defer h.mu.Unlock()
	p.bytes, p.open = bytes, false
	return p
}

// sealed puts a part's final form in place.
func (h *head) sealed(p *part, v *trace.View, bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.table, p.view, p.bytes = nil, v, bytes
	h.snap = nil
}

// remove takes parts off the front; the caller holds mu.
func (h *head) remove(n int) {
	h.parts = slices.Clone(h.parts[n:])
	h.snap = nil // it would hold the memory until the next query
}

// bytes is the memory of all parts; the caller holds mu.
func (h *head) bytes() (n int64) {
	for _, p := range h.parts {
		n += p.bytes
	}
	return n
}

// spans is the number of spans of all parts; the caller holds mu.
func (h *head) spans() (n int64) {
	for _, p := range h.parts {
		n += int64(p.spans)
	}
	return n
}
