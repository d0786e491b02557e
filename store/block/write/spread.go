package write

import (
	"etude/trace"
)

// spread has the attributes of the spans of a block in the order of the file, as long as the level is direct.
//
// The rows of a View lie in the order of arrival, those of the file in the order of trace ids. To read a column in the
// order of the file is a cache miss for each trace and column. So the shredder reads each column once from beginning
// to end, for all row groups, and writes each value to its place: nothing waits for a write.
//
// It takes about 4 bytes a span for each column of texts, and 9 for one of numbers.
type spread struct {
	at      []place    // of each span
	inverse [][]uint32 // by source and row: the span's number; absent: not in this block
	own     []spreadColumn
	shape   []uint32 // by span
	ends    []uint32 // by span: end of its attributes in list
	list    []uint64 // values of attributes without an own column, in the form of a Flat
	cursors []uint32
}

// spreadColumn has the values of an own column: numbers of texts + 1, or numbers.
type spreadColumn struct {
	texts []uint32 // 0: none; nil: the column has no values
	nums  []uint64
	has   []bool
}

const absent = ^uint32(0)

// arrange prepares for some row groups of the plan, whose order is that of the file.
func (g *shredder) arrange(groups []planGroup, pause func()) {
	g.prepare()
	p := &g.spread
	p.at = p.at[:0]
	for i := range groups {
		groups[i].from = len(p.at)
		for j := range groups[i].traces {
			p.at = g.plan.rows(&groups[i].traces[j], p.at)
		}
	}
	if !g.direct[trace.SpanLevel] {
		return
	}
	p.invert(g.plan.sources)
	pause()
	own := g.own[trace.SpanLevel]
	p.own = make([]spreadColumn, len(own.list))
	for i, l := range own.list {
		for n, s := range g.plan.sources {
			v := &s.levels[trace.SpanLevel]
			if number := v.own[i]; number < 0 {
				continue
			} else if l.Typ == intColumn {
				p.own[i].addNums(&v.columns[number], p.inverse[n], len(p.at))
			} else {
				p.own[i].addTexts(&v.columns[number], p.inverse[n], len(p.at), s)
			}
		}
		pause()
	}
	p.spreadLists(g.plan.sources)
	p.inverse = p.inverse[:0]
	pause()
}

// invert fills inverse.
func (p *spread) invert(sources []*source) {
	for len(p.inverse) < len(sources) {
		p.inverse = append(p.inverse, nil)
	}
	for i, s := range sources {
		p.inverse[i] = make([]uint32, s.v.Spans())
		for row := range p.inverse[i] {
			p.inverse[i][row] = absent
		}
	}
	for i, at := range p.at {
		p.inverse[at.src][at.row] = uint32(i)
	}
}

func (c *spreadColumn) addTexts(column *trace.Column, inverse []uint32, spans int, s *source) {
	if c.texts == nil {
		c.texts = make([]uint32, spans)
	}
	for i, row := range column.Rows {
		if to := inverse[row]; to != absent {
			c.texts[to] = s.textOf(column.Codes[i]) + 1
		}
	}
}

func (c *spreadColumn) addNums(column *trace.Column, inverse []uint32, spans int) {
	if c.nums == nil {
		c.nums, c.has = make([]uint64, spans), make([]bool, spans)
	}
	for i, row := range column.Rows {
		if to := inverse[row]; to != absent {
			c.nums[to], c.has[to] = column.Nums[i], true
		}
	}
}

// spreadLists fills shape, ends and list.
func (p *spread) spreadLists(sources []*source) {
	p.shape, p.ends = zeroed(p.shape, len(p.at)), zeroed(p.ends, len(p.at))
	for i, s := range sources {
		shape := s.levels[trace.SpanLevel].shape
		for row, to := range p.inverse[i] {
			if to != absent {
				p.shape[to] = shape[row]
			}
		}
	}
	total := uint32(0)
	for i, at := range p.at {
		total += uint32(sources[at.src].levels[trace.SpanLevel].shapes[p.shape[i]].plain)
		p.ends[i] = total
	}
	p.list = zeroed(p.list, int(total))
	for i, s := range sources {
		p.spreadList(&s.levels[trace.SpanLevel], p.inverse[i])
	}
}

// spreadList walks the rows of a source with a position in each column.
func (p *spread) spreadList(v *level, inverse []uint32) {
	p.cursors = zeroed(p.cursors, len(v.columns))
	for row, shape := range v.shape[:len(inverse)] {
		sh := v.shapes[shape]
		if sh.plain == 0 { // Fast path
			continue
		}
		to := inverse[row]
		for i, item := range sh.list {
			if to != absent {
				p.list[p.ends[to]-uint32(sh.plain-i)] = v.bits(item.column, p.cursors[item.column])
			}
			p.cursors[item.column]++
		}
	}
}

// bits returns the value at a position of a column in the form of a Flat.
func (v *level) bits(column, at uint32) uint64 {
	switch c := &v.columns[column]; c.Type {
	case trace.Int, trace.Double:
		return c.Nums[at]
	case trace.Empty:
		return 0
	default:
		return uint64(c.Codes[at])
	}
}
