package eval

import (
	"context"
	"math/bits"

	"etude/trace"
	"etude/traceql/syntax"
)

// accumulator adds up spans by group and slot. A group is a combination of
// labels; a function that sorts values into buckets takes the bucket for one
// label more. So every function keeps one number a series and slot, in one flat
// array, and a span costs a few additions and no map.
type accumulator struct {
	m       *Metrics
	w       Window // as in spans
	lead    int    // as in spans
	memory  *memory
	taken   int       // bytes of it
	labels  []*labels // one an entry of by()
	chain   []*pairs  // chain[i] joins the group of the entries before i with entry i
	buckets *pairs    // group and bucket

	cells  []float64 // series*Slots+slot
	counts []uint32  // values in the cell, for what is not a plain count
	index  []int     // series number -> place in the answer, after series()
	places []quantileGroup
}

func newAccumulator(s *spans) *accumulator {
	a := &accumulator{m: s.m, w: s.w, lead: s.lead, memory: s.memory, buckets: newPairs()}
	for range s.m.by {
		a.labels = append(a.labels, newLabels())
		a.chain = append(a.chain, newPairs())
	}
	return a
}

// part is what a query reads of the observed rows of one View: their slots, the
// argument and a column of label numbers for each entry of by(). The numbers are
// those of labels of this View alone, so that Views may be read in any order.
type part struct {
	view    int
	slots   []int32
	args    numbers
	labels  []*labels
	columns [][]uint32
	series  []uint32 // of each row, once the part has been added
}

// free gives the arrays of a part back. The observed rows are forgotten.
func (p *part) free(s *spans) {
	slotArrays.put(p.slots)
	s.slots[p.view] = nil
	kindArrays.put(p.args.kind)
	bitArrays.put(p.args.bits)
	if len(p.columns) == 0 {
		labelArrays.put(p.series)
	}
	for _, column := range p.columns { // the first of them is series
		labelArrays.put(column)
	}
}

// read returns the part of a View, nil when no row is observed.
func (m *Metrics) read(s *spans, view int) (*part, error) {
	if m.rowwise {
		if err := s.byColumn(view); err != nil {
			return nil, err
		}
	}
	p := &part{view: view, slots: s.slots[view]}
	if p.slots == nil {
		return nil, nil
	}
	if s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	if m.arg != nil {
		p.args = m.argument(s, view, p.slots)
	}
	for i, x := range m.by {
		l := newLabels()
		l.local = true
		column := []uint32(nil)
		if s.byTrace != nil && s.byTrace[i] != nil {
			column = tracedColumn(l, s.byTrace[i].values[view], p.slots)
		} else {
			column = s.bind(view).labelColumn(x, l, p.slots)
		}
		p.labels, p.columns = append(p.labels, l), append(p.columns, column)
	}
	return p, nil
}

// add observes the spans of a View. Views come in order, so that sums and what
// stands for what are the same every time.
func (a *accumulator) add(s *spans, p *part, pick *exemplars) error {
	if p == nil {
		return nil
	}
	slots, args := p.slots, p.args
	series := a.group(p)
	p.series = series
	if a.m.buckets() {
		a.addBuckets(series, slots, args)
	}
	if err := a.grow(); err != nil {
		return err
	}
	pick.offer(s, p.view, slots, series, args)
	if a.m.arg == nil || a.m.buckets() {
		if a.m.buckets() {
			a.countScattered(series, slots)
		} else {
			a.countRuns(series, slots)
		}
		return nil
	}
	a.addNumbers(series, slots, args)
	return nil
}

// countScattered adds one for each row to its cell.
func (a *accumulator) countScattered(series []uint32, slots []int32) {
	n := a.w.Slots
	for row, slot := range slots {
		if slot != noSlot {
			a.cells[int(series[row])*n+int(slot)]++
		}
	}
}

