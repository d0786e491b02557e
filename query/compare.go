package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"etude/otlp"
	"etude/query/compare"
	"etude/trace"
	"etude/traceql/eval"
)

// CompareSide is one side of a comparison: a trace, or the traces that a query finds. Only the side before can
// be the usual traces: traces with the same root operation as the trace after. The time range is as in
// [Request].
type CompareSide struct {
	Trace      trace.TraceID
	Query      string
	Usual      bool
	Start, End uint64
}

// CompareRequest asks why After takes longer than Before.
type CompareRequest struct {
	Before, After CompareSide
	Limit         int // traces per side; 0 for DefaultCompared, at most MaxCompared
	Rows          int // of the answer; 0 for DefaultRows, at most MaxRows
}

// Bounds of a CompareRequest.
const (
	DefaultCompared = 200
	MaxCompared     = 1000
	DefaultRows     = 500
	MaxRows         = 10_000
)

// Compared describes the traces of one side. Compare read only the first MaxTraceSpans spans of the Partial
// traces. For usual traces it used the traces between the quartiles of Found.
type Compared struct {
	Query   string // empty for a trace
	Traces  []trace.TraceID
	Found   int
	Partial int
	Profile *compare.Profile
}

// Comparison is the answer: the durations of the traces, and the operations that cause the difference.
type Comparison struct {
	Before, After Compared
	*compare.Report
}

// Compare compares two sides. A mistake in the request, or a side without traces, is an [*InputError].
func (e *Engine) Compare(ctx context.Context, req CompareRequest) (*Comparison, error) {
	var done Work
	defer e.report(ctx, &done)
	if err := req.check(); err != nil {
		return nil, err
	}
	j, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	j.inner = true
	defer func() { j.inner = false }()
	c := comparing{e: e, j: j, ctx: j.Context(), limit: req.Limit, Comparison: compare.New(!req.After.Trace.IsZero() && !req.Before.Trace.IsZero())}
	out := &Comparison{}
	if out.After, err = c.side("after", req.After, req.After, c.After); err == nil {
		out.Before, err = c.side("before", req.Before, req.After, c.Before)
	}
	done.Spans, done.Results = c.Before.Spans()+c.After.Spans(), c.Before.Traces()+c.After.Traces()
	if err != nil {
		return nil, err
	}
	j.advice = "compare fewer traces, or narrow the queries"
	if err := j.Hold(rowBytes*(c.Before.Nodes()+c.After.Nodes()), "a comparison of %d operations", c.Before.Nodes()+c.After.Nodes()); err != nil {
		return nil, err
	}
	out.Report = c.Report()
	out.Trim(req.Rows)
	return out, j.Err()
}

// rowBytes estimates the memory of a node as a row of the report.
const rowBytes = 400

func (r *CompareRequest) check() error {
	for _, s := range []struct {
		name string
		CompareSide
	}{{"before", r.Before}, {"after", r.After}} {
		if s.Trace.IsZero() && s.Query == "" && !s.Usual {
			return inputErrorf("%s is empty: it must be the id of a trace or a TraceQL query", s.name)
		}
		if s.Query != "" {
			if _, err := Parse(s.Query); err != nil {
				return inputErrorf("%s: %w", s.name, err)
			}
		}
	}
	if r.After.Usual || r.Before.Usual && r.After.Trace.IsZero() {
		return inputErrorf("usual is what one trace is compared with: before=usual, after=the id of the trace")
	}
	if r.Limit > MaxCompared || r.Limit < 0 {
		return inputErrorf("limit %d: at most %d traces of a side can be compared", r.Limit, MaxCompared)
	}
	if r.Rows > MaxRows || r.Rows < 0 {
		return inputErrorf("rows %d: an answer has at most %d", r.Rows, MaxRows)
	}
	if r.Limit == 0 {
		r.Limit = DefaultCompared
	}
	if r.Rows == 0 {
		r.Rows = DefaultRows
	}
	return nil
}

// comparing is one run of Compare.
type comparing struct {
	e     *Engine
	j     *Job
	ctx   context.Context
	limit int
	spans []compare.Span // of one trace; reused
	*compare.Comparison
}

