package write

import (
	"encoding/hex"
	"strings"

	"github.com/parquet-go/parquet-go/format"

	"etude/store/block/layout"
	"etude/trace"
)

// Shredding turns the traces of a row group into columns, as the Dremel paper describes: each column gets a
// value or a null for every row of its level, with a repetition level (which list goes on) and a definition
// level (how deep the row exists).
//
// The levels of a column depend only on its owner, except where values may be absent or repeat. So the shredder
// walks the traces once and records the slots of each owner. The columns of one owner share the slots and their
// encoded levels. Then the shredder copies values, one column at a time, directly from the columns of the
// Views.
//
// The slots of every owner begin new pages at the same traces.

const intColumn = format.Int64

// levelOf returns the level of an owner's attributes. If the owner itself is an attribute, it returns that
// attribute's level.
var levelOf = map[layout.Owner]trace.Level{layout.OfSpanAttr: trace.SpanLevel, layout.OfResourceAttr: trace.ResourceLevel, layout.OfScopeAttr: trace.ScopeLevel,
	layout.OfEventAttr: trace.EventLevel, layout.OfLinkAttr: trace.LinkLevel,
	layout.OfSpan: trace.SpanLevel, layout.OfResource: trace.ResourceLevel, layout.OfScope: trace.ScopeLevel, layout.OfEvent: trace.EventLevel, layout.OfLink: trace.LinkLevel}

// rows are the slots of an owner: one for each row and one for each empty list.
type rows struct {
	rep, def []uint8
	ends     []int   // of each page
	at       []place // of the rows that exist
	encoded  encodedLevels
}

func (r *rows) reset(pages int) {
	r.rep, r.def, r.at = r.rep[:0], r.def[:0], r.at[:0]
	if r.ends = r.ends[:0]; cap(r.ends) < pages {
		r.ends = make([]int, 0, pages)
	}
	r.encoded.reset()
}

func (r *rows) add(rep, def uint8) { r.rep, r.def = append(r.rep, rep), append(r.def, def) }
func (r *rows) endPage()           { r.ends = append(r.ends, len(r.def)) }

// shredder holds one row group. The writer reuses it for the next row group.
type shredder struct {
	plan      *plan
	own       [trace.Levels]*ownColumns
	pageSpans int // of a page, at most about
	pageBytes int // the same, in bytes
	texts     *texts
	keys      *numbering
	orders    *numbering

	pages  int // of the row group
	rows   [layout.Owners]rows
	attrs  [trace.Levels]attrRows
	nested nested
	spread spread
	from   int // number in spread of the first span of the row group
	spans  spanColumns
	direct [trace.Levels]bool       // see shreddirect.go
	ownRep [trace.Levels]levelPages // of the own columns of a direct level
	extra  extraWriter

	traces                                       []shredTrace
	stats                                        []serviceStat
	statIndex                                    map[uint32]int
	scopeSpans                                   []int32 // by scope
	left, right, parentLeft, children            []int32 // by span
	minStart, maxEnd                             uint64
	valueColumns                                 valueColumns
	valuesFor                                    layout.Owner // the owner whose list is in valueColumns; ofTrace: none
	ownRows                                      rows
	slots                                        []uint32     // of the rows of slotsFor
	slotsFor                                     layout.Owner // OfTrace: none
	distinct                                     [trace.Levels]distinct
	once                                         onceValues
	prepared, indirect                           bool
	code                                         []byte
	resourceEnds, scopeEnds, eventEnds, linkEnds []int // by trace: number of rows up to the trace's end
}

// shredTrace is one row of the file.
type shredTrace struct {
	id                    trace.TraceID
	start, end            uint64
	rootService, rootName uint32 // numbers in texts
	spans                 int    // number of spans up to the trace's end
}

// serviceStat counts the spans of one service in a trace.
type serviceStat struct {
	service, spans, errors uint32
}

// begin prepares for a block. With a nil plan it releases the previous block.
func (g *shredder) begin(p *plan, pageSpans, pageBytes int) {
	g.plan, g.pageSpans, g.pageBytes, g.texts, g.keys, g.orders, g.prepared = p, pageSpans, pageBytes, nil, nil, nil, false
	g.spread.own, g.spread.inverse = nil, nil
	for l := range g.distinct {
		g.distinct[l].places = g.distinct[l].places[:0]
	}
	if p == nil {
		return
	}
	g.texts, g.keys, g.orders = newTexts(p.sources), newNumbering(), newNumbering()
	g.statIndex = map[uint32]int{}
	for _, s := range p.sources {
		s.forget()
	}
}

