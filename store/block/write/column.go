package write

import (
	"fmt"
	"math"

	"etude/store/block/layout"
	"github.com/parquet-go/parquet-go/format"
)

// fill gathers a column of the row group: its slots, and the values from the
// columns of the Views.
func (g *shredder) fill(l *layout.Leaf, c *columnData, d *chunkDict) error {
	c.reset()
	if l.Enc == format.RLEDictionary {
		n := g.texts.len()
		if l.Field == layout.FieldKey {
			n = g.keys.len()
		}
		d.begin(n)
	}
	if l.IsOwn() {
		g.fillOwn(l, c, d)
		return nil
	}
	c.of(&g.rows[l.Of])
	switch l.Of {
	case layout.OfTrace:
		g.fillTrace(l, c, d)
	case layout.OfStats:
		g.fillStats(l, c, d)
	case layout.OfResource:
		fillDropped(c, g.rows[layout.OfResource].at, g, func(s *source) []uint32 { return s.v.ResourceDropped })
	case layout.OfScope:
		g.fillScope(l, c, d)
	case layout.OfSpan:
		g.fillSpan(l, c, d)
	case layout.OfEvent:
		g.fillEvent(l, c, d)
	case layout.OfLink:
		g.fillLink(l, c, d)
	default:
		g.fillAttr(l, c, d)
	}
	if n := c.values(l); l.MaxDef == 0 && n != len(c.def) {
		return fmt.Errorf("column %s has %d values for %d rows", l.Name(), n, len(c.def))
	}
	return nil
}

// values returns the number of values of a column.
func (c *columnData) values(l *layout.Leaf) int {
	switch {
	case l.Enc == format.RLEDictionary:
		return len(c.codes)
	case l.Typ == format.ByteArray:
		return len(c.offsets) - 1
	case l.Typ == format.Int32:
		return len(c.i32)
	case l.Typ == format.Int64:
		return len(c.i64)
	case l.Typ == format.Double:
		return len(c.f64)
	}
	return len(c.bools)
}

// put appends a text to a column with or without a dictionary.
func (g *shredder) put(l *layout.Leaf, c *columnData, d *chunkDict, number uint32) {
	if l.Enc == format.RLEDictionary {
		d.add(c, g.texts, number)
	} else {
		c.text(g.texts.get(uint32(number)))
	}
}

func (g *shredder) fillTrace(l *layout.Leaf, c *columnData, d *chunkDict) {
	if l.Field == layout.FieldEtude {
		g.fillExtra(c)
		return
	}
	for i := range g.traces {
		t := &g.traces[i]
		switch l.Field {
		case layout.FieldID:
			c.bytes = append(c.bytes, t.id[:]...)
			c.offsets = append(c.offsets, uint32(len(c.bytes)))
		case layout.FieldIDText:
			c.bytes = shortID(c.bytes, t.id)
			c.offsets = append(c.offsets, uint32(len(c.bytes)))
		case layout.FieldStart:
			c.i64 = append(c.i64, int64(t.start))
		case layout.FieldEnd:
			c.i64 = append(c.i64, int64(t.end))
		case layout.FieldDuration:
			c.i64 = append(c.i64, int64(t.end-t.start))
		case layout.FieldRootService:
			d.add(c, g.texts, t.rootService)
		case layout.FieldRootName:
			d.add(c, g.texts, t.rootName)
		}
	}
}

func (g *shredder) fillStats(l *layout.Leaf, c *columnData, d *chunkDict) {
	for _, s := range g.stats {
		switch l.Field {
		case layout.FieldService:
			g.put(l, c, d, s.service)
		case layout.FieldSpanCount:
			c.i32 = append(c.i32, int32(s.spans))
		case layout.FieldErrorCount:
			c.i32 = append(c.i32, int32(s.errors))
		}
	}
}

// fillDropped gathers counts. A count above the maximum of the column's type becomes the maximum.
func fillDropped(c *columnData, places []place, g *shredder, column func(*source) []uint32) {
	each(g, places, func(s *source, from, to int) {
		counts := column(s)
		for _, p := range places[from:to] {
			c.i32 = append(c.i32, int32(min(valueAt(counts, p.row), math.MaxInt32)))
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

func (g *shredder) fillScope(l *layout.Leaf, c *columnData, d *chunkDict) {
	places := g.rows[layout.OfScope].at
	switch l.Field {
	case layout.FieldName:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.v.ScopeName })
	case layout.FieldVersion:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.v.ScopeVersion })
	case layout.FieldDropped:
		fillDropped(c, places, g, func(s *source) []uint32 { return s.v.ScopeDropped })
	case layout.FieldSpanCount:
		c.i32 = append(c.i32, g.scopeSpans...)
	}
}

