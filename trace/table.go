package trace

import (
	"slices"
	"sync/atomic"
)

// MaxRows is the maximum number of spans in one Table; then the caller begins a new one. It limits the memory
// lost to slack, and the amount that one retention step frees.
const MaxRows = 1 << 16

// columns are the arrays shared by Table (growing) and View (fixed).
type columns struct {
	Strings Dict

	// Traces, in order of first appearance. A trace number indexes TraceIDs.
	TraceIDs   []TraceID
	traceFirst []uint32
	traceIdx   index

	// Start and end of each trace according to the rows of this part, so that readers need not read all rows:
	// the smallest non-zero Began, and the largest End or Began of any row. Nil if the View does not have them.
	// Unix ns.
	TraceStart, TraceEnd []uint64

	// Spans: one entry per row.
	Trace   []uint32 // trace number
	SpanID  []SpanID
	Parent  []SpanID // zero: no parent
	Start   []uint64 // unix ns
	End     []uint64 // unix ns, as sent: may be before Start
	Name    []uint32 // code
	Kind    []uint8  // as sent; see Kind
	Status  []uint8  // as sent; see Status
	Scope   []uint32 // scope number
	Size    []uint32 // bytes of the span as an OTLP message
	next    []uint32 // next row of the same trace + 1; atomic
	spanIdx index

	StatusMessage, TraceState                 Sparse // codes; 0 is ""
	Flags                                     Sparse
	DroppedAttrs, DroppedEvents, DroppedLinks Sparse

	// Resources and scopes: one entry per number.
	ResourceSchemaURL []uint32 // code
	ResourceDropped   []uint32
	ResourceExtra     []uint32 // code of encoded Resource fields kept unchanged (entity_refs)
	ScopeResource     []uint32 // resource number
	ScopeName         []uint32 // code
	ScopeVersion      []uint32 // code
	ScopeSchemaURL    []uint32 // code
	ScopeDropped      []uint32

	// Events and links: child rows, ordered by span row.
	EventSpan    []uint32
	EventTime    []uint64 // unix ns
	EventName    []uint32 // code
	EventDropped Sparse
	LinkSpan     []uint32
	LinkTraceID  []TraceID
	LinkSpanID   []SpanID
	LinkState    Sparse // code
	LinkFlags    Sparse
	LinkDropped  Sparse

	SpanAttrs, ResourceAttrs, ScopeAttrs, EventAttrs, LinkAttrs Attrs

	minStart, maxEnd          uint64
	firstArrival, lastArrival int64

	id uint64 // see View.ID
}

// Table is a columnar set of spans that one goroutine fills. Only that goroutine may use it. Others may call
// [Table.View] and [Table.Bytes], under the lock that protects the writer.
type Table struct {
	columns
	last   []uint32             // last row of each trace
	recent [recentTraces]uint32 // trace numbers by the last byte of their id: see traceNumber
	view   *View                // valid until the next change

	// From the encoded bytes of a resource or scope to its number, so that one that every request repeats is
	// stored once.
	resources, scopes map[string]uint32

	span, resource, scope, event, link AttrWriter

	limits                Limits
	losses                Losses
	events, links         int // of the current span
	lostEvents, lostLinks int // of the current span, beyond the limits
}

// recentTraces is the number of traces that traceNumber finds without the index. It is a power of two, and more
// than most requests have.
const recentTraces = 64

// tables counts the Tables made by this process.
var tables atomic.Uint64

// NewTable returns an empty Table.
func NewTable() *Table {
	t := &Table{resources: map[string]uint32{}, scopes: map[string]uint32{}}
	t.id = tables.Add(1)
	t.Strings.grams = &grams{}
	t.Strings.add(nil) // code 0 is ""
	t.span = newAttrWriter(&t.SpanAttrs, &t.Strings)
	t.resource = newAttrWriter(&t.ResourceAttrs, &t.Strings)
	t.scope = newAttrWriter(&t.ScopeAttrs, &t.Strings)
	t.event = newAttrWriter(&t.EventAttrs, &t.Strings)
	t.link = newAttrWriter(&t.LinkAttrs, &t.Strings)
	t.Limit(DefaultLimits())
	return t
}

