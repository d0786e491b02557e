package write

import (
	"github.com/parquet-go/parquet-go/format"

	"etude/store/block/layout"
	"etude/trace"
)

// Direct shredding. Usually the destinations of all attributes of a level depend only on their shapes. Then the
// shredder walks the rows once for the list Attrs and the orders, and copies each own column by itself, for spans by way
// of spread, and for other levels with finders.
//
// A level is direct if in all sources: no column is shared, no shape needs its values for a decision (see shaped.slow),
// and no resource has an empty service name.

// prepare decides which levels are direct, and compiles their shapes.
func (g *shredder) prepare() {
	if g.prepared {
		return
	}
	g.prepared = true
	for l := range trace.Levels {
		g.direct[l] = !g.indirect
		for _, s := range g.plan.sources {
			g.direct[l] = g.direct[l] && g.prepareLevel(trace.Level(l), s)
		}
	}
}

func (g *shredder) prepareLevel(l trace.Level, s *source) (direct bool) {
	v := &s.levels[l]
	if v.attrs == nil {
		v.attrs = s.v.Attrs(l)
		v.columns = v.attrs.Columns()
	}
	if v.attrs.Sharing() {
		return false
	}
	shape, n := v.attrs.Shapes()
	v.shape, v.shapes = shape, make([]*shaped, n)
	names := s.columnsOf(l)
	for i := range v.shapes {
		sh := g.compile(l, names, v.attrs.ShapeColumns(uint32(i)))
		if v.shapes[i] = sh; sh.slow {
			return false
		}
	}
	v.own = make([]int32, len(g.own[l].list))
	for i := range v.own {
		v.own[i] = -1
	}
	for number := range v.columns {
		c := &v.columns[number]
		if own, ok := g.own[l].byKey[c.Key]; ok && g.own[l].fits(own, c.Type) {
			v.own[own] = int32(number)
			if l == trace.ResourceLevel && c.Key == layout.ServiceKey && hasZero(c.Codes) {
				return false
			}
		}
	}
	return true
}

func hasZero(codes []uint32) bool {
	for _, code := range codes {
		if code == 0 {
			return true
		}
	}
	return false
}

// shredDirect is shredAttrs for a direct level.
func (g *shredder) shredDirect(l trace.Level, of layout.Owner) {
	parents, a := &g.rows[of], &g.attrs[l]
	a.reset(0, len(parents.at), g.pages)
	g.ownRep[l].reset()
	max, present, page, spread := layout.MaxLevel[of], 0, 0, &g.spread
	for slot, def := range parents.def {
		for page < len(parents.ends) && slot == parents.ends[page] {
			a.endPage()
			page++
		}
		rep := parents.rep[slot]
		if def < max {
			a.add(rep, def)
			continue
		}
		at := parents.at[present]
		s := g.plan.sources[at.src]
		v := &s.levels[l]
		shape, number := uint32(0), g.from+present
		if l == trace.SpanLevel {
			shape = spread.shape[number]
		} else {
			shape = v.shape[at.row]
		}
		sh := v.shapes[shape]
		a.orders[present] = sh.order
		present++
		if sh.plain == 0 { // Fast path
			a.add(rep, def)
			continue
		}
		for i, item := range sh.list {
			if l == trace.SpanLevel {
				g.list(l, s, item.column, spread.list[int(spread.ends[number])-sh.plain+i])
			} else {
				g.list(l, s, item.column, v.value(item, at.row))
			}
		}
		a.add(rep, max+1)
		for range sh.plain - 1 {
			a.add(max+1, max+1)
		}
	}
	for range len(parents.ends) - page {
		a.endPage()
	}
}

// list adds an attribute that has no own column.
func (g *shredder) list(l trace.Level, s *source, column uint32, val uint64) {
	a, t := &g.attrs[l], s.levels[l].columns[column].Type
	switch {
	case t == trace.String:
		val = uint64(s.textOf(uint32(val)))
	case t == trace.Empty || t >= trace.Bytes: // Slow path
		t, val = g.oddValue(a, trace.FlatValue(&s.v.Strings, t, val))
	}
	a.keys = append(a.keys, s.keyOf(g.keys, l, column))
	a.types = append(a.types, t)
	a.vals = append(a.vals, val)
}

// listed is a column that goes to the list. Nth is the number of earlier attributes of the row in it.
type listed struct {
	column uint32
	nth    int
}

// listOf returns the columns of a shape that go to the list.
func listOf(sh *shaped, cols []uint32) (all []listed) {
	for i, dest := range sh.dest {
		if dest != toList {
			continue
		}
		nth := 0
		for _, earlier := range cols[:i] {
			if earlier == cols[i] {
				nth++
			}
		}
		all = append(all, listed{cols[i], nth})
	}
	return all
}

// fillDirect gathers an own column of a direct level.
func (g *shredder) fillDirect(l *layout.Leaf, c *columnData, d *chunkDict, own int) {
	lev, parents, r := levelOf[l.Of], &g.rows[l.Of], &g.ownRows
	r.reset(0)
	r.def = append(r.def, parents.def...)
	switch lev {
	case trace.SpanLevel:
		g.fillSpread(l, c, d, &g.spread.own[own])
	case trace.ScopeLevel, trace.ResourceLevel:
		g.fillDistinct(l, c, d, own)
	default:
		g.fillFound(l, c, d, own)
	}
	c.rep, c.def, c.ends = parents.rep, r.def, parents.ends
	c.repPages, c.defPages = &g.ownRep[lev], &r.encoded.def
}

