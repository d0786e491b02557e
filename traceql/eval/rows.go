package eval

import (
	"etude/trace"
	"etude/traceql/syntax"
)

// Rows returns exactly the spans of an open part that at least one filter of the query keeps. It ignores the
// later stages of the pipeline. It serves requests that only conditions narrow, such as the names of
// attributes.
func (r *Run) Rows(part int) (Mask, error) {
	out := NewMask(r.parts.list[part].Spans)
	for f := range r.p.filters {
		if r.p.filters[f].exact {
			out.or(r.bound[part].mask(f))
		} else if err := r.decide(part, f, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// RowWise reports whether every stage keeps or drops each span by that span alone. Then [Run.Kept] returns the
// spans of the pipeline's result. by() and coalesce() are row-wise: they split and join spansets, and keep all
// spans.
func (p *Program) RowWise() bool {
	for _, s := range p.stages {
		switch s := s.(type) {
		case spansetStage:
			if !p.rowNode(s.node) {
				return false
			}
		case *grouping, coalesce:
		default:
			return false
		}
	}
	return true
}

func (p *Program) rowNode(n node) bool {
	switch n := n.(type) {
	case pick:
		return p.filters[n].exact
	case *logical:
		return !n.and && p.rowNode(n.l) && p.rowNode(n.r)
	}
	return false
}

// Kept returns the rows of an open part that every stage of a row-wise Program keeps. Several goroutines may
// call Kept, each for another part.
func (r *Run) Kept(part int) Mask {
	rows := r.bound[part].kept()
	if f, ok := r.p.first().(pick); ok && rows.Empty() && len(r.p.stages) == 1 {
		r.lacking(part, f)
	}
	return rows
}

func (b *Bound) kept() Mask {
	rows := fullMask(b.V.Spans())
	for _, st := range b.p.stages {
		if st, ok := st.(spansetStage); ok {
			rows.and(b.keptBy(st.node))
		}
	}
	return rows
}

func (b *Bound) keptBy(n node) Mask {
	if o, ok := n.(*logical); ok {
		rows := b.keptBy(o.l).clone()
		rows.or(b.keptBy(o.r))
		return rows
	}
	return b.mask(int(n.(pick)))
}

// SelectsNone reports whether [Run.Rows] surely has no row of a part. The part may be closed.
func (r *Run) SelectsNone(part int) bool {
	for f := range r.p.filters {
		if !r.excluded(part, f) {
			return false
		}
	}
	return true
}

// KeepsNone reports whether a row-wise Program surely keeps no row of a part. The part may be closed.
func (r *Run) KeepsNone(part int) bool {
	for _, st := range r.p.stages {
		if st, ok := st.(spansetStage); ok && st.node.rules(r, part) == useless {
			return true
		}
	}
	return false
}

// decide adds the spans that satisfy a filter that needs whole traces.
func (r *Run) decide(part, f int, out Mask) error {
	maybe := r.bound[part].mask(f)
	v := r.View(part)
	traces := NewMask(len(v.TraceIDs))
	for row := range maybe.Rows {
		traces.Set(v.Trace[row])
	}
	for number := range traces.Rows {
		t, err := r.whole(v.TraceIDs[number])
		if err != nil {
			return err
		}
		for i, ref := range t.Spans {
			if r.poll.Stop(r.p.filters[f].work) {
				return nil
			}
			if ref.View == part && maybe.Has(ref.Row) && r.p.filters[f].cond.holds(r.at(int32(i))) {
				out.Set(ref.Row)
			}
		}
	}
	return nil
}

// whole makes a trace the current one. It does not load a trace of several parts again if it is still the last one.
func (r *Run) whole(id trace.TraceID) (*Trace, error) {
	if t := &r.last; t.ID != id || len(t.Spans) == 0 {
		if _, err := r.Load(t, id); err != nil {
			return nil, err
		}
	}
	r.makeCurrent(&r.last)
	return &r.last, nil
}

// Values calls yield with the values of the attribute or intrinsic of [CompileValue] in the rows of an open
// part. It may yield a value more than once. It yields the elements of an array.
func (r *Run) Values(part int, rows Mask, yield func(Value)) error {
	b := r.bound[part]
	each := func(v Value) {
		if v.Type == Array {
			for _, e := range v.Elems {
				yield(e)
			}
		} else if v.Type != Nil {
			yield(v)
		}
	}
	switch x := r.p.value.(type) {
	case *attribute:
		b.attrValues(x, rows, each)
	case intrinsic:
		if x.needs().trace {
			return r.traceValues(part, rows, each)
		}
		b.intrinsicValues(x, rows, each)
	}
	return nil
}

// attrValues yields each distinct value of each column of an attribute.
func (b *Bound) attrValues(attr *attribute, rows Mask, yield func(Value)) {
	a, at := b.attr(attr.slot), rowsAt(b.V, attr.level, rows)
	if attr.level == trace.ResourceLevel {
		b.resourceValues(attr, &a.own, at, yield)
		return
	}
	b.columnValues(&a.own, at, yield)
	if attr.inherits {
		lacking := rows.clone()
		lacking.AndNot(present(b, &a.own, b.V.Spans()))
		b.resourceValues(attr, &a.resource, rowsAt(b.V, trace.ResourceLevel, lacking), yield)
	}
}

func (b *Bound) resourceValues(attr *attribute, k *keyColumns, resources Mask, yield func(Value)) {
	b.columnValues(k, resources, yield)
	if attr.isService() {
		resources = resources.clone()
		resources.AndNot(present(b, k, b.V.Resources()))
		if !resources.Empty() {
			yield(textValue(""))
		}
	}
}

// columnValues yields the distinct values in the rows of a table.
func (b *Bound) columnValues(k *keyColumns, rows Mask, yield func(Value)) {
	for _, c := range k.cols {
		if c == nil {
			continue
		}
		seen := NewMask(b.V.Strings.Len())
		seenNums := map[uint64]bool{}
		for i, row := range c.Rows {
			if !rows.Has(row) {
				continue
			}
			if len(c.Codes) > 0 {
				if seen.Has(c.Codes[i]) {
					continue
				}
				seen.Set(c.Codes[i])
			} else {
				if seenNums[c.Nums[i]] {
					continue
				}
				seenNums[c.Nums[i]] = true
			}
			if v, ok := b.value(k.attrs, c, i); ok {
				yield(v)
			}
		}
	}
}

func (b *Bound) intrinsicValues(x intrinsic, rows Mask, yield func(Value)) {
	v := b.V
	texts := NewMask(v.Strings.Len())
	codes, level, ok := TextColumn(v, x.name)
	switch {
	case ok:
		for row := range rowsAt(v, level, rows).Rows {
			texts.Set(codes[row])
		}
	case x.name == syntax.StatusMessage:
		for row := range rows.Rows {
			texts.Set(v.StatusMessage.Get(row))
		}
	default:
		b.slowValues(x, rows, yield)
		return
	}
	for code := range texts.Rows {
		yield(textValue(v.Text(code)))
	}
}

// slowValues evaluates span by span, or link by link for an intrinsic of links.
func (b *Bound) slowValues(x intrinsic, rows Mask, yield func(Value)) {
	c := ctx{b: b, event: -1, link: -1}
	for row := range rows.Rows {
		if b.poll.Stop(1) {
			return
		}
		c.row = row
		if !x.needs().link {
			yield(x.value(&c))
			continue
		}
		from, to := b.V.Links(row)
		for c.link = int64(from); c.link < int64(to); c.link++ {
			yield(x.value(&c))
		}
		c.link = -1
	}
}

// traceValues yields values that only whole traces have.
func (r *Run) traceValues(part int, rows Mask, yield func(Value)) error {
	v := r.View(part)
	traces := NewMask(len(v.TraceIDs))
	for row := range rows.Rows {
		traces.Set(v.Trace[row])
	}
	for number := range traces.Rows {
		t, err := r.whole(v.TraceIDs[number])
		if err != nil {
			return err
		}
		for i, ref := range t.Spans {
			if r.poll.Stop(1) {
				return nil
			}
			if ref.View == part && rows.Has(ref.Row) {
				yield(r.p.value.value(r.at(int32(i))))
			}
		}
	}
	return nil
}