// countRuns does the same where neighbours share cells, as spans of one service
// do: a sum in memory has to be there before the next can begin, one in a
// register is. For neighbours that do not, such as durations in buckets, it is
// slower.
func (a *accumulator) countRuns(series []uint32, slots []int32) {
	n, last, run := a.w.Slots, 0, 0
	for row, slot := range slots {
		if slot == noSlot {
			continue
		}
		if at := int(series[row])*n + int(slot); at != last {
			a.cells[last] += float64(run)
			last, run = at, 0
		}
		run++
	}
	if run > 0 {
		a.cells[last] += float64(run)
	}
}

// group returns the number of each row's group.
func (a *accumulator) group(p *part) []uint32 {
	if len(p.columns) == 0 {
		return labelArrays.zeroed(len(p.slots))
	}
	var group []uint32
	for i, column := range p.columns {
		to := a.labels[i].join(p.labels[i])
		if i == 0 {
			for row, n := range column {
				column[row] = to[n]
			}
			group = column
			continue
		}
		a.chain[i].prepare(a.groups(i), len(a.labels[i].values))
		for row, slot := range p.slots {
			if slot != noSlot {
				group[row] = a.chain[i].number(group[row], to[column[row]])
			}
		}
	}
	return group
}

// groups is how many groups the first n entries of by() have made.
func (a *accumulator) groups(n int) int {
	switch n {
	case 0:
		return 1
	case 1:
		return len(a.labels[0].values)
	}
	return len(a.chain[n-1].list)
}

func tracedColumn(l *labels, values []Value, slots []int32) []uint32 {
	out := labelArrays.zeroed(len(slots))
	for row, slot := range slots {
		if slot != noSlot {
			out[row] = l.number(values[row])
		}
	}
	return out
}

// addBuckets turns groups into series of group and bucket.
func (a *accumulator) addBuckets(series []uint32, slots []int32, args numbers) {
	a.buckets.prepare(a.groups(len(a.m.by)), bucketNumbers)
	for row, slot := range slots {
		if slot != noSlot {
			series[row] = a.buckets.number(series[row], bucketOf(args.kind[row], args.bits[row]))
		}
	}
}

func (a *accumulator) seriesCount() int {
	if a.m.buckets() {
		return len(a.buckets.list)
	}
	return a.groups(len(a.m.by))
}

// bytes is what the accumulator takes once all series have their cells, and what
// the answer will.
func (a *accumulator) bytes() int {
	perCell := 8 + sampleBytes
	if a.m.arg != nil && !a.m.buckets() {
		perCell += 4
	}
	n := len(a.buckets.list) * pairBytes
	for i := range a.labels {
		n += len(a.labels[i].values)*labelBytes + len(a.chain[i].list)*pairBytes
	}
	return n + a.seriesCount()*(seriesBytes+(1+len(a.m.by))*attrBytes+a.w.Slots*perCell)
}

// grow makes the cells of new series.
func (a *accumulator) grow() error {
	bytes := a.bytes()
	if err := a.memory.take(bytes-a.taken, atSeries, a.seriesCount(), a.w.Slots); err != nil {
		return err
	}
	a.taken = bytes
	n := a.seriesCount() * a.w.Slots
	a.cells = append(a.cells, make([]float64, n-len(a.cells))...)
	if a.m.arg != nil && !a.m.buckets() {
		a.counts = append(a.counts, make([]uint32, n-len(a.counts))...)
	}
	return nil
}

// addNumbers joins values into sums, minima or maxima.
func (a *accumulator) addNumbers(series []uint32, slots []int32, args numbers) {
	join := joins[a.m.fn]
	for row, slot := range slots {
		if slot == noSlot {
			continue
		}
		at, x := int(series[row])*a.w.Slots+int(slot), args.at(row)
		if a.counts[at]++; a.counts[at] > 1 {
			x = join(a.cells[at], x)
		}
		a.cells[at] = x
	}
}

