package eval

import (
	"context"
	"slices"
	"sync"

	"etude/trace"
)

// Spanset is a set of spans of one trace, as indexes into Trace.Spans in
// ascending order, with the attributes that by() and aggregates gave it.
type Spanset struct {
	Spans []int32
	Attrs []Attr
}

// Attr is a key and value of an answer.
type Attr struct {
	Key   string
	Value Value
}

// stage is one step of a pipeline.
type stage interface {
	apply(r *Run, in []Spanset) ([]Spanset, error)
}

// node is a spanset expression: it picks spans out of a spanset.
type node interface {
	// pick returns the spans it keeps, in ascending order. single is false when
	// they come from several groups.
	pick(r *Run, in []int32) (out []int32, single bool, err error)
	// candidates returns the traces of a View in which it may keep a span.
	candidates(r *Run, view int) Mask
}

// Run evaluates a Program over a fixed list of Views, older ones first. It
// belongs to one goroutine.
type Run struct {
	ctx   context.Context
	p     *Program
	views []*trace.View
	bound []*Bound
	cands map[candKey]Mask
	all   []int32
	c     ctx
	t     *Trace
	last  Trace // see whole
	poll  Poll
	spans int // the most that a trace has had
	kept  int // bytes that the current trace takes beside its spans

	// Memory, if set before anything is asked, counts what the Run keeps.
	Memory Memory

	// Places, if set before anything is asked, knows the traces of the Views' Tables.
	Places *Places

	loads     int
	dirOnce   sync.Once
	dir       *directory
	againOnce sync.Once
	again     []Mask        // see Repeated
	groups    map[node]Mask // of the traces that may match, see directory.groupSet
}

// Start begins a Run. When ctx is done, long work ends early with too few
// spans; the caller asks ctx before it believes an answer.
func (p *Program) Start(ctx context.Context, views []*trace.View) *Run {
	return &Run{ctx: ctx, poll: Poll{ctx: ctx}, Memory: unlimited{}, p: p, views: views, bound: make([]*Bound, len(views)), cands: map[candKey]Mask{}, groups: map[node]Mask{}}
}

func (r *Run) bind(view int) *Bound {
	if r.bound[view] == nil {
		r.bound[view] = r.p.bind(r.ctx, r.views[view], r.Memory)
	}
	return r.bound[view]
}

// Candidates returns the trace numbers of a View that may have a result. A trace
// whose result depends on spans in several Views is a candidate in at least one
// of those in which it has spans that matter.
func (r *Run) Candidates(view int) Mask {
	for _, s := range r.p.stages {
		if s, ok := s.(spansetStage); ok {
			return r.candidates(view, s.node)
		}
	}
	return fullMask(len(r.views[view].TraceIDs))
}

// Trace sends one trace, loaded from the Views of the Run, through the pipeline.
// No spanset means that the trace is not in the result.
func (r *Run) Trace(t *Trace) ([]Spanset, error) {
	r.hold(t)
	t.tree.strict = r.p.tempoStructure
	for len(r.all) < len(t.Spans) {
		r.all = append(r.all, int32(len(r.all)))
	}
	sets := []Spanset{{Spans: r.all[:len(t.Spans)]}}
	return apply(r, r.p.stages, sets)
}

// hold makes a trace the current one and counts its memory.
func (r *Run) hold(t *Trace) {
	r.t = t
	if n := len(t.Spans) - r.spans; n > 0 {
		r.spans += n
		_ = r.Memory.Take(n*spanBytes, "a trace of %d spans", len(t.Spans)) // the context tells
	}
	if r.kept > 0 {
		r.Memory.Free(r.kept)
		r.kept = 0
	}
}

func apply(r *Run, stages []stage, sets []Spanset) (_ []Spanset, err error) {
	for _, s := range stages {
		if sets, err = s.apply(r, sets); err != nil || len(sets) == 0 {
			return nil, err
		}
	}
	return sets, nil
}

// at points the context at a span of the trace.
func (r *Run) at(span int32) *ctx {
	ref := r.t.Spans[span]
	r.c = ctx{b: r.bind(ref.View), t: r.t, span: int(span), row: ref.Row, event: -1, link: -1}
	return &r.c
}

// spansetStage applies a spanset expression to every spanset.
type spansetStage struct{ node node }

func (s spansetStage) apply(r *Run, in []Spanset) ([]Spanset, error) {
	out := in[:0:0]
	for _, set := range in {
		if r.poll.Stop(1) {
			return nil, context.Cause(r.ctx)
		}
		spans, _, err := s.node.pick(r, set.Spans)
		if err != nil {
			return nil, err
		}
		if len(spans) > 0 {
			out = append(out, Spanset{Spans: spans, Attrs: set.Attrs})
		}
	}
	return out, nil
}

// pick is a filter, by its number.
type pick int

func (f pick) candidates(r *Run, view int) Mask {
	v := r.views[view]
	m := NewMask(len(v.TraceIDs))
	if r.p.filters[f].all {
		return fullMask(len(v.TraceIDs))
	}
	for row := range r.bind(view).mask(int(f)).Rows {
		m.Set(v.Trace[row])
	}
	return m
}

func (f pick) pick(r *Run, in []int32) (out []int32, single bool, err error) {
	fl := &r.p.filters[f]
	for len(in) > 0 {
		some := in[:min(len(in), 1+pollEvery/max(1, fl.work))]
		if r.poll.Stop(len(some) * fl.work) {
			return nil, true, context.Cause(r.ctx)
		}
		out = f.pickSome(r, some, out)
		in = in[len(some):]
	}
	return out, true, nil
}

