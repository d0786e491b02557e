package eval

import (
	"slices"

	"etude/trace"
)

// Ref is a span: a row of one of the Views that a query reads.
type Ref struct {
	View int
	Row  uint32
}

// Trace is one trace of a query: all its rows from all Views, each span once. Spans are in stored order, older
// Views first. A Trace can load one trace after another and reuses its memory.
type Trace struct {
	ID         trace.TraceID
	Spans      []Ref
	Start, End uint64 // of the whole trace, unix nanoseconds
	Split      bool   // it has rows in several Views

	// Memory, if set, counts the memory of a Trace that a caller loads directly. A Run does its own counting.
	Memory Memory

	views  []*trace.View // by part; nil if the part does not have the trace
	found  []in
	seen   map[spanKey]bool
	most   int // most entries for which seen had room
	tree   tree
	rooted bool // root is known
	root   int  // index of the root span, or -1
}

// spanKey identifies a span of a trace. The id is not enough: a client and a server may share one, and a faulty
// sender may reuse one at another time.
type spanKey struct {
	id    trace.SpanID
	kind  uint8
	start uint64
}

// Load makes t the trace with an id, from Views with all of its spans. It skips nil Views. It reports whether
// the trace has any span.
func (t *Trace) Load(views []*trace.View, id trace.TraceID) bool {
	t.views, t.found = views, t.found[:0]
	lookup := id.Lookup()
	for i, v := range views {
		if v == nil {
			continue
		}
		if number, ok := lookup.In(v); ok {
			t.found = append(t.found, in{i, number})
		}
	}
	return t.fill(id)
}

// load is [Parts.Load].
func (t *Trace) load(p *Parts, id trace.TraceID) (bool, error) {
	if err := t.open(p, id); err != nil {
		return false, err
	}
	return t.fill(id), nil
}

// fill takes the rows at the found places. It reports whether there are any.
func (t *Trace) fill(id trace.TraceID) bool {
	if t.Spans == nil {
		t.Spans = make([]Ref, 0, 16) // most traces have at most 16 spans
	}
	t.ID, t.Spans = id, t.Spans[:0]
	t.Start, t.End = ^uint64(0), 0
	t.tree.built, t.rooted = false, false
	for _, at := range t.found {
		v, before := t.views[at.view], len(t.Spans)
		for row := range v.Rows(at.number) {
			t.Spans = append(t.Spans, Ref{View: at.view, Row: row})
			t.cover(v.Began(row), v.End[row])
		}
		if t.Memory != nil && t.Memory.Take((len(t.Spans)-before)*spanBytes, Progress{Format: "a trace of %d spans", A: len(t.Spans)}) != nil {
			break
		}
	}
	if t.End == 0 {
		t.Start = 0
	}
	if t.Split = len(t.found) > 1; t.Split { // a single View has each span once
		t.dropRepeated()
	}
	return len(t.Spans) > 0
}

// open finds the places of a trace and opens their parts.
func (t *Trace) open(p *Parts, id trace.TraceID) (err error) {
	for _, at := range t.found {
		t.views[at.view] = nil
	}
	if len(t.views) != len(p.list) {
		t.views = make([]*trace.View, len(p.list))
	}
	t.Spans = t.Spans[:0]
	if t.found, err = p.find(t.found[:0], id); err != nil {
		t.found = t.found[:0]
		return err
	}
	for i := range t.found {
		at := &t.found[i]
		if t.views[at.view], at.number, err = p.wholeTrace(*at); err != nil {
			t.found = t.found[:i]
			return err
		}
	}
	return nil
}

// cover extends the trace to the times of a span. A span without times does not extend the trace.
func (t *Trace) cover(began, end uint64) {
	if began > 0 {
		t.Start, t.End = min(t.Start, began), max(t.End, began, end)
	}
}

func (t *Trace) dropRepeated() {
	t.seen, t.most = emptied(t.seen, t.most, len(t.Spans))
	t.Spans = slices.DeleteFunc(t.Spans, func(r Ref) bool {
		v := t.views[r.View]
		key := spanKey{v.SpanID[r.Row], v.Kind[r.Row], v.Start[r.Row]}
		repeated := t.seen[key]
		t.seen[key] = true
		return repeated
	})
}

// emptied returns an empty map for n entries. It reuses the map unless that has room for many times as many
// entries: clearing a map takes time proportional to its room, and one huge trace must not slow down all
// following traces.
func emptied[K comparable, V any](m map[K]V, room, n int) (map[K]V, int) {
	room = max(room, len(m))
	if m == nil || room > 1024 && room/64 > n {
		return make(map[K]V, n), n
	}
	clear(m)
	return m, max(room, n)
}

// View returns the View of a span.
func (t *Trace) View(r Ref) *trace.View { return t.views[r.View] }

// Duration is the time from the first start to the last end in nanoseconds.
func (t *Trace) Duration() int64 { return trace.Took(t.Start, t.End) }

// HasRoot reports whether the trace has its root span.
func (t *Trace) HasRoot() bool {
	t.Root()
	return t.root >= 0
}

// Root returns the name and service of the root span; empty without one.
func (t *Trace) Root() (name, service string) {
	if !t.rooted {
		t.root, t.rooted = t.findRoot(), true
	}
	if t.root < 0 {
		return "", ""
	}
	r := t.Spans[t.root]
	v := t.View(r)
	return v.Text(v.Name[r.Row]), Service(v, r.Row)
}

// findRoot returns the last span without a parent. It ignores spans whose parent is given by a link.
func (t *Trace) findRoot() int {
	for i := len(t.Spans) - 1; i >= 0; i-- {
		r := t.Spans[i]
		v := t.View(r)
		if v.Parent[r.Row].IsZero() && !t.childByLink(v, r.Row) {
			return i
		}
	}
	return -1
}

// childByLink reports whether the span names its parent by an OpenTracing link.
func (t *Trace) childByLink(v *trace.View, row uint32) bool {
	from, to := v.Links(row)
	for link := from; link < to; link++ {
		ref, _ := v.LinkAttrs.Value(link, refType)
		if v.LinkTraceID[link] == t.ID && ref.Type == trace.String && ref.Str() == "child_of" {
			return true
		}
	}
	return false
}

// Service returns the service.name of a span's resource, "" when it has none.
func Service(v *trace.View, row uint32) string {
	return resourceService(v, v.Resource(row))
}

func resourceService(v *trace.View, resource uint32) string {
	name, _ := v.ResourceAttrs.Value(resource, serviceName)
	if name.Type != trace.String {
		return ""
	}
	return name.Str()
}
