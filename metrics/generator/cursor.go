package generator

import (
	"etude/trace"
)

// cursor is how far a Table has been read, and what has been found out about its
// rows. What it has found out is forgotten when the Table grows no more.
type cursor struct {
	id      uint64
	rows    int   // read
	arrival int64 // of the newest row read, unix ns
	round   uint64

	removals  uint64 // of the registry, when the entries were made
	entries   map[rowKey]*entry
	pickers   [classes]picker
	ratio     ratio
	resources []*resource // by number; nil where not needed yet
}

// rowKey is all that what a row counts for depends on: scope<<32 | name, and the
// picked attributes<<16 | kind<<8 | status. Two words are hashed faster than a
// struct of six fields.
type rowKey [2]uint64

// entry is what rows with one rowKey count for.
type entry struct {
	spans    *group    // or nil
	edge     *endpoint // or nil
	resource *resource
	drops    [2]drop // why spans and edge are nil; counted if they are not dropped
}

// class is what the picked attributes depend on: other sides are named by other
// attributes. A caller's address, say, is different for each call that a server
// gets, and matters to nobody.
type class uint8

const (
	inner class = iota
	caller
	callee
	classes
)

// classOf is by kind.
var classOf = func() (of [256]class) {
	of[trace.KindClient], of[trace.KindProducer] = caller, caller
	of[trace.KindServer], of[trace.KindConsumer] = callee, callee
	return of
}()

// cursorOf returns the cursor of a Table, which it may make.
func (g *Generator) cursorOf(v *trace.View) *cursor {
	c := g.cursors[v.ID()]
	if c == nil {
		c = &cursor{id: v.ID()}
		c.arrival, _ = v.Arrivals()
		g.cursors[c.id] = c
	}
	return c
}

// prepare makes the cursor ready to read.
func (g *Generator) prepare(c *cursor, v *trace.View) {
	if c.entries == nil || c.removals != g.registry.removals {
		*c = cursor{id: c.id, rows: c.rows, arrival: c.arrival, round: c.round, removals: g.registry.removals, entries: map[rowKey]*entry{}}
		for i := range c.pickers {
			c.pickers[i] = newPicker(g.keys[i], g.o.SpanMetrics.StatusMessage)
		}
		c.ratio = ratio{key: g.o.SpanMetrics.MultiplierKey, tracestate: g.o.SpanMetrics.TracestateMultiplier}
	}
	for i := range c.pickers {
		c.pickers[i].look(v)
	}
	c.ratio.look(v)
}

// rest forgets what only a growing Table needs.
func (c *cursor) rest() {
	c.entries, c.pickers, c.resources = nil, [classes]picker{}, nil
}

// advance reads the rows that have come. A span may end as much as the slack
// before the earliest moment at which it can have arrived, or after the latest.
func (g *Generator) advance(c *cursor, v *trace.View, now int64) {
	g.prepare(c, v)
	_, latest := v.Arrivals()
	earliest := max(c.arrival, g.lastRead)
	first, last := uint64(max(0, earliest-int64(g.o.Slack))), uint64(latest+int64(g.o.Slack))
	weighs := c.ratio.on()
	var drops [numDrops]int64
	for row := uint32(c.rows); int(row) < v.Spans(); row++ {
		if end := v.End[row]; end < first || end > last {
			drops[outsideSlack]++
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

// touch keeps what describes the resource from being removed.
func (r *resource) touch(now int64) {
	if r.target != nil {
		r.target.touch(now)
	}
	if r.host != nil {
		r.host.touch(now)
	}
}

// enter finds out what a row counts for.
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
