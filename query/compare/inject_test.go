package compare_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"etude/query/compare"
	"etude/trace"
)

// program is an operation that works and calls others: stages one after the
// other, the calls of a stage at the same time.
type program struct {
	service, name string
	work          []int64 // before each stage, and after the last
	stages        [][]*program
}

// programs makes a random tree of operations and lists them. A service calls each
// operation under a name of its own, so that a merged profile keeps them apart.
func programs(r *rand.Rand, depth int, all *[]*program) *program {
	p := &program{service: fmt.Sprintf("service%d", r.IntN(6)), name: fmt.Sprintf("operation%d", len(*all))}
	*all = append(*all, p)
	stages := 0
	if depth > 0 {
		stages = r.IntN(4)
	}
	for range stages {
		var calls []*program
		for range 1 + r.IntN(3) {
			calls = append(calls, programs(r, depth-1, all))
		}
		p.stages = append(p.stages, calls)
	}
	for range stages + 1 {
		p.work = append(p.work, 1*ms+r.Int64N(20*ms))
	}
	return p
}

// run executes a program with jitter and a delay in one operation, and returns the
// spans in the order in which they end.
type run struct {
	r       *rand.Rand
	jitter  float64
	slow    *program
	delay   int64
	delayAt float64 // which of the operation's works
	spans   []compare.Span
}

func (x *run) call(p *program, parent trace.SpanID, start uint64) (end uint64) {
	s := compare.Span{Parent: parent, Service: p.service, Name: p.name, Start: start}
	x.r.Uint64()
	for i := range s.ID {
		s.ID[i] = byte(x.r.Uint32())
	}
	at := start
	for i, work := range p.work {
		at += uint64(float64(work) * (1 + x.jitter*(2*x.r.Float64()-1)))
		if p == x.slow && i == int(x.delayAt*float64(len(p.work))) {
			at += uint64(x.delay)
		}
		if i < len(p.stages) {
			begun := at
			for _, c := range p.stages[i] {
				at = max(at, x.call(c, s.ID, begun))
			}
		}
	}
	s.End = at
	x.spans = append(x.spans, s)
	return at
}

func execute(r *rand.Rand, p *program, slow *program, delay int64, delayAt float64) []compare.Span {
	x := run{r: r, jitter: 0.05, slow: slow, delay: delay, delayAt: delayAt}
	x.call(p, trace.SpanID{}, 1_000_000_000)
	return x.spans
}

// TestInjectedDelays slows down one operation of random programs, in which calls
// run side by side and every time varies by a twentieth, and demands that the
// comparison names it: in at least 95 of 100, for two traces and for two sets of
// 20. Counted are delays that made the trace longer: a delay in the shadow of a
// longer call is not to be found in the duration.
func TestInjectedDelays(t *testing.T) {
	t.Parallel()
	for _, traces := range []int{1, 20} {
		t.Run(fmt.Sprintf("%d traces", traces), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(traces), 7))
			found, tried := 0, 0
			for tried < 300 {
				var all []*program
				p := programs(r, 4, &all)
				slow, at := all[r.IntN(len(all))], r.Float64()
				c := compare.New(traces == 1)
				before := execute(r, p, nil, 0, 0)
				delay := int64(float64(before[len(before)-1].End-before[len(before)-1].Start) * (0.3 + r.Float64()))
				c.Before.Add(before)
				c.After.Add(execute(r, p, slow, delay, at))
				for range traces - 1 {
					c.Before.Add(execute(r, p, nil, 0, 0))
					c.After.Add(execute(r, p, slow, delay, at))
				}
				report := c.Report()
				adds(t, report)
				if report.Difference() < float64(delay)/2 {
					continue
				}
				tried++
				if top := report.Rows[report.Top()[0]]; top.Service == slow.service && top.Name == slow.name && top.Own > 0 {
					found++
				}
			}
			t.Logf("%d of %d delays are found", found, tried)
			if found*100 < tried*95 {
				t.Errorf("%d of %d delays are found", found, tried)
			}
		})
	}
}

// TestWithItself says nothing: of a trace, and of a set.
func TestWithItself(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	for range 100 {
		var all []*program
		p := programs(r, 4, &all)
		exact := r.IntN(2) == 0
		c := compare.New(exact)
		for range 1 + r.IntN(3) {
			spans := execute(r, p, nil, 0, 0)
			c.Before.Add(spans)
			c.After.Add(spans)
		}
		report := c.Report()
		if top := report.Top(); len(top) > 0 || report.Difference() != 0 {
			t.Fatalf("a trace differs from itself by %g, in %d rows", report.Difference(), len(top))
		}
		for _, row := range report.Rows {
			if row.Before == nil || row.After == nil || row.Before.Example != row.After.Example {
				t.Fatalf("%s %s has another counterpart than itself", row.Service, row.Name)
			}
		}
	}
}