// joins are how the functions put two partial results together.
var joins = map[string]func(a, b float64) float64{
	"min_over_time": func(a, b float64) float64 { return min(a, b) },
	"max_over_time": func(a, b float64) float64 { return max(a, b) },
	"sum_over_time": func(a, b float64) float64 { return a + b },
	"avg_over_time": func(a, b float64) float64 { return a + b },
}

// numbers is the argument of a function, row by row: an int or duration, or a
// float as its bits. A row without a number has no slot.
type numbers struct {
	kind []Type
	bits []uint64
	unit float64 // of durations
}

func (n *numbers) at(row int) float64 { return numberOf(n.kind[row], n.bits[row], n.unit) }

// argument reads the argument of the rows that have a slot, and takes the slot
// away from rows on which the function cannot work.
func (m *Metrics) argument(s *spans, view int, slots []int32) numbers {
	b := s.bind(view)
	n := numbers{kind: kindArrays.zeroed(len(slots)), bits: bitArrays.get(len(slots)), unit: 1}
	x := m.arg
	if x == expr(intrinsic{syntax.Duration}) || m.buckets() {
		n.unit = 1e9
	}
	switch attr, ok := x.(*attribute); {
	case x == expr(intrinsic{syntax.Duration}):
		for row, slot := range slots {
			if slot != noSlot {
				n.kind[row], n.bits[row] = Duration, uint64(b.V.Duration(uint32(row)))
			}
		}
	case s.argTrace != nil:
		for row, v := range s.argTrace[view] {
			n.set(row, v)
		}
	case ok && attr.Scope == syntax.ScopeSpan:
		b.attr(attr.slot).own.numbers(b, &n)
	default:
		c := ctx{b: b, event: -1, link: -1}
		for row, slot := range slots {
			if slot != noSlot {
				c.row = uint32(row)
				n.set(row, x.value(&c))
			}
		}
	}
	bucketed := m.buckets()
	for row, slot := range slots {
		if slot != noSlot && !n.usable(row, bucketed) {
			slots[row] = noSlot
		}
	}
	return n
}

// usable tells whether a function can work on the value of a row. Buckets hold
// whole numbers from 2 on.
func (n *numbers) usable(row int, bucketed bool) bool {
	switch n.kind[row] {
	case Int, Duration:
		return !bucketed || int64(n.bits[row]) >= 2
	case Float:
		return !bucketed
	}
	return false
}

func (n *numbers) set(row int, v Value) {
	n.kind[row], n.bits[row] = v.Type, uint64(v.Int)
	if v.Type == Float {
		n.bits[row] = floatBits(v.Float)
	}
}

// numbers sets the rows of a span attribute. The first value of a row stays.
func (k *keyColumns) numbers(b *Bound, n *numbers) {
	for i := len(k.cols) - 1; i >= 0; i-- {
		c := k.cols[i]
		if c == nil {
			continue
		}
		for at := len(c.Rows) - 1; at >= 0; at-- {
			row := c.Rows[at]
			if int(row) >= len(n.kind) {
				continue
			}
			switch c.Type {
			case trace.Int:
				n.kind[row], n.bits[row] = Int, c.Nums[at]
			case trace.Double:
				n.kind[row], n.bits[row] = Float, c.Nums[at]
			default:
				if v, ok := b.value(k.attrs, c, at); ok {
					n.set(int(row), v)
				}
			}
		}
	}
}

// bucketNumbers is how many buckets there are: powers of two of a plain number,
// and the same again of nanoseconds.
const bucketNumbers = 128

// bucketOf returns the bucket of a value from 2 on: the smallest power of two
// that is not below it.
func bucketOf(kind Type, x uint64) uint32 {
	n := uint32(bits.Len64(x - 1))
	if kind == Duration {
		n += bucketNumbers / 2
	}
	return n
}

// bucketEdge is the upper edge of a bucket, in seconds for durations.
func bucketEdge(n uint32) float64 {
	if n >= bucketNumbers/2 {
		return float64(uint64(1)<<(n-bucketNumbers/2)) / 1e9
	}
	return float64(uint64(1) << n)
}