// fillTexts gathers a column of dictionary codes.
func (g *shredder) fillTexts(l *layout.Leaf, c *columnData, d *chunkDict, places []place, column func(*source) []uint32) {
	each(g, places, func(s *source, from, to int) {
		codes := column(s)
		for _, p := range places[from:to] {
			g.put(l, c, d, s.textOf(valueAt(codes, p.row)))
		}
	})
}

func (g *shredder) fillSpan(l *layout.Leaf, c *columnData, d *chunkDict) {
	places := g.rows[layout.OfSpan].at
	switch l.Field {
	case layout.FieldID:
		c.spanIDs(g.spans.ids)
	case layout.FieldParent:
		c.spanIDs(g.spans.parents)
	case layout.FieldParentLeft:
		c.i32 = append(c.i32, g.parentLeft...)
	case layout.FieldLeft:
		c.i32 = append(c.i32, g.left...)
	case layout.FieldRight:
		c.i32 = append(c.i32, g.right...)
	case layout.FieldChildCount:
		c.i32 = append(c.i32, g.children...)
	case layout.FieldName:
		for _, name := range g.spans.name {
			g.put(l, c, d, name)
		}
	case layout.FieldState:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.state })
	case layout.FieldMessage:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.message })
	case layout.FieldKind:
		c.i64 = widened(c.i64, g.spans.kind)
	case layout.FieldStatus:
		c.i64 = widened(c.i64, g.spans.status)
	case layout.FieldStart:
		for _, start := range g.spans.start {
			c.i64 = append(c.i64, int64(start))
		}
	case layout.FieldDuration:
		for i, start := range g.spans.start {
			c.i64 = append(c.i64, int64(g.spans.end[i]-start))
		}
	case layout.FieldDropped:
		fillDropped(c, places, g, func(s *source) []uint32 { return s.droppedAttrs })
	case layout.FieldDroppedEvents:
		fillDropped(c, places, g, func(s *source) []uint32 { return s.droppedEvents })
	case layout.FieldDroppedLinks:
		fillDropped(c, places, g, func(s *source) []uint32 { return s.droppedLinks })
	default:
		g.fillRounded(l, c)
	}
}

// roundedTo are the seconds of the StartTimeRounded columns.
var roundedTo = map[layout.Field]uint64{layout.FieldRounded15: 15, layout.FieldRounded60: 60, layout.FieldRounded300: 300, layout.FieldRounded3600: 3600}

// fillRounded divides starts. A span exactly at a border belongs to the interval before it.
func (g *shredder) fillRounded(l *layout.Leaf, c *columnData) {
	unit := roundedTo[l.Field] * 1e9
	var whole, from, to uint64 // (start-1)/unit is whole for starts from "from" and before "to"
	for _, start := range g.spans.start {
		switch {
		case start == 0:
			c.i32 = append(c.i32, 0)
			continue
		case start < from || start >= to: // Slow path: neighbours are close in time.
			whole = (start - 1) / unit
			from, to = whole*unit+1, (whole+1)*unit+1
		}
		c.i32 = append(c.i32, int32(uint32(whole)))
	}
}

func widened(dst []int64, all []uint8) []int64 {
	for _, v := range all {
		dst = append(dst, int64(v))
	}
	return dst
}

func (g *shredder) fillEvent(l *layout.Leaf, c *columnData, d *chunkDict) {
	places := g.rows[layout.OfEvent].at
	switch l.Field {
	case layout.FieldSince:
		each(g, places, func(s *source, from, to int) {
			for _, p := range places[from:to] {
				c.i64 = append(c.i64, int64(s.v.EventTime[p.row]-s.v.Start[s.v.EventSpan[p.row]]))
			}
		})
	case layout.FieldName:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.v.EventName })
	case layout.FieldDropped:
		fillDropped(c, places, g, func(s *source) []uint32 { return s.eventDropped })
	}
}

func (g *shredder) fillLink(l *layout.Leaf, c *columnData, d *chunkDict) {
	places := g.rows[layout.OfLink].at
	switch l.Field {
	case layout.FieldLinkTrace:
		each(g, places, func(s *source, from, to int) {
			for _, p := range places[from:to] {
				if id := s.v.LinkTraceID[p.row]; !id.IsZero() {
					c.bytes = append(c.bytes, id[:]...)
				}
				c.offsets = append(c.offsets, uint32(len(c.bytes)))
			}
		})
	case layout.FieldID:
		each(g, places, func(s *source, from, to int) {
			for _, p := range places[from:to] {
				c.spanID(s.v.LinkSpanID[p.row])
			}
		})
	case layout.FieldState:
		g.fillTexts(l, c, d, places, func(s *source) []uint32 { return s.linkState })
	case layout.FieldDropped:
		fillDropped(c, places, g, func(s *source) []uint32 { return s.linkDropped })
	}
}