// fillSpread gathers the values of a column of spans.
func (g *shredder) fillSpread(l *layout.Leaf, c *columnData, d *chunkDict, column *spreadColumn) {
	to, def := g.from+len(g.rows[layout.OfSpan].at), g.ownRows.def
	switch {
	case column.has != nil:
		for i, has := range column.has[g.from:to] {
			if has {
				def[i] = l.MaxDef
				c.i64 = append(c.i64, int64(column.nums[g.from+i]))
			}
		}
	case column.texts == nil:
	case l.Enc == format.RLEDictionary:
		for i, text := range column.texts[g.from:to] {
			if text != 0 {
				def[i] = l.MaxDef
				if slot := d.slots[text-1]; slot>>32 == d.round { // Fast path
					c.codes = append(c.codes, int32(uint32(slot)))
				} else {
					d.add(c, g.texts, text-1)
				}
			}
		}
	default:
		for i, text := range column.texts[g.from:to] {
			if text != 0 {
				def[i] = l.MaxDef
				c.text(g.texts.get(text - 1))
			}
		}
	}
}

// distinct has the scopes or resources of a row group, each once.
type distinct struct {
	places []place
	number []uint32 // by row of the owner: index in places
}

// number finds the distinct scopes or resources of the row group, in order of appearance.
func (g *shredder) number(l trace.Level) {
	d := &g.distinct[l]
	for _, p := range d.places { // of the row group before
		g.plan.sources[p.src].numbers[l][p.row] = 0
	}
	d.places, d.number = d.places[:0], d.number[:0]
	for _, p := range g.rows[layout.OwnerOf[l]].at {
		s := g.plan.sources[p.src]
		if s.numbers[l] == nil {
			s.numbers[l] = make([]uint32, s.v.Count(l))
		}
		n := &s.numbers[l][p.row]
		if *n == 0 {
			d.places = append(d.places, p)
			*n = uint32(len(d.places))
		}
		d.number = append(d.number, *n-1)
	}
}

// onceValues has the value of a column for each distinct row.
type onceValues struct {
	has   []bool
	codes []int32
	texts []uint32
	nums  []uint64
}

// fillDistinct gathers the values of a column of scopes or resources. It looks each distinct one up once.
func (g *shredder) fillDistinct(l *layout.Leaf, c *columnData, d *chunkDict, own int) {
	lev := levelOf[l.Of]
	once, all := &g.once, &g.distinct[lev]
	n := len(all.places)
	once.has, once.codes, once.texts, once.nums = zeroed(once.has, n), resized(once.codes, n), resized(once.texts, n), resized(once.nums, n)
	for i, p := range all.places {
		s := g.plan.sources[p.src]
		v := &s.levels[lev]
		number := v.own[own]
		if number < 0 {
			continue
		}
		at, ok := v.finder(uint32(number)).find(p.row)
		if once.has[i] = ok; !ok {
			continue
		}
		switch column := &v.columns[number]; {
		case l.Typ == intColumn:
			once.nums[i] = column.Nums[at]
		case l.Enc != format.RLEDictionary:
			once.texts[i] = s.textOf(column.Codes[at])
		default:
			once.codes[i] = d.code(c, g.texts, s.textOf(column.Codes[at]))
		}
	}
	for slot, i := range all.number { // Each slot has a row.
		if !once.has[i] {
			continue
		}
		g.ownRows.def[slot] = l.MaxDef
		switch {
		case l.Typ == intColumn:
			c.i64 = append(c.i64, int64(once.nums[i]))
		case l.Enc != format.RLEDictionary:
			c.text(g.texts.get(once.texts[i]))
		default:
			c.codes = append(c.codes, once.codes[i])
		}
	}
}

// fillFound gathers the values of a column of events or links.
func (g *shredder) fillFound(l *layout.Leaf, c *columnData, d *chunkDict, own int) {
	lev, parents, r := levelOf[l.Of], &g.rows[l.Of], &g.ownRows
	slots := g.slotsOf(l.Of)
	each(g, parents.at, func(s *source, from, to int) {
		v := &s.levels[lev]
		number := v.own[own]
		if number < 0 {
			return
		}
		column, f := &v.columns[number], v.finder(uint32(number))
		for i, p := range parents.at[from:to] {
			at, ok := f.find(p.row)
			if !ok {
				continue
			}
			slot := uint32(from + i)
			if slots != nil {
				slot = slots[slot]
			}
			r.def[slot] = l.MaxDef
			switch {
			case l.Typ == intColumn:
				c.i64 = append(c.i64, int64(column.Nums[at]))
			case l.Enc != format.RLEDictionary:
				c.text(s.v.Text(column.Codes[at]))
			default:
				d.add(c, g.texts, s.textOf(column.Codes[at]))
			}
		}
	})
}

// slotsOf returns the slot of each row of an owner; nil if every slot has a row.
func (g *shredder) slotsOf(of layout.Owner) []uint32 {
	parents := &g.rows[of]
	if len(parents.at) == len(parents.def) {
		return nil
	}
	if g.slotsFor != of {
		g.slotsFor, g.slots = of, g.slots[:0]
		for slot, def := range parents.def {
			if def == layout.MaxLevel[of] {
				g.slots = append(g.slots, uint32(slot))
			}
		}
	}
	return g.slots
}