func (t *Table) writers() []*AttrWriter {
	return []*AttrWriter{&t.span, &t.resource, &t.scope, &t.event, &t.link} // in the order of columns.attrs
}

// NewTableLike returns an empty Table with room for as much as the View has. New spans are usually like earlier
// ones, and growing each array step by step would write everything twice. Seal releases the unused memory.
func NewTableLike(v *View) *Table {
	t := NewTable()
	c := &t.columns
	c.Strings = roomyDict(&v.Strings)
	c.Strings.add(nil)
	c.TraceIDs, c.traceFirst, t.last = room(v.TraceIDs), room(v.traceFirst), room(v.traceFirst)
	c.traceIdx, c.spanIdx = roomyIndex(&v.traceIdx), roomyIndex(&v.spanIdx)
	c.SpanID, c.Parent = room(v.SpanID), room(v.Parent)
	c.Start, c.End, c.EventTime = room(v.Start), room(v.End), room(v.EventTime)
	c.Kind, c.Status = room(v.Kind), room(v.Status)
	c.LinkTraceID, c.LinkSpanID = room(v.LinkTraceID), room(v.LinkSpanID)
	old := v.columns // the methods need an addressable value
	for i, s := range old.numbers() {
		*c.numbers()[i] = room(*s)
	}
	for i, s := range old.sparse() {
		c.sparse()[i].rows, c.sparse()[i].vals = room(s.rows), room(s.vals)
	}
	for i, w := range t.writers() {
		w.expect(old.attrs()[i])
	}
	return t
}

// room returns an empty slice with capacity for s and a little more.
func room[T any](s []T) []T { return make([]T, 0, len(s)+len(s)/32) }

// Spans is the number of rows.
func (t *Table) Spans() int { return len(t.Trace) }

// Code returns the dictionary code of a string.
func (t *Table) Code(b []byte) uint32 {
	if len(b) == 0 {
		return 0
	}
	return t.Strings.add(b)
}

// Arrived records the arrival (unix ns) of the rows that are added next.
func (t *Table) Arrived(at int64) {
	if t.firstArrival == 0 {
		t.firstArrival = at
	}
	t.lastArrival = max(t.lastArrival, at)
}

// FindResource returns the resource that was added under the key.
func (t *Table) FindResource(key []byte) (number uint32, ok bool) {
	number, ok = t.resources[string(key)]
	return number, ok
}

// AddResource begins a new resource and returns its number and the writer of its attributes;
// [Table.EndResource] ends it. key is any bytes that identify the resource.
func (t *Table) AddResource(key []byte, schemaURL, dropped, extra uint32) (uint32, *AttrWriter) {
	t.view = nil
	t.resources[string(key)] = uint32(len(t.ResourceDropped))
	t.ResourceSchemaURL = append(t.ResourceSchemaURL, schemaURL)
	t.ResourceDropped = append(t.ResourceDropped, dropped)
	t.ResourceExtra = append(t.ResourceExtra, extra)
	t.resource.begin(0)
	return uint32(len(t.ResourceDropped) - 1), &t.resource
}

// EndResource ends the resource begun by AddResource.
func (t *Table) EndResource() {
	if n := t.resource.end(); n > 0 {
		t.losses.Attributes += int64(n)
		raiseLast(t.ResourceDropped, n)
	}
}

// raiseLast adds to the last count of a column.
func raiseLast(counts []uint32, by int) { counts[len(counts)-1] = raised(counts[len(counts)-1], by) }

// FindScope returns the scope that was added under the key.
func (t *Table) FindScope(key []byte) (number uint32, ok bool) {
	number, ok = t.scopes[string(key)]
	return number, ok
}

