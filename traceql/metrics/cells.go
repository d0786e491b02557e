package metrics

// cells has one number per series and slot in one flat array: a span costs a few additions and no map.
type cells struct {
	slots  int
	values []float64 // at series*slots + slot
	counts []uint32  // values in the cell; nil when values are counts
}

// grow makes room for n cells, of sums when sums is set.
func (c *cells) grow(n int, sums bool) {
	c.values = append(c.values, make([]float64, n-len(c.values))...)
	if sums {
		c.counts = append(c.counts, make([]uint32, n-len(c.counts))...)
	}
}

// addNumbers joins the values of rows into sums, minima or maxima.
func (c *cells) addNumbers(p *Part, join func(a, b float64) float64) {
	series, values := p.series[:len(p.slots)], p.values[:len(p.slots)]
	for row, slot := range p.slots {
		if slot == noSlot {
			continue
		}
		at, x := int(p.to[series[row]])*c.slots+int(slot), values[row]
		if c.counts[at]++; c.counts[at] > 1 {
			x = join(c.values[at], x)
		}
		c.values[at] = x
	}
}

// addRows counts rows one by one.
func (c *cells) addRows(p *Part) {
	for row, slot := range p.slots {
		if slot != noSlot {
			c.values[int(p.to[p.series[row]])*c.slots+int(slot)]++
		}
	}
}

// addCounts adds the counts of one View.
func (c *cells) addCounts(p *Part) {
	o := &p.counts
	for series, n := range p.to {
		into := c.values[int(n)*c.slots+o.from:]
		for i, x := range o.cells[series*o.slots : (series+1)*o.slots] {
			into[i] += float64(x)
		}
	}
}

// rowCounts counts the rows of one View, for its range of slots.
type rowCounts struct {
	from, slots int
	cells       []uint32 // at series*slots + slot-from; nil when rows have not been counted
}

// add counts rows. Scattered means that neighbours do not share cells, as with durations in buckets.
func (c *rowCounts) add(series []uint32, slots []int32, scattered bool) {
	series = series[:len(slots)]
	if !scattered {
		c.addRuns(series, slots)
		return
	}
	for row, slot := range slots {
		if slot != noSlot {
			c.cells[int(series[row])*c.slots+int(slot)-c.from]++
		}
	}
}

// addRuns is faster where neighbours share cells, as spans of one service do: a
// sum in memory must be stored before the next can begin, one in a register is not.
func (c *rowCounts) addRuns(series []uint32, slots []int32) {
	last, run := 0, uint32(0)
	for row, slot := range slots {
		if slot == noSlot {
			continue
		}
		if at := int(series[row])*c.slots + int(slot) - c.from; at != last {
			c.cells[last] += run
			last, run = at, 0
		}
		run++
	}
	if run > 0 {
		c.cells[last] += run
	}
}

// joins are the functions that combine two partial results.
var joins = map[string]func(a, b float64) float64{
	"min_over_time": func(a, b float64) float64 { return min(a, b) },
	"max_over_time": func(a, b float64) float64 { return max(a, b) },
	"sum_over_time": func(a, b float64) float64 { return a + b },
	"avg_over_time": func(a, b float64) float64 { return a + b },
}