func (f pick) pickSome(r *Run, in, out []int32) []int32 {
	fl := &r.p.filters[f]
	for _, span := range in {
		ref := r.t.Spans[span]
		if !r.bind(ref.View).mask(int(f)).Has(ref.Row) {
			continue
		}
		if fl.exact || fl.cond.holds(r.at(span)) {
			out = append(out, span)
		}
	}
	return out
}

// logical is L && R or L || R between spansets.
type logical struct {
	and  bool
	l, r node
}

func (o *logical) pick(r *Run, in []int32) ([]int32, bool, error) {
	left, _, err := o.l.pick(r, in)
	if err != nil || o.and && len(left) == 0 {
		return nil, true, err
	}
	right, _, err := o.r.pick(r, in)
	if err != nil || o.and && len(right) == 0 {
		return nil, true, err
	}
	return union(left, right), true, nil
}

func (o *logical) candidates(r *Run, view int) Mask {
	if o.and {
		return r.both(view, o.l, o.r)
	}
	m := r.candidates(view, o.l).clone()
	m.or(r.candidates(view, o.r))
	return m
}

// candKey names the candidates of a node in a View.
type candKey struct {
	node node
	view int
}

// candidates returns node.candidates, kept for the rest of the Run. Nobody may
// change it.
func (r *Run) candidates(view int, n node) Mask {
	key := candKey{n, view}
	m, ok := r.cands[key]
	if !ok {
		m = n.candidates(r, view)
		r.cands[key] = m
		_ = r.Memory.Take(8*len(m), "the candidates of %d filters", len(r.cands)) // the context tells
	}
	return m
}

// both returns the traces in which both sides may match: here, or, for a trace
// that has spans in other Views too, one side here and the other there.
func (r *Run) both(view int, left, right node) Mask {
	l, rt := r.candidates(view, left), r.candidates(view, right)
	out := l.clone()
	out.and(rt)
	r.addSplit(out, view, l, rt, right)
	r.addSplit(out, view, rt, l, left)
	return out
}

// addSplit adds the traces of one side that have the other side in another View.
func (r *Run) addSplit(out Mask, view int, have, lack Mask, other node) {
	// Whole traces are the rule. When the other side is nowhere in this View it
	// is most often nowhere at all, and then no trace needs to be looked up.
	if lack.Empty() && r.nowhere(other) {
		return
	}
	rest := have.clone()
	rest.AndNot(lack)
	if len(r.views) < 2 || rest.Empty() {
		return
	}
	d := r.directory()
	if rest.and(d.shared(view)); rest.Empty() {
		return // Fast path: the candidates of other Views need not be known.
	}
	anywhere, ok := r.groups[other]
	if !ok {
		anywhere = d.groupSet(func(view int) Mask { return r.candidates(view, other) })
		r.groups[other] = anywhere
		_ = r.Memory.Take(8*len(anywhere), "the candidates of %d filters", len(r.groups)) // the context tells
	}
	if r.ctx.Err() != nil {
		return
	}
	d.eachGroup(view, rest, func(number, group uint32) {
		if anywhere.Has(group) {
			out.Set(number)
		}
	})
}

func (r *Run) nowhere(n node) bool {
	for view := range r.views {
		if !r.candidates(view, n).Empty() {
			return false
		}
	}
	return true
}

// union merges two ascending lists.
func union(a, b []int32) []int32 {
	out := make([]int32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			out, a = append(out, a[0]), a[1:]
		case a[0] > b[0]:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// group is a pipeline in parentheses, as an operand.
type group struct{ stages []stage }

func (g *group) pick(r *Run, in []int32) ([]int32, bool, error) {
	sets, err := apply(r, g.stages, []Spanset{{Spans: in}})
	if err != nil || len(sets) == 0 {
		return nil, true, err
	}
	out := sets[0].Spans
	for _, s := range sets[1:] {
		out = union(out, s.Spans)
	}
	return out, len(sets) == 1, nil
}

func (g *group) candidates(r *Run, view int) Mask {
	for _, s := range g.stages {
		if s, ok := s.(spansetStage); ok {
			return s.node.candidates(r, view)
		}
	}
	return fullMask(len(r.views[view].TraceIDs))
}

// grouping is by(x): it splits every spanset by the value of x.
type grouping struct {
	key string
	x   expr
}

func (g *grouping) apply(r *Run, in []Spanset) ([]Spanset, error) {
	var out []Spanset
	for _, set := range in {
		groups := map[string]int{}
		for _, span := range set.Spans {
			if r.poll.Stop(1) {
				return nil, context.Cause(r.ctx)
			}
			v := g.x.value(r.at(span))
			at, ok := groups[v.Key()]
			if !ok {
				at = len(out)
				groups[v.Key()] = at
				r.kept += groupBytes + len(set.Attrs)*attrBytes
				if err := r.Memory.Take(groupBytes+len(set.Attrs)*attrBytes, "%d groups of one trace", at+1); err != nil {
					return nil, context.Cause(r.ctx)
				}
				out = append(out, Spanset{Attrs: append(slices.Clip(set.Attrs), Attr{g.key, v})})
			}
			out[at].Spans = append(out[at].Spans, span)
		}
	}
	return out, nil
}

// coalesce merges the spansets of a trace into one without attributes.
type coalesce struct{}

func (coalesce) apply(_ *Run, in []Spanset) ([]Spanset, error) {
	all := in[0].Spans
	for _, set := range in[1:] {
		all = union(all, set.Spans)
	}
	return []Spanset{{Spans: all}}, nil
}
