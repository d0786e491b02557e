package eval

// RowWise tells whether every stage keeps or drops a span by that span alone, so that
// [Run.Kept] is what the pipeline yields. by() and coalesce() part and join spansets,
// which changes no span.
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

// Kept returns the rows of a View that every stage of a row-wise Program keeps. Several
// Views may be looked at at a time.
func (r *Run) Kept(view int) Mask {
	rows := fullMask(r.views[view].Spans())
	for _, st := range r.p.stages {
		if st, ok := st.(spansetStage); ok {
			rows.and(r.keptBy(st.node, view))
		}
	}
	return rows
}

func (r *Run) keptBy(n node, view int) Mask {
	if o, ok := n.(*logical); ok {
		rows := r.keptBy(o.l, view).clone()
		rows.or(r.keptBy(o.r, view))
		return rows
	}
	return r.bind(view).mask(int(n.(pick)))
}
