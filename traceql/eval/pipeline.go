package eval

import (
	"context"
	"math"
	"slices"

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
	declare(n *trace.Need)
}

// node is a spanset expression: it selects spans of a spanset.
type node interface {
	// pick returns the spans that the node keeps, in ascending order. single is false if they come from several groups.
	pick(r *Run, in []int32) (out []int32, single bool, err error)
	// local returns the traces of an open part in which the node may keep a span, judged by the spans of this
	// part alone. nil means no traces.
	local(r *Run, part int) Mask
	// some returns the traces of an open part with a span that matters to the node. nil means no traces.
	some(r *Run, part int) Mask
	// may reports whether the node may keep a span of a trace at these places. Their parts are open.
	may(r *Run, at []in) bool
	// rules returns the verdict on an unopened part.
	rules(r *Run, part int) verdict
	declare(n *trace.Need)
}

// Run evaluates a Program over the parts of a snapshot. It belongs to one goroutine, except for methods that say
// otherwise.
type Run struct {
	ctx   context.Context
	p     *Program
	parts *Parts
	bound []*Bound
	pages map[int][]*Bound // of Views of single pages, by part
	cands map[candKey]Mask
	all   []int32
	c     ctx
	t     *Trace
	last  Trace // see whole
	poll  Poll
	spans int // most spans of a trace so far
	kept  int // bytes of the current trace besides its spans

	memory   Memory
	splits   splits
	scarcest scarce
	places   []in     // see May
	atPage   []*Bound // the page of each place, nil for an open part
	mayID    trace.TraceID
}

// Start begins a Run. When ctx is done, long work ends early with too few spans, so the caller must check ctx
// before it uses an answer.
func (p *Program) Start(ctx context.Context, parts *Parts) *Run {
	return &Run{ctx: ctx, poll: Poll{ctx: ctx}, memory: parts.o.Memory, p: p, parts: parts, bound: make([]*Bound, len(parts.list)), cands: map[candKey]Mask{},
		splits: splits{to: math.MaxUint64}}
}

// Open opens a part for all methods that need no whole traces. Several goroutines may each open a part.
func (r *Run) Open(part int) error {
	b := r.bound[part]
	if b != nil && b.V != nil && !b.lean {
		return nil
	}
	v, err := r.parts.view(part, ofRows)
	if err != nil {
		return err
	}
	r.tie(part, v).lean = false
	return nil
}

// OpenWhole opens a part for all methods.
func (r *Run) OpenWhole(part int) error {
	v, err := r.parts.view(part, ofWhole)
	if err != nil {
		return err
	}
	r.tie(part, v).lean = false
	return nil
}

// tie binds the Program to a View of a part. Masks of an earlier View of the part stay valid, because the rows
// are the same.
func (r *Run) tie(part int, v *trace.View) *Bound {
	b := r.bound[part]
	if b == nil {
		b = r.p.bind(r.ctx, v, r.memory)
		b.parts = r.parts
		r.bound[part] = b
	} else if b.V != v {
		b.rebind(v)
	}
	return b
}

// Release releases the columns of a non-resident part that the Run no longer needs.
func (r *Run) Release(part int) {
	if r.parts.list[part].Resident {
		return
	}
	if b := r.bound[part]; b != nil {
		b.rebind(nil)
	}
	delete(r.pages, part)
	r.parts.Release(part)
}

// If many parts are open, Trim releases the parts that were opened first.
func (r *Run) Trim() {
	for {
		part, many := r.parts.oldest()
		if !many {
			return
		}
		r.Release(part)
	}
}

// Load is [Parts.Load].
func (r *Run) Load(t *Trace, id trace.TraceID) (bool, error) { return t.load(r.parts, id) }

// Repeated returns the rows of a part that an older part has, too, or nil. Only parts within the times of
// [Run.Within] have an answer.
func (r *Run) Repeated(part int, within func(part int) bool) (Mask, error) {
	return r.parts.repeated(part, within)
}

// View returns the View of an open part.
func (r *Run) View(part int) *trace.View { return r.bound[part].V }

// Trace sends one trace, loaded from the Views of the Run, through the pipeline. Without a spanset the trace is
// not in the result.
func (r *Run) Trace(t *Trace) ([]Spanset, error) {
	r.makeCurrent(t)
	t.tree.strict = r.p.tempoStructure
	for len(r.all) < len(t.Spans) {
		r.all = append(r.all, int32(len(r.all)))
	}
	sets := []Spanset{{Spans: r.all[:len(t.Spans)]}}
	return apply(r, r.p.stages, sets)
}

// makeCurrent makes a trace the current one and counts its memory.
func (r *Run) makeCurrent(t *Trace) {
	r.t = t
	if n := len(t.Spans) - r.spans; n > 0 {
		r.spans += n
		_ = r.memory.Take(n*spanBytes, Progress{Format: "a trace of %d spans", A: len(t.Spans)}) // the context tells
	}
	if r.kept > 0 {
		r.memory.Free(r.kept)
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

// at moves the context to a span of the trace.
func (r *Run) at(span int32) *ctx {
	ref := r.t.Spans[span]
	r.c = ctx{b: r.of(ref), t: r.t, span: int(span), row: ref.Row, event: -1, link: -1}
	return &r.c
}

// of returns the Program bound to the part of a span of the current trace.
func (r *Run) of(ref Ref) *Bound {
	v := r.t.views[ref.View]
	if b := r.bound[ref.View]; b != nil && b.V == v { // Fast path
		return b
	}
	if v.Spans() != r.parts.list[ref.View].Spans {
		return r.tiePage(ref.View, v)
	}
	return r.tie(ref.View, v)
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

// pick is the node of a filter, by the filter's number.
type pick int

func (f pick) pick(r *Run, in []int32) (out []int32, single bool, err error) {
	fl := &r.p.filters[f]
	if fl.whole && len(in) > 0 { // Fast path
		if r.poll.Stop(fl.work) {
			return nil, true, context.Cause(r.ctx)
		}
		if !fl.cond.holds(r.at(in[0])) {
			return nil, true, nil
		}
		return slices.Clone(in), true, nil
	}
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
	var rows Mask
	view := -1 // of the mask; neighbours are nearly always in one View
	for _, span := range in {
		ref := r.t.Spans[span]
		if ref.View != view {
			view, rows = ref.View, r.of(ref).mask(int(f))
		}
		if !rows.Has(ref.Row) {
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

// group is a pipeline in parentheses as an operand.
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
				if err := r.memory.Take(groupBytes+len(set.Attrs)*attrBytes, Progress{Format: "%d groups of one trace", A: at + 1}); err != nil {
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
