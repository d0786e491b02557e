package block

import (
	"fmt"
	"math"

	"github.com/parquet-go/parquet-go/format"
)

// fill gathers a column of the row group: its slots, and the values from the
// columns of the Views.
func (g *shredder) fill(l *leaf, c *columnData, d *chunkDict) error {
	c.reset()
	if l.enc == format.RLEDictionary {
		t := g.texts
		if l.field == fieldKey {
			t = g.keys
		}
		d.begin(t.len())
	}
	if l.isOwn() {
		g.fillOwn(l, c, d)
		return nil
	}
	c.of(&g.rows[l.of])
	switch l.of {
	case ofTrace:
		g.fillTrace(l, c, d)
	case ofStats:
		g.fillStats(l, c, d)
	case ofResource:
		fillDropped(c, g.rows[ofResource].at, g, func(s *source) []uint32 { return s.v.ResourceDropped })
	case ofScope:
		g.fillScope(l, c, d)
	case ofSpan:
		g.fillSpan(l, c, d)
	case ofEvent:
		g.fillEvent(l, c, d)
	case ofLink:
		g.fillLink(l, c, d)
	default:
		g.fillAttr(l, c, d)
	}
	if n := c.values(l); l.maxDef == 0 && n != len(c.def) {
		return fmt.Errorf("column %s has %d values for %d rows", l.name(), n, len(c.def))
	}
	return nil
}

// values is how many values a column has.
func (c *columnData) values(l *leaf) int {
	switch {
	case l.enc == format.RLEDictionary:
		return len(c.codes)
	case l.typ == format.ByteArray:
		return len(c.offsets) - 1
	case l.typ == format.Int32:
		return len(c.i32)
	case l.typ == format.Int64:
		return len(c.i64)
	case l.typ == format.Double:
		return len(c.f64)
	}
	return len(c.bools)
}

// put appends a text to a column with or without a dictionary.
func (g *shredder) put(l *leaf, c *columnData, d *chunkDict, number uint32) {
	if l.enc == format.RLEDictionary {
		d.add(c, g.texts, number)
	} else {
		c.text(g.texts.get(uint32(number)))
	}
}

func (g *shredder) fillTrace(l *leaf, c *columnData, d *chunkDict) {
	for i := range g.traces {
		t := &g.traces[i]
		switch l.field {
		case fieldID:
			c.bytes = append(c.bytes, t.id[:]...)
			c.offsets = append(c.offsets, uint32(len(c.bytes)))
		case fieldIDText:
			c.bytes = shortID(c.bytes, t.id)
			c.offsets = append(c.offsets, uint32(len(c.bytes)))
		case fieldStart:
			c.i64 = append(c.i64, int64(t.start))
		case fieldEnd:
			c.i64 = append(c.i64, int64(t.end))
		case fieldDuration:
			c.i64 = append(c.i64, int64(t.end-t.start))
		case fieldRootService:
			d.add(c, g.texts, t.rootService)
		case fieldRootName:
			d.add(c, g.texts, t.rootName)
		case fieldEtude:
			c.bytes = g.extra(c.bytes, i)
			c.offsets = append(c.offsets, uint32(len(c.bytes)))
		}
	}
}

func (g *shredder) fillStats(l *leaf, c *columnData, d *chunkDict) {
	for _, s := range g.stats {
		switch l.field {
		case fieldService:
			g.put(l, c, d, s.service)
		case fieldSpanCount:
			c.i32 = append(c.i32, int32(s.spans))
		case fieldErrorCount:
			c.i32 = append(c.i32, int32(s.errors))
		}
	}
}

// fillDropped gathers counts. A count past the column's type is its greatest.
func fillDropped(c *columnData, places []place, g *shredder, column func(*source) []uint32) {
	each(g, places, func(s *source, from, to int) {
		counts := column(s)
		for _, p := range places[from:to] {
			c.i32 = append(c.i32, int32(min(at(counts, p.row), math.MaxInt32)))
		}
	})
}

// each calls f for every run of places in one source.
func each(g *shredder, places []place, f func(s *source, from, to int)) {
	for from := 0; from < len(places); {
		to := from + 1
		for to < len(places) && places[to].src == places[from].src {
			to++
		}
		f(g.plan.sources[places[from].src], from, to)
		from = to
	}
}