// load shreds the traces of a row group.
func (g *shredder) load(group *planGroup) {
	g.from = group.from
	g.pages, g.valuesFor, g.slotsFor = 0, layout.OfTrace, layout.OfTrace
	for i := range g.rows {
		g.rows[i].reset(8)
	}
	g.traces, g.stats, g.scopeSpans = g.traces[:0], g.stats[:0], g.scopeSpans[:0]
	g.left, g.right, g.parentLeft, g.children = g.left[:0], g.right[:0], g.parentLeft[:0], g.children[:0]
	g.resourceEnds, g.scopeEnds, g.eventEnds, g.linkEnds = g.resourceEnds[:0], g.scopeEnds[:0], g.eventEnds[:0], g.linkEnds[:0]
	g.minStart, g.maxEnd = 0, 0
	g.spans.resize(group.spans)
	g.rows[layout.OfSpan].at = g.spread.at[g.from : g.from+group.spans]
	spans, bytes := 0, 0 // of the page
	for i := range group.traces {
		t := &group.traces[i]
		if spans >= g.pageSpans || spans > 0 && bytes+t.bytes > g.pageBytes {
			g.endPage()
			spans, bytes = 0, 0
		}
		g.addTrace(t)
		spans, bytes = spans+t.spans, bytes+t.bytes
	}
	g.endPage()
	for _, l := range [...]trace.Level{trace.ScopeLevel, trace.ResourceLevel} {
		if g.direct[l] {
			g.number(l)
		}
	}
	for l := range trace.Levels {
		if g.direct[l] {
			g.shredDirect(trace.Level(l), layout.OwnerOf[l])
		} else {
			g.shredAttrs(trace.Level(l), layout.OwnerOf[l])
		}
	}
}

func (g *shredder) endPage() {
	g.pages++
	for of := layout.OfTrace; of <= layout.OfLink; of++ {
		g.rows[of].endPage()
	}
}

func (g *shredder) addTrace(t *planTrace) {
	first := len(g.rows[layout.OfSpan].def)
	places := g.spread.at[g.from+first : g.from+first+t.spans]
	g.rows[layout.OfTrace].add(0, 0)
	g.addSpans(places)
	row := shredTrace{id: t.id, spans: first + len(places)}
	g.addTree(first, row.spans)
	g.addTimes(&row, first, row.spans)
	g.addStats(places)
	g.addRoot(&row, places)
	g.traces = append(g.traces, row)
	g.resourceEnds, g.scopeEnds = append(g.resourceEnds, len(g.rows[layout.OfResource].at)), append(g.scopeEnds, len(g.rows[layout.OfScope].at))
	g.eventEnds, g.linkEnds = append(g.eventEnds, len(g.rows[layout.OfEvent].at)), append(g.linkEnds, len(g.rows[layout.OfLink].at))
}

// addSpans writes the slots of the spans of a trace and of their children. It repeats a resource or scope
// wherever the previous span has a different one, so that the spans keep the order of arrival.
func (g *shredder) addSpans(places []place) {
	resources, scopes, spans := &g.rows[layout.OfResource], &g.rows[layout.OfScope], &g.rows[layout.OfSpan]
	var last place
	var scope, resource uint32
	for i, p := range places {
		s := g.plan.sources[p.src]
		rep := uint8(3)
		newScope, newResource := s.v.Scope[p.row], s.v.Resource(p.row)
		switch {
		case i == 0:
			rep = 0
		case p.src != last.src || newResource != resource:
			rep = 1
		case newScope != scope:
			rep = 2
		}
		last, scope, resource = p, newScope, newResource
		if rep <= 1 {
			resources.add(rep, 1)
			resources.at = append(resources.at, place{p.src, resource})
		}
		if rep <= 2 {
			scopes.add(rep, 2)
			scopes.at = append(scopes.at, place{p.src, scope})
			g.scopeSpans = append(g.scopeSpans, 0)
		}
		g.scopeSpans[len(g.scopeSpans)-1]++
		spans.add(rep, 3)
		g.spans.set(len(spans.def)-1, s, p.row)
		addChildren(&g.rows[layout.OfEvent], p.src, rep, s.events[p.row], s.events[p.row+1])
		addChildren(&g.rows[layout.OfLink], p.src, rep, s.links[p.row], s.links[p.row+1])
	}
}

// addChildren writes the slots of the events or links of a span.
func addChildren(r *rows, src uint32, rep uint8, from, to uint32) {
	if from == to {
		r.add(rep, 3)
		return
	}
	for row := from; row < to; row++ {
		r.add(rep, 4)
		r.at = append(r.at, place{src, row})
		rep = 4
	}
}

// spanColumns has columns of the spans of a row group, in the order of the file.
type spanColumns struct {
	ids, parents []trace.SpanID
	start, end   []uint64
	kind, status []uint8
	name         []uint32 // numbers of texts
}

func (c *spanColumns) resize(n int) {
	*c = spanColumns{resized(c.ids, n), resized(c.parents, n), resized(c.start, n), resized(c.end, n), resized(c.kind, n), resized(c.status, n), resized(c.name, n)}
}