// AddScope begins a new scope of a resource; [Table.EndScope] ends it. key is any bytes that identify the scope
// and its resource.
func (t *Table) AddScope(key []byte, resource, name, version, schemaURL, dropped uint32) (uint32, *AttrWriter) {
	t.view = nil
	t.scopes[string(key)] = uint32(len(t.ScopeDropped))
	t.ScopeResource = append(t.ScopeResource, resource)
	t.ScopeName = append(t.ScopeName, name)
	t.ScopeVersion = append(t.ScopeVersion, version)
	t.ScopeSchemaURL = append(t.ScopeSchemaURL, schemaURL)
	t.ScopeDropped = append(t.ScopeDropped, dropped)
	t.scope.begin(0)
	return uint32(len(t.ScopeDropped) - 1), &t.scope
}

// EndScope ends the scope begun by AddScope.
func (t *Table) EndScope() {
	if n := t.scope.end(); n > 0 {
		t.losses.Attributes += int64(n)
		raiseLast(t.ScopeDropped, n)
	}
}

// Span is the fixed part of a span to add. Name, StatusMessage and TraceState are text, Scope is a number
// returned by AddScope, and Size is the size of the span as an OTLP message in bytes.
type Span struct {
	TraceID                                   TraceID
	SpanID, Parent                            SpanID
	Start, End                                uint64
	Kind                                      uint8
	Status                                    uint8
	Scope, Size                               uint32
	Flags                                     uint32
	DroppedAttrs, DroppedEvents, DroppedLinks uint32
	Name, StatusMessage, TraceState           []byte
}

// AddSpan begins a row and returns the writer of its attributes. It returns nil when the Table already has the
// span (same trace, id, kind and start), because clients send spans again after a lost answer. Otherwise events
// and links follow in any order, and [Table.EndSpan] ends the row.
func (t *Table) AddSpan(s *Span) *AttrWriter {
	number := t.traceNumber(s.TraceID)
	hash := hashSpan(number, s.SpanID, s.Kind, s.Start)
	for row := range t.spanIdx.candidates(hash) {
		if t.isSpan(row, number, s.SpanID, s.Kind, s.Start) {
			return nil
		}
	}
	t.view = nil
	t.events, t.links, t.lostEvents, t.lostLinks = 0, 0, 0, 0
	row := t.chain(number)
	t.spanIdx.insert(hash, t.spanHash)
	t.Trace = append(t.Trace, number)
	t.SpanID = append(t.SpanID, s.SpanID)
	t.Parent = append(t.Parent, s.Parent)
	t.Start = append(t.Start, s.Start)
	t.End = append(t.End, s.End)
	t.Name = append(t.Name, t.Code(s.Name))
	t.Kind = append(t.Kind, s.Kind)
	t.Status = append(t.Status, s.Status)
	t.Scope = append(t.Scope, s.Scope)
	t.Size = append(t.Size, s.Size)
	t.StatusMessage.set(row, t.Code(s.StatusMessage))
	t.TraceState.set(row, t.Code(s.TraceState))
	t.Flags.set(row, s.Flags)
	t.DroppedAttrs.set(row, s.DroppedAttrs)
	t.DroppedEvents.set(row, s.DroppedEvents)
	t.DroppedLinks.set(row, s.DroppedLinks)
	began := s.Start
	if began == 0 {
		began = s.End // see View.Began
	}
	if row == 0 || began < t.minStart {
		t.minStart = began
	}
	t.maxEnd = max(t.maxEnd, s.End, began)
	t.span.begin(t.Name[row])
	return &t.span
}

// isSpan reports whether a row is the span. Other spans may share all properties except one.
func (c *columns) isSpan(row, number uint32, id SpanID, kind uint8, start uint64) bool {
	return c.Trace[row] == number && c.SpanID[row] == id && c.Kind[row] == kind && c.Start[row] == start
}

// EndSpan ends the span begun by AddSpan.
func (t *Table) EndSpan() {
	attrs := t.span.end()
	if attrs+t.lostEvents+t.lostLinks == 0 { // Fast path
		return
	}
	row := uint32(len(t.Trace) - 1)
	t.DroppedAttrs.raise(row, attrs)
	t.DroppedEvents.raise(row, t.lostEvents)
	t.DroppedLinks.raise(row, t.lostLinks)
	t.losses.Attributes += int64(attrs)
	t.losses.Events += int64(t.lostEvents)
	t.losses.Links += int64(t.lostLinks)
}