func (g *shredder) fillScope(l *leaf, c *columnData, d *chunkDict) {
	places := g.rows[ofScope].at
	switch l.field {
	case fieldName:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.v.ScopeName })
	case fieldVersion:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.v.ScopeVersion })
	case fieldDropped:
		fillDropped(c, places, g, func(s *source) []uint32 { return s.v.ScopeDropped })
	case fieldSpanCount:
		c.i32 = append(c.i32, g.scopeSpans...)
	}
}

// fillTexts gathers a column of dictionary codes.
func (g *shredder) fillTexts(l *leaf, c *columnData, d *chunkDict, places []place, column func(*source) []uint32) {
	each(g, places, func(s *source, from, to int) {
		codes := column(s)
		for _, p := range places[from:to] {
			g.put(l, c, d, s.textOf(g.texts, at(codes, p.row)))
		}
	})
}

func (g *shredder) fillSpan(l *leaf, c *columnData, d *chunkDict) {
	places := g.rows[ofSpan].at
	switch l.field {
	case fieldID, fieldParent:
		each(g, places, func(s *source, from, to int) {
			ids := s.v.SpanID
			if l.field == fieldParent {
				ids = s.v.Parent
			}
			for _, p := range places[from:to] {
				c.spanID(ids[p.row])
			}
		})
	case fieldParentLeft:
		c.i32 = append(c.i32, g.parentLeft...)
	case fieldLeft:
		c.i32 = append(c.i32, g.left...)
	case fieldRight:
		c.i32 = append(c.i32, g.right...)
	case fieldChildCount:
		c.i32 = append(c.i32, g.children...)
	case fieldName:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.v.Name })
	case fieldState:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.state })
	case fieldMessage:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.message })
	case fieldKind, fieldStatus:
		each(g, places, func(s *source, from, to int) {
			column := s.v.Kind
			if l.field == fieldStatus {
				column = s.v.Status
			}
			for _, p := range places[from:to] {
				c.i64 = append(c.i64, int64(column[p.row]))
			}
		})
	case fieldStart, fieldDuration:
		each(g, places, func(s *source, from, to int) {
			for _, p := range places[from:to] {
				v := s.v.Start[p.row]
				if l.field == fieldDuration {
					v = s.v.End[p.row] - v
				}
				c.i64 = append(c.i64, int64(v))
			}
		})
	case fieldDropped:
		fillDropped(c, places, g, func(s *source) []uint32 { return s.droppedAttrs })
	case fieldDroppedEvents:
		fillDropped(c, places, g, func(s *source) []uint32 { return s.droppedEvents })
	case fieldDroppedLinks:
		fillDropped(c, places, g, func(s *source) []uint32 { return s.droppedLinks })
	default:
		g.fillRounded(l, c)
	}
}

// roundedTo are the seconds of the StartTimeRounded columns.
var roundedTo = map[field]uint64{fieldRounded15: 15, fieldRounded60: 60, fieldRounded300: 300, fieldRounded3600: 3600}

// fillRounded divides starts. A span exactly at a border belongs to what is before.
func (g *shredder) fillRounded(l *leaf, c *columnData) {
	unit := roundedTo[l.field] * 1e9
	places := g.rows[ofSpan].at
	each(g, places, func(s *source, from, to int) {
		for _, p := range places[from:to] {
			start := s.v.Start[p.row]
			if start > 0 {
				start = (start - 1) / unit
			}
			c.i32 = append(c.i32, int32(uint32(start)))
		}
	})
}

func (g *shredder) fillEvent(l *leaf, c *columnData, d *chunkDict) {
	places := g.rows[ofEvent].at
	switch l.field {
	case fieldSince:
		each(g, places, func(s *source, from, to int) {
			for _, p := range places[from:to] {
				c.i64 = append(c.i64, int64(s.v.EventTime[p.row]-s.v.Start[s.v.EventSpan[p.row]]))
			}
		})
	case fieldName:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.v.EventName })
	case fieldDropped:
		fillDropped(c, places, g, func(s *source) []uint32 { return s.eventDropped })
	}
}