// TestAnyPair compares unlike traces whose ids say anything: the parts add up, the
// other way round they have the opposite sign, and what Trim drops is summed up.
func TestAnyPair(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		a, b := wild(r), wild(r)
		exact := r.IntN(2) == 0
		there, back := compare.New(exact), compare.New(exact)
		there.Before.Add(a)
		there.After.Add(b)
		back.Before.Add(b)
		back.After.Add(a)
		if !exact {
			more := wild(r)
			there.After.Add(more)
			back.Before.Add(more)
		}
		one, two := there.Report(), back.Report()
		adds(t, one)
		if d := one.Difference() + two.Difference(); math.Abs(d) > 1e-3 {
			t.Errorf("there and back differ by %g", d)
		}
		if !exact && math.Abs(sizes(one)-sizes(two)) > 1e-6*(1+sizes(one)) {
			t.Errorf("parts there have a size of %g, back of %g", sizes(one), sizes(two))
		}
		for i, row := range one.Rows {
			if row.Parent >= i {
				t.Fatalf("row %d comes before its parent %d", i, row.Parent)
			}
		}
		rows := len(one.Rows)
		most := 1 + r.IntN(rows)
		one.Trim(most)
		adds(t, one)
		if len(one.Rows) > most || len(one.Rows)+one.Others != rows {
			t.Errorf("of %d rows %d are kept and %d are not, at most %d may be", rows, len(one.Rows), one.Others, most)
		}
	}
}

func sizes(r *compare.Report) (sum float64) {
	for _, row := range r.Rows {
		sum += math.Abs(row.Own) + math.Abs(row.Overlap)
	}
	return sum
}

// wild makes spans with repeated ids, missing parents, circles and odd times.
func wild(r *rand.Rand) []compare.Span {
	spans := make([]compare.Span, 1+r.IntN(40))
	for i := range spans {
		s := &spans[i]
		s.ID = id(r.IntN(len(spans) + 2))
		s.Parent = id(r.IntN(len(spans) + 4))
		if i == 0 {
			s.Parent = trace.SpanID{}
		}
		s.Service, s.Name, s.Kind = fmt.Sprint("s", r.IntN(3)), fmt.Sprint("n", r.IntN(4)), trace.Kind(r.IntN(7))
		s.Start, s.End = r.Uint64N(200), r.Uint64N(200)
		if r.IntN(20) == 0 {
			s.End = ^uint64(0)
		}
	}
	return spans
}

// TestDepth compares chains of 100,000 spans.
func TestDepth(t *testing.T) {
	t.Parallel()
	c := compare.New(true)
	c.Before.Add(chain(100_000, 0))
	c.After.Add(chain(100_000, 5000))
	report := c.Report()
	adds(t, report)
	if top := report.Top(); len(top) != 1 || report.Rows[top[0]].Depth != 100_000 {
		t.Errorf("%d rows differ, the last span alone should", len(top))
	}
	report.Trim(100)
	adds(t, report)
}

func chain(n, delay int) []compare.Span {
	spans := make([]compare.Span, n)
	for i := range spans {
		s := &spans[i]
		s.ID = trace.SpanID{4: byte(i >> 16), 5: byte(i >> 8), 6: byte(i), 7: 1}
		s.Service, s.Name, s.Start, s.End = "s", "n", uint64(1000+i), uint64(1_000_000+delay-i)
		if i > 0 {
			s.Parent = spans[i-1].ID
		}
	}
	return spans
}

func BenchmarkAdd(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	var all []*program
	spans := execute(r, programs(r, 5, &all), nil, 0, 0)
	b.ReportAllocs()
	for b.Loop() {
		c := compare.New(false)
		c.Before.Add(spans)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(spans)), "ns/span")
}

func BenchmarkReport(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	var all []*program
	p := programs(r, 5, &all)
	c := compare.New(true)
	c.Before.Add(execute(r, p, nil, 0, 0))
	c.After.Add(execute(r, p, all[len(all)/2], 50*ms, 0.5))
	b.ReportAllocs()
	for b.Loop() {
		c.Report()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(all)), "ns/span")
}