// AddEvent begins an event of the last span; [Table.EndEvent] ends it. It returns nil for an event beyond the
// limit, which needs no EndEvent.
func (t *Table) AddEvent(time uint64, name []byte, dropped uint32) *AttrWriter {
	if t.events >= within(t.limits.Events) {
		t.lostEvents++
		return nil
	}
	t.events++
	event := uint32(len(t.EventSpan))
	t.EventSpan = append(t.EventSpan, uint32(len(t.Trace)-1))
	t.EventTime = append(t.EventTime, time)
	t.EventName = append(t.EventName, t.Code(name))
	t.EventDropped.set(event, dropped)
	t.event.begin(t.EventName[event])
	return &t.event
}

// EndEvent ends the event begun by AddEvent.
func (t *Table) EndEvent() {
	if n := t.event.end(); n > 0 {
		t.losses.Attributes += int64(n)
		t.EventDropped.raise(uint32(len(t.EventSpan)-1), n)
	}
}

// Link is the fixed part of a link to add.
type Link struct {
	TraceID        TraceID
	SpanID         SpanID
	TraceState     []byte
	Flags, Dropped uint32
}

// AddLink begins a link of the last span; [Table.EndLink] ends it. It returns nil for a link beyond the limit,
// which needs no EndLink.
func (t *Table) AddLink(l *Link) *AttrWriter {
	if t.links >= within(t.limits.Links) {
		t.lostLinks++
		return nil
	}
	t.links++
	link := uint32(len(t.LinkSpan))
	t.LinkSpan = append(t.LinkSpan, uint32(len(t.Trace)-1))
	t.LinkTraceID = append(t.LinkTraceID, l.TraceID)
	t.LinkSpanID = append(t.LinkSpanID, l.SpanID)
	t.LinkState.set(link, t.Code(l.TraceState))
	t.LinkFlags.set(link, l.Flags)
	t.LinkDropped.set(link, l.Dropped)
	t.link.begin(0)
	return &t.link
}

// EndLink ends the link begun by AddLink.
func (t *Table) EndLink() {
	if n := t.link.end(); n > 0 {
		t.losses.Attributes += int64(n)
		t.LinkDropped.raise(uint32(len(t.LinkSpan)-1), n)
	}
}

// traceNumber returns the number of a trace, a new one if needed. Spans of a trace arrive in groups, so the
// trace has usually occurred recently.
func (t *Table) traceNumber(id TraceID) uint32 {
	recent := &t.recent[id[len(id)-1]%recentTraces]
	if number := *recent; int(number) < len(t.TraceIDs) && t.TraceIDs[number] == id { // Fast path
		return number
	}
	number := t.findTrace(id)
	*recent = number
	return number
}

func (t *Table) findTrace(id TraceID) uint32 {
	hash := hashBytes(id[:])
	for number := range t.traceIdx.candidates(hash) {
		if t.TraceIDs[number] == id {
			return number
		}
	}
	number := uint32(len(t.TraceIDs))
	t.TraceIDs = append(t.TraceIDs, id)
	t.traceIdx.insert(hash, t.traceHash)
	return number
}

func (t *Table) traceHash(number uint32) uint32 { return hashBytes(t.TraceIDs[number][:]) }

func (t *Table) spanHash(row uint32) uint32 {
	return hashSpan(t.Trace[row], t.SpanID[row], t.Kind[row], t.Start[row])
}

// chain appends a new row to the chain of its trace and returns it.
func (t *Table) chain(number uint32) uint32 {
	row := uint32(len(t.Trace))
	t.next = append(t.next, 0)
	if int(number) == len(t.last) {
		t.last = append(t.last, row)
		t.traceFirst = append(t.traceFirst, row)
		return row
	}
	setNext(t.next, t.last[number], row)
	t.last[number] = row
	return row
}