func (g *shredder) fillLink(l *leaf, c *columnData, d *chunkDict) {
	places := g.rows[ofLink].at
	switch l.field {
	case fieldLinkTrace:
		each(g, places, func(s *source, from, to int) {
			for _, p := range places[from:to] {
				if id := s.v.LinkTraceID[p.row]; !id.IsZero() {
					c.bytes = append(c.bytes, id[:]...)
				}
				c.offsets = append(c.offsets, uint32(len(c.bytes)))
			}
		})
	case fieldID:
		each(g, places, func(s *source, from, to int) {
			for _, p := range places[from:to] {
				c.spanID(s.v.LinkSpanID[p.row])
			}
		})
	case fieldState:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.linkState })
	case fieldDropped:
		fillDropped(c, places, g, func(s *source) []uint32 { return s.linkDropped })
	}
}

func (g *shredder) fillAttr(l *leaf, c *columnData, d *chunkDict) {
	a := &g.attrs[levelOf[l.of]]
	c.of(&a.rows)
	if l.field == fieldKey {
		for _, key := range a.keys {
			d.add(c, g.keys, key)
		}
		return
	}
	v := g.valuesOf(a, l.of)
	from := func(column *valueColumn) []uint64 { c.of(&column.rows); return column.vals }
	switch l.field {
	case fieldIsArray:
		c.bools = append(c.bools, v.isArray...)
	case fieldText:
		for _, number := range from(&v.text) {
			d.add(c, g.texts, uint32(number))
		}
	case fieldInt:
		for _, n := range from(&v.num[0]) {
			c.i64 = append(c.i64, int64(n))
		}
	case fieldDouble:
		c.f64 = doubles(c.f64, from(&v.num[1]))
	case fieldBool:
		for _, b := range from(&v.num[2]) {
			c.bools = append(c.bools, b != 0)
		}
	case fieldUnsupported:
		for _, number := range from(&v.odd) {
			c.text(g.texts.get(uint32(number)))
		}
	}
}

// fillOwn gathers the column of one attribute.
func (g *shredder) fillOwn(l *leaf, c *columnData, d *chunkDict) {
	parents := &g.rows[l.of]
	if l.field == fieldService {
		c.of(parents)
		for _, p := range parents.at {
			g.put(l, c, d, g.serviceName(g.plan.sources[p.src], p.row))
		}
		return
	}
	a := &g.attrs[levelOf[l.of]]
	own := &a.own[g.own[levelOf[l.of]].numberOf(l)]
	r := &g.ownRows
	r.reset(g.pages)
	if len(a.arrays) > 0 {
		g.ownWithArrays(l, c, d, own, a.arrays)
		c.of(r)
		return
	}
	r.def, r.rep, r.ends = append(r.def, parents.def...), append(r.rep, parents.rep...), append(r.ends, parents.ends...)
	present, max := 0, maxLevel[l.of]
	for slot, def := range r.def {
		if def == max {
			if own.has[present] != 0 {
				r.def[slot] = l.maxDef
			}
			present++
		}
	}
	c.of(r)
	g.putAll(l, c, d, own.vals)
}

// putAll appends the values of an own column.
func (g *shredder) putAll(l *leaf, c *columnData, d *chunkDict, vals []uint64) {
	for _, val := range vals {
		if l.typ == intColumn {
			c.i64 = append(c.i64, int64(val))
		} else {
			g.put(l, c, d, uint32(val))
		}
	}
}

// ownWithArrays is fillOwn where a row may have several values.
func (g *shredder) ownWithArrays(l *leaf, c *columnData, d *chunkDict, own *ownValues, arrays []arrayValue) {
	parents, r := &g.rows[l.of], &g.ownRows
	page, present, next, max := 0, 0, 0, maxLevel[l.of]
	for slot, def := range parents.def {
		for page < len(parents.ends) && slot == parents.ends[page] {
			r.endPage()
			page++
		}
		rep, has := parents.rep[slot], uint8(0)
		if def == max {
			has = own.has[present]
			present++
		}
		if has == 0 {
			r.add(rep, def)
			continue
		}
		val := own.vals[next]
		next++
		if has == singleValue {
			g.putAll(l, c, d, []uint64{val})
			r.add(rep, l.maxDef)
			continue
		}
		for _, text := range arrays[val].texts {
			g.put(l, c, d, g.texts.number(text))
		}
		g.putAll(l, c, d, arrays[val].nums)
		for range arrays[val].len() {
			r.add(rep, l.maxDef)
			rep = l.maxRep
		}
	}
	for range len(parents.ends) - page {
		r.endPage()
	}
}

// extra appends what EtudeExtra says of a trace: extra.go has the form.
func (g *shredder) extra(dst []byte, i int) []byte { return (&extraWriter{g: g, b: dst}).trace(i) }
