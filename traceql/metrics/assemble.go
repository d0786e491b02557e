package metrics

import (
	"math"
	"slices"

	"etude/traceql/eval"
)

// numberOf returns a number of an argument; unit divides durations.
func numberOf(kind eval.Type, bits uint64, unit float64) float64 {
	switch kind {
	case eval.Float:
		return math.Float64frombits(bits)
	case eval.Duration:
		return float64(int64(bits)) / unit
	}
	return float64(int64(bits))
}

// line is a series under construction.
type line struct {
	labels []eval.Attr
	cells  []float64
	counts []uint32
}

// series turns cells into the series of the answer. It merges groups with equal labels: one may lack a value
// and the other have the text "nil".
func (a *accumulator) series() []Series {
	switch {
	case a.q.exact:
		return a.exactQuantiles()
	case a.q.fn == "quantile_over_time":
		return a.quantiles()
	}
	a.index = make([]int, a.groups.series())
	var lines []line
	places := map[string]int{}
	for n := range a.index {
		a.index[n] = -1
		l := line{cells: a.cellsOf(n)}
		if a.counts != nil {
			l.counts = a.counts[n*a.slots : (n+1)*a.slots]
		}
		if l.empty() {
			continue
		}
		l.labels = a.labelsOf(n)
		key := seriesKey(l.labels)
		at, ok := places[key]
		if !ok {
			at = len(lines)
			places[key] = at
			lines = append(lines, l)
		} else {
			a.merge(&lines[at], l)
		}
		a.index[n] = at
	}
	out := make([]Series, len(lines))
	for i, l := range lines {
		out[i] = Series{Labels: l.labels, Samples: a.samples(l)}
	}
	if len(out) == 0 && len(a.q.by) == 0 && a.q.arg == nil {
		// Counting nothing is an answer; without groups there is one series.
		l := line{cells: make([]float64, a.slots)}
		out = append(out, Series{Labels: a.nameLabel(), Samples: a.samples(l)})
	}
	return out
}

func (a *accumulator) cellsOf(n int) []float64 {
	if len(a.values) == 0 {
		return make([]float64, a.slots)
	}
	return a.values[n*a.slots : (n+1)*a.slots]
}

// empty reports whether the series has no span.
func (l *line) empty() bool {
	if l.counts != nil {
		return !slices.ContainsFunc(l.counts, func(n uint32) bool { return n > 0 })
	}
	return !slices.ContainsFunc(l.cells, func(x float64) bool { return x > 0 })
}

func (a *accumulator) merge(to *line, from line) {
	join := joins[a.q.fn]
	for i, x := range from.cells {
		switch {
		case from.counts == nil:
			to.cells[i] += x
		case from.counts[i] == 0:
		case to.counts[i] == 0:
			to.cells[i], to.counts[i] = x, from.counts[i]
		default:
			to.cells[i] = join(to.cells[i], x)
			to.counts[i] += from.counts[i]
		}
	}
}

func (a *accumulator) samples(l line) []Sample {
	out := make([]Sample, 0, len(l.cells))
	seconds := float64(a.w.Step) / 1e9
	for i, x := range l.cells {
		switch {
		case i < a.lead, l.counts != nil && l.counts[i] == 0:
			continue
		case a.q.fn == "rate":
			x /= seconds
		case a.q.fn == "avg_over_time":
			x /= float64(l.counts[i])
		}
		out = append(out, Sample{i - a.lead, x})
	}
	return out
}

func (a *accumulator) nameLabel() []eval.Attr {
	return []eval.Attr{attr("__name__", eval.Text(a.q.fn))}
}

// labelsOf returns the labels of a series in the form of answers.
func (a *accumulator) labelsOf(n int) []eval.Attr {
	if a.q.buckets() {
		pair := a.buckets.list[n]
		edge := eval.Number(bucketEdge(pair[1]))
		return append(a.groupLabels(pair[0]), attr("__bucket", edge))
	}
	if len(a.q.by) == 0 {
		return a.nameLabel()
	}
	out := a.groupLabels(uint32(n))
	if len(out) == 0 {
		out = []eval.Attr{attr(a.q.keys[0], eval.Text("nil"))}
	}
	return out
}

// groupLabels returns the labels of a group. It leaves out labels without a value, except for attributes that
// always show.
func (a *accumulator) groupLabels(group uint32) (out []eval.Attr) {
	numbers := make([]uint32, len(a.q.by))
	for i := len(a.q.by) - 1; i >= 0; i-- {
		numbers[i] = group
		if i > 0 {
			pair := a.chain[i].list[group]
			group, numbers[i] = pair[0], pair[1]
		}
	}
	for i, n := range numbers {
		if v := a.labels[i].values[n]; v.Type != eval.Nil {
			out = append(out, attr(a.q.keys[i], v))
		} else if a.q.always[i] {
			out = append(out, attr(a.q.keys[i], eval.Text("nil")))
		}
	}
	return out
}