// resized returns a slice of n elements of any value, in the memory of s if there is enough.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}

func (c *spanColumns) set(i int, s *source, row uint32) {
	v := s.v
	c.ids[i], c.parents[i] = v.SpanID[row], v.Parent[row]
	c.start[i], c.end[i] = v.Start[row], v.End[row]
	c.kind[i], c.status[i] = v.Kind[row], v.Status[row]
	c.name[i] = s.textOf(v.Name[row])
}

// addTree computes the tree of a trace, whose spans are those from first to end.
func (g *shredder) addTree(first, end int) {
	c, n := &g.spans, &g.nested
	n.compute(nestedSpans{c.ids[first:end], c.parents[first:end], c.kind[first:end]})
	g.left, g.right = append(g.left, n.left...), append(g.right, n.right...)
	g.parentLeft, g.children = append(g.parentLeft, n.parentLeft...), append(g.children, n.children...)
}

// addTimes sets when the trace began and ended: the least start other than 0, and the greatest end.
func (g *shredder) addTimes(t *shredTrace, first, last int) {
	for i := first; i < last; i++ {
		start, end := g.spans.start[i], g.spans.end[i]
		began := start
		if start == 0 {
			began = end
		} else if t.start == 0 || start < t.start {
			t.start = start
		}
		t.end = max(t.end, end)
		if i == 0 || began < g.minStart {
			g.minStart = began
		}
		g.maxEnd = max(g.maxEnd, end, began)
	}
}

// serviceOf returns the number of the service name of a span's resource.
func (g *shredder) serviceOf(p place) uint32 {
	s := g.plan.sources[p.src]
	return g.serviceName(s, s.v.Resource(p.row))
}

// serviceName returns the number of a resource's ServiceName: its last plain string.
func (g *shredder) serviceName(s *source, resource uint32) uint32 {
	if s.service == nil {
		s.service = make([]uint32, s.v.Resources())
	}
	if n := s.service[resource]; n != 0 { // Fast path
		return n - 1
	}
	n := g.findService(s, resource)
	s.service[resource] = n + 1
	return n
}

func (g *shredder) findService(s *source, resource uint32) uint32 {
	if s.named == nil {
		if s.named = s.v.ResourceAttrs.Find(layout.ServiceKey, trace.String); s.named == nil {
			s.named = &trace.Column{}
		}
	}
	from, to := s.named.Range(resource)
	if from == to {
		return 0
	}
	return g.texts.same(s.textOf(s.named.Codes[to-1]))
}

func (g *shredder) addStats(places []place) {
	from := len(g.stats)
	var last *serviceStat
	var lastPlace place
	for i, p := range places {
		s := g.plan.sources[p.src]
		if i == 0 || p.src != lastPlace.src || s.v.Resource(p.row) != s.v.Resource(lastPlace.row) {
			last = g.statOf(from, g.serviceOf(p))
		}
		lastPlace = p
		last.spans++
		if s.v.Status[p.row] == uint8(trace.StatusError) {
			last.errors++
		}
	}
	for i := from; i < len(g.stats); i++ {
		g.rows[layout.OfStats].add(uint8(min(i-from, 1)), 1)
	}
}

func (g *shredder) statOf(from int, service uint32) *serviceStat {
	if len(g.stats) == from {
		clear(g.statIndex)
	}
	i, ok := g.statIndex[service]
	if !ok {
		i = len(g.stats)
		g.statIndex[service] = i
		g.stats = append(g.stats, serviceStat{service: service})
	}
	return &g.stats[i]
}

// addRoot finds the last span without a parent that does not say it has one.
func (g *shredder) addRoot(t *shredTrace, places []place) {
	for i := len(places) - 1; i >= 0; i-- {
		p := places[i]
		s := g.plan.sources[p.src]
		if s.v.Parent[p.row].IsZero() && !childByLink(s, p.row, t.id) {
			t.rootName = s.textOf(s.v.Name[p.row])
			t.rootService = g.serviceOf(p)
			return
		}
	}
}

// childByLink reports whether a span has a link of its own trace that OpenTracing
// marks as the parent.
func childByLink(s *source, row uint32, id trace.TraceID) bool {
	for link := s.links[row]; link < s.links[row+1]; link++ {
		if s.v.LinkTraceID[link] != id {
			continue
		}
		for key, value := range s.v.LinkAttrs.Of(link) {
			if key == "opentracing.ref_type" && value.Type == trace.String && value.Str() == "child_of" {
				return true
			}
		}
	}
	return false
}

// shortID returns a trace id in hex without leading zeros.
func shortID(dst []byte, id trace.TraceID) []byte {
	from := len(dst)
	dst = hex.AppendEncode(dst, id[:])
	short := strings.TrimLeft(string(dst[from:]), "0")
	return append(dst[:from], short...)
}
