package query

import (
	"context"
	"math"
	"slices"
	"time"

	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// Request is a search. Either Query or Tags is given, or neither for all traces.
type Request struct {
	Query string
	Tags  []eval.Tag

	// MinDuration and MaxDuration bound the duration of the whole trace,
	// inclusive; 0 for no bound.
	MinDuration, MaxDuration time.Duration

	// Start and End select traces that overlap the window, edges included, in unix nanoseconds. Both zero: no
	// window. If a trace has spans before and after the window but none within, and all its parts are on disk
	// and outside of the window, the search does not find it. Otherwise it would have to read every part.
	Start, End uint64

	Limit           int // traces; 0 for the default of 20
	SpansPerSpanSet int // spans listed per spanset; 0 for the default of 3

	// The search calls Progress, unless nil, whenever more traces are sure to be in the answer or more parts
	// are done, and now and then without news. Progress may keep the slice.
	Progress func(SearchProgress)
}

// SearchProgress is the progress of a search.
type SearchProgress struct {
	// Sure are the first traces of the answer, the newest first. They are final.
	Sure []Trace

	InspectedTraces, InspectedSpans int

	// Parts is the number of parts (blocks and tables). PartsDone is how many of them the search has read or ruled out.
	Parts, PartsDone int

	// Reached: no trace that starts later can be added. Unix nanoseconds.
	Reached uint64
}

// Defaults of a Request.
const (
	DefaultLimit           = 20
	DefaultSpansPerSpanSet = 3
)

// Result is the answer to a search, newest trace first.
type Result struct {
	Traces          []Trace
	InspectedTraces int
	InspectedSpans  int
}

// Trace is one trace of a Result. Only an answer to a TraceQL query has SpanSets and Services.
type Trace struct {
	ID                    trace.TraceID
	RootService, RootName string // empty if unknown or absent
	Unserviced            bool   // the trace has its root, and the root's resource has no service name
	Start                 uint64 // unix nanoseconds
	Duration              time.Duration
	SpanSets              []SpanSet
	Services              []ServiceStats
}

// SpanSet is one result of a query's pipeline. Matched counts its spans before the cut to SpansPerSpanSet.
type SpanSet struct {
	Spans   []Span
	Matched int
	Attrs   []eval.Attr
}

// Span is one span of a SpanSet. Name is set if the query reads it.
type Span struct {
	ID       trace.SpanID
	Name     string
	Start    uint64
	Duration uint64 // nanoseconds
	Attrs    []eval.Attr
}

// ServiceStats counts the spans of one service in the whole trace.
type ServiceStats struct {
	Service       string
	Spans, Errors int
}

// Search finds traces. An error in the request is an [*InputError].
func (e *Engine) Search(ctx context.Context, req Request) (*Result, error) {
	done := Work{Query: req.Query}
	defer e.report(ctx, &done)
	j, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	ctx, j.advice = j.Context(), "ask for fewer traces, or fewer spans of each"
	p, err := e.compile(ctx, req)
	if err != nil {
		return nil, err
	}
	planned := e.observer.Stage(ctx, Planning)
	snap, err := e.snapshot(ctx)
	if err != nil {
		planned()
		return nil, err
	}
	defer snap.Close()
	parts := e.parts(j, snap, func() (rows, whole *trace.Need) { return searchNeed(p, req) })
	defer parts.Close()
	parts.ByPage(func() *trace.Need { return &ofTraces })
	s := &search{
		ctx: ctx, req: req.withDefaults(), program: p, run: p.Start(ctx, parts), list: parts.List(), facts: e.facts,
		out: &Result{}, job: j,
	}
	s.plan()
	planned()
	evaluated := e.observer.Stage(ctx, Evaluating)
	err = s.walk()
	evaluated()
	done.Tables, done.Spans, done.Results = len(parts.List()), s.out.InspectedSpans, len(s.out.Traces)
	if err != nil {
		return nil, err
	}
	return s.out, nil
}

// ofTraces declares the columns that a search reads of every part that it cannot rule out: the times of traces.
var ofTraces = trace.Need{Columns: trace.TraceTimes}

// searchNeed declares the columns that a search reads: from each part the columns for masks and for the order
// of traces, and from whole traces all columns that the answer shows.
func searchNeed(p *eval.Program, req Request) (rows, whole *trace.Need) {
	rows, whole = p.RowNeed(), p.Need()
	rows.Columns |= trace.TraceTimes
	eval.DeclareRoot(whole)
	if req.Query != "" {
		whole.Columns |= trace.Statuses // of services
	}
	whole.Add(rows)
	return rows, whole
}

func (r Request) withDefaults() Request {
	if r.Limit <= 0 {
		r.Limit = DefaultLimit
	}
	if r.SpansPerSpanSet <= 0 {
		r.SpansPerSpanSet = DefaultSpansPerSpanSet
	}
	if r.Start == 0 && r.End == 0 {
		r.End = math.MaxUint64
	}
	if r.MaxDuration <= 0 {
		r.MaxDuration = math.MaxInt64
	}
	return r
}

func (e *Engine) compile(ctx context.Context, req Request) (*eval.Program, error) {
	defer e.observer.Stage(ctx, Parsing)()
	if req.Query == "" {
		return eval.CompileTags(req.Tags), nil
	}
	q, err := Parse(req.Query)
	if err != nil {
		return nil, err
	}
	p, err := eval.Compile(q)
	if err != nil {
		return nil, &InputError{err}
	}
	if e.o.TempoStructure {
		p.RelateAsTempo()
	}
	return p, nil
}

// Parse reads and checks a query. The error is an [*InputError].
func Parse(text string) (*syntax.Query, error) {
	q, err := syntax.Parse(text)
	if err == nil {
		err = check.Query(q)
	}
	if err != nil {
		return nil, inputErrorf("invalid TraceQL query: %w", err)
	}
	return q, nil
}

// search is one run of Search.
type search struct {
	ctx     context.Context
	req     Request
	program *eval.Program
	run     *eval.Run
	list    []trace.Part
	facts   *factCache
	cursors cursors
	t       eval.Trace
	seen    map[trace.TraceID]bool // split traces already evaluated; nil for none
	out     *Result
	told    int // traces that Progress has received

	toldParts int // the same for finished parts

	fromDisk bool // some parts are closed before the search ends

	job *Job
}

// plan begins a cursor for each part that it cannot rule out.
func (s *search) plan() {
	s.run.Within(s.req.Start, s.req.End, true)
	s.cursors = make(cursors, 0, min(len(s.list), 32))
	for i := range s.list {
		if s.run.Skips(i) {
			continue
		}
		s.fromDisk = s.fromDisk || !s.list[i].Resident
		c := &cursor{part: i, last: s.list[i].MaxEnd}
		if c.times = s.facts.of(s.list[i].ID).known(s.list[i].Spans); c.times != nil {
			c.order = c.times.order
		}
		s.cursors = append(s.cursors, c)
	}
	s.cursors.order()
}

// walk evaluates candidates, the newest first, until the result cannot change.
func (s *search) walk() error {
	defer s.ahead()()
	for n := 0; len(s.cursors) > 0; n++ {
		if n%64 == 0 && s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		c := s.cursors[0]
		if s.full(c) {
			break
		}
		s.tell(n, c.start())
		if err := s.step(c); err != nil {
			return err
		}
		if c.settle() {
			s.cursors.down(0)
		} else {
			s.cursors.drop()
			s.run.Release(c.part)
		}
	}
	return nil
}

// step opens the part of a cursor, finds its candidates, or evaluates one of them.
func (s *search) step(c *cursor) error {
	switch {
	case c.ids == nil:
		return s.open(c)
	case !c.ready:
		if err := s.run.OpenTraces(c.part); err != nil { // again, if the search has opened many others since
			return err
		}
		sure, doubtful, err := s.run.Candidates(c.part)
		if err != nil {
			return err
		}
		c.sure, c.cand, c.ready = sure, eval.Union(sure, doubtful), true
		if !c.cand.Empty() && c.order == nil {
			if c.order = c.few(); c.order == nil {
				c.order = s.facts.of(s.list[c.part].ID).inOrder(s.run.View(c.part), c.times).order
			}
		}
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		return nil
	}
	err := s.visit(c)
	c.at++
	return err
}

func (s *search) open(c *cursor) error {
	s.run.Trim()
	if err := s.run.OpenTraces(c.part); err != nil {
		return err
	}
	v := s.run.View(c.part)
	c.ids, c.times = v.TraceIDs, s.facts.of(s.list[c.part].ID).chronology(v)
	c.order = c.times.order
	return nil
}

// full reports whether the result has its maximum of traces and all of them precede the trace at the newest
// cursor. That trace and all following ones start at the cursor's time or, with their rows in other Views,
// earlier.
func (s *search) full(c *cursor) bool {
	found := s.out.Traces
	if len(found) < s.req.Limit {
		return false
	}
	last := &found[s.req.Limit-1]
	return newerFirst(c.start(), c.id(), last.Start, last.ID) >= 0
}

// visit evaluates the trace at a cursor and keeps it if it has a result.
func (s *search) visit(c *cursor) error {
	id := c.id()
	if s.seen[id] {
		return nil
	}
	s.run.Trim()
	if !c.isSure() {
		if may, err := s.run.May(id); err != nil || !may {
			return err
		}
	}
	if found, err := s.run.Load(&s.t, id); err != nil || !found {
		return err
	}
	if s.t.Split {
		if s.seen == nil {
			s.seen = map[trace.TraceID]bool{}
		}
		s.seen[id] = true
		if err := s.job.Hold(seenBytes, "%d traces looked at", s.out.InspectedTraces); err != nil {
			return err
		}
	}
	d := time.Duration(s.t.Duration())
	if s.t.Start > s.req.End || s.t.End < s.req.Start || d < s.req.MinDuration || d > s.req.MaxDuration {
		return nil
	}
	s.out.InspectedTraces++
	s.out.InspectedSpans += len(s.t.Spans)
	sets, err := s.run.Trace(&s.t)
	switch {
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	case err != nil:
		return &InputError{err}
	case len(sets) > 0:
		return s.keep(sets)
	}
	return nil
}

// seenBytes estimates the memory of a trace id in a map.
const seenBytes = 48

// keep inserts the trace at its place in the result.
func (s *search) keep(sets []eval.Spanset) error {
	at, _ := slices.BinarySearchFunc(s.out.Traces, &s.t, func(have Trace, t *eval.Trace) int {
		return newerFirst(have.Start, have.ID, t.Start, t.ID)
	})
	if at >= s.req.Limit {
		return nil
	}
	t := Trace{ID: s.t.ID, Start: s.t.Start, Duration: time.Duration(s.t.Duration())}
	t.RootName, t.RootService = s.t.Root()
	t.Unserviced = t.RootService == "" && s.t.HasRoot()
	s.omit(&t)
	if s.req.Query != "" {
		t.Services = serviceStats(&s.t)
	}
	if s.fromDisk {
		t.own()
	}
	if s.req.Query != "" {
		for i, set := range sets {
			t.SpanSets = append(t.SpanSets, s.spanSet(set))
			if s.fromDisk {
				t.SpanSets[i].own()
			}
			if err := s.job.Hold(t.SpanSets[i].bytes(), "%d traces and %d sets of spans of the next", len(s.out.Traces), i+1); err != nil {
				return err
			}
		}
	}
	if s.out.Traces == nil {
		s.out.Traces = make([]Trace, 0, min(s.req.Limit+1, 32))
	}
	s.out.Traces = slices.Insert(s.out.Traces, at, t)
	for len(s.out.Traces) > s.req.Limit {
		last := len(s.out.Traces) - 1
		s.job.memory.Free(s.out.Traces[last].bytes())
		s.out.Traces = s.out.Traces[:last]
	}
	return s.job.Hold(t.headBytes(), "%d traces", len(s.out.Traces))
}

// omit clears the fields that an answer to the query does not show.
func (s *search) omit(t *Trace) {
	if s.program.Omits(syntax.TraceDuration) {
		t.Duration = 0
	}
	if s.program.Omits(syntax.RootName) {
		t.RootName = ""
	}
	if s.program.Omits(syntax.RootService) {
		t.RootService, t.Unserviced = "", false
	}
}

func (s *search) spanSet(set eval.Spanset) SpanSet {
	listed := set.Spans[:min(len(set.Spans), s.req.SpansPerSpanSet)]
	out := SpanSet{Spans: make([]Span, 0, len(listed)), Matched: len(set.Spans), Attrs: set.Attrs}
	for _, i := range listed {
		r := s.t.Spans[i]
		v := s.t.View(r)
		out.Spans = append(out.Spans, Span{
			ID: v.SpanID[r.Row], Name: s.run.Name(i), Start: v.Start[r.Row],
			Duration: uint64(max(0, v.Duration(r.Row))), Attrs: s.run.Attrs(i),
		})
	}
	return out
}