func (g *shredder) fillAttr(l *layout.Leaf, c *columnData, d *chunkDict) {
	a := &g.attrs[levelOf[l.Of]]
	c.of(&a.rows)
	if l.Field == layout.FieldKey {
		for _, key := range a.keys {
			d.add(c, g.keys, key)
		}
		return
	}
	v := g.valuesOf(a, l.Of)
	from := func(column *valueColumn) []uint64 { c.of(&column.rows); return column.vals }
	switch l.Field {
	case layout.FieldIsArray:
		c.bools = append(c.bools, v.isArray...)
	case layout.FieldText:
		for _, number := range from(&v.text) {
			d.add(c, g.texts, uint32(number))
		}
	case layout.FieldInt:
		for _, n := range from(&v.num[0]) {
			c.i64 = append(c.i64, int64(n))
		}
	case layout.FieldDouble:
		c.f64 = doubles(c.f64, from(&v.num[1]))
	case layout.FieldBool:
		for _, b := range from(&v.num[2]) {
			c.bools = append(c.bools, b != 0)
		}
	case layout.FieldUnsupported:
		for _, number := range from(&v.odd) {
			c.text(g.texts.get(uint32(number)))
		}
	}
}

// fillOwn gathers the column of one attribute.
func (g *shredder) fillOwn(l *layout.Leaf, c *columnData, d *chunkDict) {
	parents := &g.rows[l.Of]
	if l.Field == layout.FieldService {
		c.of(parents)
		for _, p := range parents.at {
			g.put(l, c, d, g.serviceName(g.plan.sources[p.src], p.row))
		}
		return
	}
	lev := levelOf[l.Of]
	if g.direct[lev] {
		g.fillDirect(l, c, d, g.own[lev].numberOf(l))
		return
	}
	a := &g.attrs[lev]
	own := &a.own[g.own[lev].numberOf(l)]
	r := &g.ownRows
	r.reset(g.pages)
	if len(a.arrays) > 0 {
		g.ownWithArrays(l, c, d, own, a.arrays)
		c.of(r)
		return
	}
	r.def, r.rep, r.ends = append(r.def, parents.def...), append(r.rep, parents.rep...), append(r.ends, parents.ends...)
	present, max := 0, layout.MaxLevel[l.Of]
	for slot, def := range r.def {
		if def == max {
			if own.has[present] != 0 {
				r.def[slot] = l.MaxDef
			}
			present++
		}
	}
	c.of(r)
	g.putAll(l, c, d, own.vals)
}

// putAll appends the values of an own column.
func (g *shredder) putAll(l *layout.Leaf, c *columnData, d *chunkDict, vals []uint64) {
	for _, val := range vals {
		if l.Typ == intColumn {
			c.i64 = append(c.i64, int64(val))
		} else {
			g.put(l, c, d, uint32(val))
		}
	}
}

// ownWithArrays is fillOwn where a row may have several values.
func (g *shredder) ownWithArrays(l *layout.Leaf, c *columnData, d *chunkDict, own *ownValues, arrays []arrayValue) {
	parents, r := &g.rows[l.Of], &g.ownRows
	page, present, next, max := 0, 0, 0, layout.MaxLevel[l.Of]
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
			r.add(rep, l.MaxDef)
			continue
		}
		for _, text := range arrays[val].texts {
			g.put(l, c, d, g.texts.number(text))
		}
		g.putAll(l, c, d, arrays[val].nums)
		for range arrays[val].len() {
			r.add(rep, l.MaxDef)
			rep = l.MaxRep
		}
	}
	for range len(parents.ends) - page {
		r.endPage()
	}
}

// fillExtra gathers EtudeExtra.
func (g *shredder) fillExtra(c *columnData) {
	w := &g.extra
	w.begin(g)
	w.b = c.bytes
	for i := range g.traces {
		w.trace(i)
		c.offsets = append(c.offsets, uint32(len(w.b)))
	}
	c.bytes, w.b, w.g = w.b, nil, nil
}

// valueAt returns a value of a column, or zero if the column is absent.
func valueAt(values []uint32, row uint32) uint32 {
	if values == nil {
		return 0
	}
	return values[row]
}
