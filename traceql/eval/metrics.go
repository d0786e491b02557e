package eval

import (
	"context"

	"etude/trace"
	"etude/traceql/syntax"
)

// Window is the time that a metrics query covers: slots of Step nanoseconds.
// Slot i holds the spans that start in (Start+i*Step, Start+(i+1)*Step], open on
// the left and closed on the right.
type Window struct {
	Start, Step uint64 // unix nanoseconds, nanoseconds
	Slots       int
	Instant     bool // one value of the whole window is asked for, none in time
}

// End is the last instant of the window.
func (w Window) End() uint64 { return w.Start + uint64(w.Slots)*w.Step }

// led returns the window with lead slots more in front.
func (w Window) led(lead int) Window {
	w.Start -= uint64(lead) * w.Step
	w.Slots += lead
	return w
}

func (w Window) holds(t uint64) bool { return t > w.Start && t <= w.End() }

// Metrics is a compiled metrics query. It is immutable.
type Metrics struct {
	p         *Program
	fn        string
	by        []expr
	keys      []string // of by
	always    []bool   // of by: a missing value shows as the label "nil"
	arg       expr     // nil when the function takes none
	quantiles []float64
	compare   *comparing
	second    []secondStage
	exact     bool // see exact.go
	rowwise   bool // columns decide everything: no trace has to be put together

	// Exemplars is the hint exemplars, -1 when it is not given.
	Exemplars int

	// Progress, if set before Run, is told what is complete. compare() has nothing
	// to tell.
	Progress Progress
}

// CompileMetrics translates a metrics query that package check has passed.
func CompileMetrics(q *syntax.Query) (*Metrics, error) {
	p, err := Compile(q)
	if err != nil {
		return nil, err
	}
	from := q.Metrics
	m := &Metrics{p: p, fn: from.Func, quantiles: from.Quantiles, Exemplars: exemplarHint(q.Hints)}
	m.rowwise = rowwise(p, p.stages)
	m.exact = m.fn == "quantile_over_time" && exactHint(q.Hints)
	for _, f := range from.By {
		m.by = append(m.by, m.operand(f))
		m.keys = append(m.keys, labelName(f))
		m.always = append(m.always, alwaysShown(f))
	}
	if from.Arg != nil {
		m.arg = m.operand(from.Arg)
	}
	if from.Compare != nil {
		m.compare = m.compileCompare(from.Compare)
		m.rowwise = false // it counts what only whole traces know
	}
	for i := range from.Second {
		m.second = append(m.second, compileSecond(&from.Second[i]))
	}
	return m, nil
}

// RelateAsTempo is [Program.RelateAsTempo] for the spans that the query observes.
func (m *Metrics) RelateAsTempo() { m.p.RelateAsTempo() }

// operand compiles an argument or an entry of by(). Attributes of a parent are
// allowed here and read as missing.
func (m *Metrics) operand(f syntax.Field) expr {
	if a, ok := f.(*syntax.AttrRef); ok && a.Parent {
		return constant{}
	}
	x := m.p.expr(f)
	m.p.touch(x, nil)
	x = m.p.ofMatched(x)
	if x.needs().trace {
		m.rowwise = false
	}
	return x
}

// rowwise tells whether every stage keeps or drops a span by that span alone.
// by() and coalesce() part and join spansets, which changes no count.
func rowwise(p *Program, stages []stage) bool {
	for _, s := range stages {
		switch s := s.(type) {
		case spansetStage:
			if !rowNode(p, s.node) {
				return false
			}
		case *grouping, coalesce:
		default:
			return false
		}
	}
	return true
}

func rowNode(p *Program, n node) bool {
	switch n := n.(type) {
	case pick:
		return p.filters[n].exact
	case *logical:
		return !n.and && rowNode(p, n.l) && rowNode(p, n.r)
	}
	return false
}

// exemplarHint reads with(exemplars=...): a number, or false for none.
func exemplarHint(hints []syntax.Hint) int {
	for _, h := range hints { // the first of a name counts
		if h.Name != "exemplars" {
			continue
		}
		switch {
		case h.Value.Type == syntax.LitInt && h.Value.Int >= 0:
			return int(min(h.Value.Int, 1<<20))
		case h.Value.Type == syntax.LitBool && h.Value.Int == 0:
			return 0
		}
		break
	}
	return -1
}

// Stats is what a metrics query looked at.
type Stats struct {
	Traces, Spans int
}

// Bounds limit what a metrics query may give and keep, and say what is known.
type Bounds struct {
	Exemplars int     // of all series together, of as many traces
	Memory    *Memory // nil for no limit

	Places *Places // what earlier queries over the same Tables have found; nil for nothing
}

// Run evaluates the query over Views, older ones first, and returns the series
// in order. The error is a [*MemoryError] when it would keep too much.
func (m *Metrics) Run(ctx context.Context, views []*trace.View, w Window, bounds Bounds) ([]Series, Stats, error) {
	lead := m.lead(w)
	s := &spans{
		Run: m.p.Start(ctx, views), m: m, w: w.led(lead), lead: lead,
		memory: bounds.Memory, slots: make([][]int32, len(views)),
	}
	s.Places, s.Memory = bounds.Places, bounds.Memory
	if !m.rowwise {
		if err := s.byTrees(); err != nil {
			return nil, s.stats, err
		}
	}
	if m.compare != nil {
		series, err := m.compare.count(s)
		return series, s.stats, err
	}
	a := newAccumulator(s)
	pick := newExemplars(w, bounds.Exemplars)
	tell := newTeller(m, views, w)
	for _, v := range views {
		if m.rowwise && s.overlaps(v) {
			s.stats.Spans += v.Spans()
		}
	}
	err := readAhead(len(views),
		func(view int) (*part, error) { return m.read(s, view) },
		func(p *part) error {
			if err := a.add(s, p, pick); err != nil {
				return err
			}
			tell.added(a, p)
			if p != nil {
				p.free(s)
			}
			return nil
		})
	if err != nil {
		return nil, s.stats, err
	}
	series := a.series()
	pick.attach(s, a, series)
	series = m.secondStages(ctx, series)
	sortSeries(ctx, series)
	return series, s.stats, nil
}

// lead is how many slots in front of the window are looked at as well. Their
// samples are in no answer. But recorded answers of functions that count list a
// series, all zero, for labels, a bucket or a value in compare() that only the slot
// in front has, and choose the values that come most often with that slot counted.
func (m *Metrics) lead(w Window) int {
	if w.Instant || w.Start < w.Step || m.compare == nil && (m.sums() || m.fn == "quantile_over_time") {
		return 0
	}
	return 1
}

// buckets tells whether the function sorts values into buckets.
func (m *Metrics) buckets() bool {
	return m.fn == "histogram_over_time" || m.fn == "quantile_over_time" && !m.exact
}

// sums tells whether the function makes one number of the spans' numbers. All
// others count spans.
func (m *Metrics) sums() bool { return m.arg != nil && !m.buckets() }
