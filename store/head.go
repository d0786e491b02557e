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

// head holds the spans in memory: parts, the oldest first. Only the last one may grow, and only the applier adds to it.
//
// Two locks guard it, because the applier can need long for one payload, and readers of counters must not wait for it:
//
//   - growing belongs to the applier while it adds a payload. A reader takes it
//     for a moment to publish a View of the newest rows.
//   - mu guards the list of parts and the published Views. A goroutine does no slow work while it holds mu.
//
// Order: growing before mu. A goroutine that holds mu never waits for growing.
//
// Invariant: while heavy is set, every acknowledged row is in a published View. Before the applier adds a
// payload of heavyPayload bytes or more, it publishes and then sets heavy. So a reader that finds heavy set
// does not wait for growing. At any other time it waits for at most one small payload.
//
// Rejected: one lock for all. A payload that took minutes to add stopped searches,
// /metrics and the end of the process with it. Also rejected: publishing a View
// after each payload. A View has some 2 KB, more than most payloads.
type head struct {
	limits  Limits
	growing semaphore
	active  *part       // the last of parts, or nil; guarded by growing
	heavy   atomic.Bool // the applier is adding a payload of heavyPayload bytes or more

	mu    sync.Mutex
	parts []*part
	snap  trace.Snapshot // the cached answer of Snapshot, or nil; immutable
}

const (
	// viewPatience is how long a reader waits for the applier to add a payload.
	viewPatience = 100 * time.Millisecond
	// heavyPayload is the least size of a payload before which the applier publishes. Adding so many bytes
	// costs far more than a View.
	heavyPayload = 128 << 10
)

// semaphore is a lock with a deadline for waiting. It serves waiters in order of arrival.
type semaphore chan struct{}

func newSemaphore() semaphore { return make(semaphore, 1) }

func (s semaphore) lock()   { s <- struct{}{} }
func (s semaphore) unlock() { <-s }

// lockWithin waits for the lock for at most patience. It reports whether it got the lock.
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

// part is one Table with the log segments of its spans. growing guards table; mu guards the other fields.
type part struct {
	table    *trace.Table // nil when sealed
	view     *trace.View  // the last published View, or nil
	segments []uint64
	open     bool // grows
	live     bool // filled by Append, not by replay
	spans    int
	bytes    int64 // memory; for a growing part, as of the last batch
	newest   int64 // arrival, unix ns
}

// Snapshot returns the spans stored so far: a part for each Table and for each row group of a block. It has all
// spans that Append acknowledged before. Frequent calls are cheap.
func (s *Store) Snapshot(context.Context) (trace.Snapshot, error) {
	if s.blocks == nil {
		return s.head.snapshot(s.log.ID()), nil
	}
	s.head.refresh() // before mu: it may wait for growing
	s.blocks.swap.RLock()
	defer s.blocks.swap.RUnlock()
	return &watched{trace.Join(s.blocks.set.Snapshot(), s.head.published(s.log.ID())), s}, nil
}

// Head returns the Tables that Append has filled since the store was opened and that it still holds, the newest
// last. It is the feed for code that counts spans as they arrive: it never has a Table from the replay, and a
// Table keeps its identity while it grows and when the applier seals it.
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

// published returns a snapshot of the published rows.
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

// id returns the identity of a part, made of the log's id and the number of the part's first segment. The next
// start may add the following segments to the part. Then the part begins with the same rows, as a growing part
// does.
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
	v := h.active.table.View() // the Table returns the same View until it gets a new row
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.active.view != v {
		h.active.view, h.snap = v, nil
	}
}

// add adds one committed payload. If the payload is in a new segment, add returns the previous part, which the
// caller must seal.
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

// seal ends the growing part and returns it, or nil if no part grows.
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

// sealed replaces a part's Table by its final form.
func (h *head) sealed(p *part, v *trace.View, bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.table, p.view, p.bytes = nil, v, bytes
	h.snap = nil
}

// remove removes parts from the front; the caller holds mu.
func (h *head) remove(n int) {
	h.parts = slices.Clone(h.parts[n:])
	h.snap = nil // or it would keep the memory until the next query
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
