package query

import (
	"context"
	"slices"

	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// narrowed are the spans that a TagRequest is about.
type narrowed struct {
	job   *Job
	ctx   context.Context
	work  int // since the context was looked at
	views []*trace.View
	conds []syntax.Field
	all   bool // conds select every span
	pairs bool // of events and links only those side by side count
	req   TagRequest

	runs     map[syntax.Field]*eval.Run // by the field whose values they read
	selected *selection                 // of one View, the last asked for
}

func narrow(j *Job, views []*trace.View, req TagRequest) *narrowed {
	n := &narrowed{job: j, ctx: j.Context(), views: views, req: req, runs: map[syntax.Field]*eval.Run{}}
	for _, c := range syntax.Conditions(req.Query) {
		if c == nil || check.Condition(c) == nil {
			n.conds = append(n.conds, selective(c, func(syntax.Field) bool { return true }))
		}
	}
	n.all = len(n.conds) == 0 || slices.Contains(n.conds, nil)
	return n
}

// runOf returns what finds the selected spans and, unless nil, the field's values.
func (n *narrowed) runOf(f syntax.Field) *eval.Run {
	if n.runs[f] == nil {
		n.runs[f] = eval.CompileValue(n.conds, f).Start(n.ctx, n.views)
		n.runs[f].Memory = n.job.memory
	}
	return n.runs[f]
}

// given counts rows gone over and tells, now and then, whether the request has
// been given up.
func (n *narrowed) given(rows int) bool {
	const lookEvery = 1 << 14
	if n.work += 1 + rows; n.work < lookEvery {
		return false
	}
	n.work = 0
	return n.ctx.Err() != nil
}

// selection returns the rows of a View that the conditions select.
func (n *narrowed) selection(view int) *selection {
	v := n.views[view]
	if n.selected == nil || n.selected.v != v {
		run := n.runOf(nil)
		if n.pairs {
			spans, events, links := run.SideBySide(view)
			n.selected = newSelection(v, spans)
			n.selected.rows[trace.EventLevel], n.selected.rows[trace.LinkLevel] = events, links
		} else {
			n.selected = newSelection(v, run.Rows(view))
		}
	}
	return n.selected
}

// selective returns what of a condition selects spans for a TagRequest: the
// comparisons of an attribute or intrinsic that takes accepts with a constant,
// joined as they are. Other conditions count as true; nil means that nothing
// selective is left.
func selective(f syntax.Field, takes func(x syntax.Field) bool) syntax.Field {
	b, ok := f.(*syntax.Binary)
	if !ok {
		return nil
	}
	if b.Op != "&&" && b.Op != "||" {
		if constant(b.L) != constant(b.R) && !compound(b.L) && !compound(b.R) && takes(b.L) && takes(b.R) {
			return b
		}
		return nil
	}
	l, r := selective(b.L, takes), selective(b.R, takes)
	switch {
	case l != nil && r != nil:
		both := *b
		both.L, both.R = l, r
		return &both
	case b.Op == "||":
		return nil
	case l != nil:
		return l
	}
	return r
}

func constant(f syntax.Field) bool { return !check.MentionsSpan(f) }

func compound(f syntax.Field) bool {
	_, ok := f.(*syntax.Binary)
	return ok
}

// inWindow tells whether some span of the View may overlap the window.
func (n *narrowed) inWindow(v *trace.View) bool {
	if v.Spans() == 0 {
		return false
	}
	if n.req.Start == 0 && n.req.End == 0 {
		return true
	}
	first, last := v.Times()
	return first <= n.req.End && last >= n.req.Start
}
