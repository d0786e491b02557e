package eval

// Rows returns the spans of a View that some filter of the query keeps, exactly.
// It serves the questions that are narrowed by conditions alone, such as which
// attributes there are; the rest of the pipeline plays no part.
func (r *Run) Rows(view int) Mask {
	out := newMask(r.views[view].Spans())
	for f := range r.p.filters {
		if r.p.filters[f].exact {
			out.or(r.bind(view).mask(f))
		} else {
			r.decide(view, f, out)
		}
	}
	return out
}

// decide adds the spans that satisfy a filter which has to see whole traces.
func (r *Run) decide(view, f int, out Mask) {
	maybe := r.bind(view).mask(f)
	v := r.views[view]
	traces := newMask(len(v.TraceIDs))
	for row := range maybe.Rows {
		traces.set(v.Trace[row])
	}
	var t Trace
	r.t = &t
	for number := range traces.Rows {
		t.Load(r.views, v.TraceIDs[number])
		for i, ref := range t.Spans {
			if ref.View == view && maybe.Has(ref.Row) && r.p.filters[f].cond.holds(r.at(int32(i))) {
				out.set(ref.Row)
			}
		}
	}
}

// Values calls yield with each value that x, an attribute or intrinsic by its
// slot in a Program of [CompileValue], has in the rows of a View. A value may
// come more than once.
func (r *Run) Values(view int, rows Mask, yield func(Value)) {
	b := r.bind(view)
	if field, ok := r.p.value.(intrinsic); ok && field.needs().trace {
		r.traceValues(view, rows, yield)
		return
	}
	n := r.p.value.needs()
	c := ctx{b: b, event: -1, link: -1}
	seen := map[uint32]bool{}
	for row := range rows.Rows {
		if r.shared(b, row, seen) {
			continue
		}
		c.row = row
		switch {
		case n.event:
			from, to := b.V.Events(row)
			someChild(from, to, func(i int64) bool { c.event = i; r.eachValue(&c, yield); return false })
		case n.link:
			from, to := b.V.Links(row)
			someChild(from, to, func(i int64) bool { c.link = i; r.eachValue(&c, yield); return false })
		default:
			r.eachValue(&c, yield)
		}
	}
}

// shared tells whether the value belongs to a resource or scope that was asked
// before.
func (r *Run) shared(b *Bound, row uint32, seen map[uint32]bool) bool {
	if !r.p.ofScope {
		return false
	}
	scope := b.V.Scope[row]
	known := seen[scope]
	seen[scope] = true
	return known
}

func (r *Run) eachValue(c *ctx, yield func(Value)) {
	one := func(v Value) bool {
		if v.Type == Array {
			for _, e := range v.Elems {
				yield(e)
			}
		} else if v.Type != Nil {
			yield(v)
		}
		return true
	}
	if attr, ok := r.p.value.(*attribute); ok {
		attr.each(c, one)
		return
	}
	one(r.p.value.value(c))
}

// traceValues yields what whole traces know.
func (r *Run) traceValues(view int, rows Mask, yield func(Value)) {
	v := r.views[view]
	traces := newMask(len(v.TraceIDs))
	for row := range rows.Rows {
		traces.set(v.Trace[row])
	}
	var t Trace
	r.t = &t
	for number := range traces.Rows {
		t.Load(r.views, v.TraceIDs[number])
		for i, ref := range t.Spans {
			if ref.View == view && rows.Has(ref.Row) {
				yield(r.p.value.value(r.at(int32(i))))
			}
		}
	}
}