// side reads the traces of a side.
func (c *comparing) side(name string, s, after CompareSide, into *compare.Profile) (out Compared, err error) {
	out.Query, out.Profile = s.Query, into
	switch {
	case s.Usual:
		out.Query, out.Traces, out.Found, err = c.usual(after.Trace, s)
	case s.Query != "":
		out.Traces, err = c.find(s.Query, s)
		out.Found = len(out.Traces)
	default:
		out.Traces, out.Found = []trace.TraceID{s.Trace}, 1
	}
	if err != nil {
		return out, err
	}
	kept := out.Traces[:0]
	for _, id := range out.Traces {
		partial, err := c.add(id, into)
		if err != nil {
			return out, err
		}
		if partial {
			out.Partial++
		}
		if into.Traces() > len(kept) { // the trace may have left since the search
			kept = append(kept, id)
		}
	}
	switch out.Traces = kept; {
	case len(kept) > 0:
		return out, nil
	case !s.Trace.IsZero():
		return out, inputErrorf("%s: no trace has the id %s: it has not arrived, or is older than the retention", name, s.Trace)
	default:
		return out, inputErrorf("%s: no trace matches %s in its time range: take another range, or fewer conditions", name, out.Query)
	}
}

// find returns the newest traces that a query finds.
func (c *comparing) find(query string, s CompareSide) (ids []trace.TraceID, err error) {
	used := c.j.memory.Used()
	r, err := c.e.Search(c.ctx, Request{Query: query, Start: s.Start, End: s.End, Limit: c.limit, SpansPerSpanSet: 1})
	if err != nil {
		return nil, err
	}
	c.j.memory.Free(int(c.j.memory.Used() - used)) // the side keeps only the ids
	for _, t := range r.Traces {
		ids = append(ids, t.ID)
	}
	return ids, nil
}

// usual returns the other traces with the same root operation as a trace. It returns only the traces between
// the quartiles of duration, so that a few outliers have no effect.
func (c *comparing) usual(of trace.TraceID, s CompareSide) (query string, ids []trace.TraceID, found int, err error) {
	r, err := c.e.Search(c.ctx, Request{Query: fmt.Sprintf("{ trace:id = %q }", of.String()), Limit: 1})
	if err != nil {
		return "", nil, 0, err
	}
	if len(r.Traces) == 0 || r.Traces[0].RootName == "" {
		return "", nil, 0, inputErrorf("the root of trace %s has not arrived, so its operation is not known: compare it with another trace or a query", of)
	}
	query = fmt.Sprintf("{ trace:rootService = %s && trace:rootName = %s }", strconv.Quote(r.Traces[0].RootService), strconv.Quote(r.Traces[0].RootName))
	if r, err = c.e.Search(c.ctx, Request{Query: query, Start: s.Start, End: s.End, Limit: min(MaxCompared, 2*c.limit) + 1, SpansPerSpanSet: 1}); err != nil {
		return query, nil, 0, err
	}
	all := slices.DeleteFunc(r.Traces, func(t Trace) bool { return t.ID == of })
	found = len(all)
	slices.SortStableFunc(all, func(a, b Trace) int { return cmp.Compare(a.Duration, b.Duration) })
	for _, t := range all[found/4 : found-found/4] {
		ids = append(ids, t.ID)
	}
	return query, ids[:min(len(ids), c.limit)], found, nil
}

// add reads a trace into a profile. It frees the memory of the trace afterwards.
func (c *comparing) add(id trace.TraceID, into *compare.Profile) (partial bool, err error) {
	used, open, bytes := c.j.memory.Used(), c.j.open.bytes(), into.Bytes()
	t, err := c.e.Trace(c.ctx, id, 0)
	if err != nil || len(t.Spans) == 0 {
		return false, err
	}
	if err := c.j.Hold(len(t.Spans)*comparedBytes, "a trace of %d spans to compare", len(t.Spans)); err != nil {
		return false, err
	}
	c.spans = c.spans[:0]
	for _, r := range t.Spans {
		c.spans = append(c.spans, spanOf(r))
	}
	into.Add(c.spans)
	c.j.memory.Free(int(c.j.memory.Used() - used))
	c.j.open.Grow(int(open - c.j.open.bytes()))
	if err := c.j.Hold(into.Bytes()-bytes, "%d traces compared", into.Traces()); err != nil {
		return false, err
	}
	return t.Partial(), c.j.Err()
}

// comparedBytes estimates the memory of a span while its trace is merged.
const comparedBytes = 96 + 120

func spanOf(r otlp.Ref) compare.Span {
	v, row := r.View, r.Row
	return compare.Span{
		ID: v.SpanID[row], Parent: v.Parent[row], Service: eval.Service(v, row), Name: v.Text(v.Name[row]),
		Kind: trace.Kind(v.Kind[row]), Start: v.Start[row], End: v.End[row],
		Error: trace.Status(v.Status[row]) == trace.StatusError,
	}
}