// View returns the complete rows. It does not change while the Table grows, and any goroutine may read it. View
// returns the same View until a row is added.
func (t *Table) View() *View {
	if t.view != nil {
		return t.view
	}
	v := &View{columns: t.columns}
	v.SpanAttrs = t.SpanAttrs.view(&v.Strings)
	v.ResourceAttrs = t.ResourceAttrs.view(&v.Strings)
	v.ScopeAttrs = t.ScopeAttrs.view(&v.Strings)
	v.EventAttrs = t.EventAttrs.view(&v.Strings)
	v.LinkAttrs = t.LinkAttrs.view(&v.Strings)
	t.view = v
	return v
}

// Seal releases the slack of growing. No row may be added afterwards.
func (t *Table) Seal() {
	t.view = nil
	t.last, t.resources, t.scopes = nil, nil, nil
	c := &t.columns
	c.Strings.data, c.Strings.ends = clip(c.Strings.data), clip(c.Strings.ends)
	c.TraceIDs, c.traceFirst = clip(c.TraceIDs), clip(c.traceFirst)
	c.SpanID, c.Parent = clip(c.SpanID), clip(c.Parent)
	c.Start, c.End, c.EventTime = clip(c.Start), clip(c.End), clip(c.EventTime)
	c.Kind, c.Status = clip(c.Kind), clip(c.Status)
	c.LinkTraceID, c.LinkSpanID = clip(c.LinkTraceID), clip(c.LinkSpanID)
	for _, s := range c.numbers() {
		*s = clip(*s)
	}
	for _, s := range c.sparse() {
		s.clip()
	}
	for _, a := range c.attrs() {
		a.clip()
	}
	// The writers' maps are only needed for adding.
	t.span, t.resource, t.scope, t.event, t.link = AttrWriter{}, AttrWriter{}, AttrWriter{}, AttrWriter{}, AttrWriter{}
}

// Bytes is the memory of the columns, including slack.
func (t *Table) Bytes() int { return t.columns.bytes() }

// numbers returns the columns of codes, rows and numbers.
func (c *columns) numbers() []*[]uint32 {
	return []*[]uint32{&c.Trace, &c.Name, &c.Scope, &c.Size, &c.next, &c.EventSpan, &c.EventName, &c.LinkSpan}
}

func (c *columns) sparse() []*Sparse {
	return []*Sparse{&c.StatusMessage, &c.TraceState, &c.Flags, &c.DroppedAttrs, &c.DroppedEvents, &c.DroppedLinks,
		&c.EventDropped, &c.LinkState, &c.LinkFlags, &c.LinkDropped}
}

func (c *columns) attrs() []*Attrs {
	return []*Attrs{&c.SpanAttrs, &c.ResourceAttrs, &c.ScopeAttrs, &c.EventAttrs, &c.LinkAttrs}
}

func (c *columns) bytes() int {
	n := c.Strings.bytes()
	n += 16*(cap(c.TraceIDs)+cap(c.LinkTraceID)) + 4*(len(c.traceIdx.slots)+len(c.spanIdx.slots))
	n += 8 * (cap(c.SpanID) + cap(c.Parent) + cap(c.Start) + cap(c.End) + cap(c.EventTime) + cap(c.LinkSpanID))
	n += cap(c.Kind) + cap(c.Status)
	for _, s := range c.numbers() {
		n += 4 * cap(*s)
	}
	n += 4*cap(c.traceFirst) + 4*8*(cap(c.ScopeName)+cap(c.ResourceDropped))
	for _, s := range c.sparse() {
		n += s.bytes()
	}
	for _, a := range c.attrs() {
		n += a.bytes()
	}
	return n
}

// clip copies a slice to an array of its exact size, unless it would save little.
func clip[T any](s []T) []T {
	if cap(s)-len(s) <= len(s)/16 {
		return s
	}
	return slices.Clip(append([]T(nil), s...))
}
