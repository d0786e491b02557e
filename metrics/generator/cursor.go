package generator

import (
	"etude/trace"
)

// cursor is the number of rows read from a Table, with the entries for these rows. For a Table that no longer
// grows, only the number is kept.
type cursor struct {
	id      uint64
	rows    int   // number of rows read
	arrival int64 // of the newest row read, unix ns
	round   uint64

	removals  uint64 // of the registry, when the entries were made
	entries   map[rowKey]*entry
	pickers   [classes]picker
	ratio     ratio
	resources []*resource // by number; nil until needed
	continued []bool      // by number of a trace, see earlier
}

// rowKey identifies the series of a row: scope<<32 | name, and picked attributes<<16 | kind<<8 | status.
// Hashing two words is faster than hashing a struct of six fields.
type rowKey [2]uint64

// entry has the series that the rows of one rowKey add to.
type entry struct {
	spans    *group    // or nil
	edge     *endpoint // or nil
	resource *resource
	drops    [2]drop // why spans and edge are nil; drop's zero value means that nothing was dropped
}

// class selects the set of attributes to pick for a kind of span. Client spans and server spans name their peer
// by different attributes. Picking attributes that no series needs, such as the client's address of a server
// span, would only make more entries.
type class uint8

const (
	inner class = iota
	caller
	callee
	classes
)

// classOf maps span kinds to classes.
var classOf = func() (of [256]class) {
	of[trace.KindClient], of[trace.KindProducer] = caller, caller
	of[trace.KindServer], of[trace.KindConsumer] = callee, callee
	return of
}()

// cursorOf returns the cursor of a Table, and makes it if needed.
func (g *Generator) cursorOf(v *trace.View) *cursor {
	c := g.cursors[v.ID()]
	if c == nil {
		c = &cursor{id: v.ID()}
		c.arrival, _ = v.Arrivals()
		g.cursors[c.id] = c
	}
	return c
}

// prepare makes the cursor ready to read new rows of the View.
func (g *Generator) prepare(c *cursor, v *trace.View) {
	if c.entries == nil || c.removals != g.registry.removals {
		*c = cursor{id: c.id, rows: c.rows, arrival: c.arrival, round: c.round, continued: c.continued, removals: g.registry.removals, entries: map[rowKey]*entry{}}
		for i := range c.pickers {
			c.pickers[i] = newPicker(g.keys[i], g.o.SpanMetrics.StatusMessage)
		}
		c.ratio = ratio{key: g.o.SpanMetrics.MultiplierKey, tracestate: g.o.SpanMetrics.TracestateMultiplier}
	}
	for i := range c.pickers {
		c.pickers[i].findColumns(v)
	}
	c.ratio.findColumns(v)
}

// forgetEntries drops the entries, which only a growing Table needs.
func (c *cursor) forgetEntries() {
	c.entries, c.pickers, c.resources, c.continued = nil, [classes]picker{}, nil, nil
}

// advance reads the new rows. A span may end up to the slack before the earliest possible time of its arrival,
// or after the latest.
// It leaves out spans that an earlier Table has.
func (g *Generator) advance(c *cursor, v *trace.View, old earlier, now int64) {
	g.prepare(c, v)
	_, latest := v.Arrivals()
	earliest := max(c.arrival, g.lastRead)
	first, last := uint64(max(0, earliest-int64(g.o.Slack))), uint64(latest+int64(g.o.Slack))
	old.lookUp(c, v)
	weighs := c.ratio.on()
	var drops [numDrops]int64
	for row := uint32(c.rows); int(row) < v.Spans(); row++ {
		if end := v.End[row]; end < first || end > last {
			drops[outsideSlack]++
			continue
		}
		if v.Start[row] <= old.latest && c.continued[v.Trace[row]] && old.has(c, v, row) {
			drops[sentAgain]++
			continue
		}
		kind := v.Kind[row]
		picked := c.pickers[classOf[kind]].pick(v, row)
		key := rowKey{uint64(v.Scope[row])<<32 | uint64(v.Name[row]), uint64(picked)<<16 | uint64(kind)<<8 | uint64(v.Status[row])}
		e := c.entries[key]
		if e == nil { // Slow path
			e = g.enter(c, v, row)
			c.entries[key] = e
		}
		if s := e.spans; s != nil { // Fast path
			weight := 1.0
			if weighs {
				weight = c.ratio.weight(v, row, e.resource.number)
			}
			s.touch(now)
			s.counters[calls].value += weight
			s.counters[bytes].value += float64(v.Size[row])
			if h := s.histograms[latency]; h != nil {
				h.observe(seconds(v.Duration(row)), weight, v.TraceIDs[v.Trace[row]])
			}
		} else {
			drops[e.drops[0]]++
		}
		if e.edge != nil {
			if !g.graph.add(e.edge, v, row, now) {
				drops[edgesFull]++
			}
		} else {
			drops[e.drops[1]]++
		}
		e.resource.touch(now)
	}
	g.readRows(c, v, drops)
	c.rows, c.arrival = v.Spans(), max(c.arrival, latest)
}

func (g *Generator) readRows(c *cursor, v *trace.View, drops [numDrops]int64) {
	read := int64(v.Spans() - c.rows)
	g.taken += read
	g.count.spans.Add(read)
	for i, n := range drops {
		if n > 0 && drop(i) != counted {
			g.count.dropped[i].Add(n)
		}
	}
}

// touch keeps the series that describe the resource from being removed.
func (r *resource) touch(now int64) {
	if r.target != nil {
		r.target.touch(now)
	}
	if r.host != nil {
		r.host.touch(now)
	}
}

// enter makes the entry of a row.
func (g *Generator) enter(c *cursor, v *trace.View, row uint32) *entry {
	s := span{v: v, row: row, resource: g.resourceOf(c, v, row)}
	e := &entry{resource: s.resource}
	if g.spans != nil {
		if !passes(g.spans.filters, &s) {
			e.drops[0] = filteredSpanMetrics
		} else if e.spans = g.registry.get(&g.spans.schema, s.resource.service, g.spans.labelsOf(&s)); e.spans == nil {
			e.drops[0] = invalidUTF8
		}
	}
	if g.graph != nil {
		if !passes(g.graph.filters, &s) {
			e.drops[1] = filteredServiceGraph
		} else {
			e.edge = g.graph.endpoint(&s)
		}
	}
	return e
}

func (g *Generator) resourceOf(c *cursor, v *trace.View, row uint32) *resource {
	number := v.Resource(row)
	for int(number) >= len(c.resources) {
		c.resources = append(c.resources, nil)
	}
	r := c.resources[number]
	if r == nil {
		r = newResource(v, number)
		g.info.describe(g.registry, v, r)
		c.resources[number] = r
	}
	return r
}
