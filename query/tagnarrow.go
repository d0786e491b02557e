package query

import (
	"context"
	"slices"

	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// narrowed selects the spans of a TagRequest.
type narrowed struct {
	job   *Job
	ctx   context.Context
	work  int // work since the last poll of the context
	facts *factCache
	parts *eval.Parts
	run   *eval.Run // selects spans; nil if all are selected
	conds []syntax.Field
	all   bool // conds select every span
	pairs bool // only events and links side by side count
	req   TagRequest

	reads    []reading  // the fields that the request names
	selected *selection // the selection of the last part
	ofPart   int
}

// reading is a field, with the Program and the Run that read its values. Most columns give their values without
// them, so the first use creates both.
type reading struct {
	field   syntax.Field
	program *eval.Program // nil until needed, as run
	run     *eval.Run
}

func (n *narrowed) compiled(r *reading) *eval.Program {
	if r.program == nil {
		r.program = eval.CompileValue(n.conds, r.field)
	}
	return r.program
}

func narrow(j *Job, req TagRequest) *narrowed {
	n := &narrowed{job: j, ctx: j.Context(), facts: j.e.facts, req: req}
	if req.Query == "" { // Fast path
		n.all = true
		return n
	}
	for _, c := range syntax.Conditions(req.Query) {
		if c == nil || check.Condition(c) == nil {
			n.conds = append(n.conds, selective(c, func(syntax.Field) bool { return true }))
		}
	}
	n.all = len(n.conds) == 0 || slices.Contains(n.conds, nil)
	return n
}

// begin prepares to read the parts of a snapshot, with the columns of the fields and, unless more is nil, the
// columns that it adds.
func (n *narrowed) begin(snap trace.Snapshot, fields []syntax.Field, more func(*trace.Need)) {
	for _, f := range fields {
		n.reads = append(n.reads, reading{field: f})
	}
	n.parts = n.job.e.parts(n.job, snap, func() (rows, whole *trace.Need) {
		need := eval.CompileValue(n.conds, nil).Need()
		for i := range n.reads {
			need.Add(n.compiled(&n.reads[i]).Need())
		}
		if more != nil {
			more(need)
		}
		return need, need
	})
	if !n.all {
		n.run = eval.CompileValue(n.conds, nil).Start(n.ctx, n.parts)
	}
}

// open opens a part with all columns that the request needs.
func (n *narrowed) open(part int) (*trace.View, error) {
	v, err := n.parts.View(part)
	if err == nil && n.run != nil {
		err = n.run.Open(part)
	}
	return v, err
}

// reader returns the Run that reads the values of a field, with a part open.
func (n *narrowed) reader(f syntax.Field, part int) (*eval.Run, error) {
	r := &n.reads[slices.IndexFunc(n.reads, func(r reading) bool { return r.field == f })]
	if r.run == nil {
		r.run = n.compiled(r).Start(n.ctx, n.parts)
	}
	return r.run, r.run.Open(part)
}

// release releases a part that the request no longer needs.
func (n *narrowed) release(part int) {
	if n.run != nil {
		n.run.Release(part)
		n.run.Trim()
	}
	for i := range n.reads {
		if run := n.reads[i].run; run != nil {
			run.Release(part)
			run.Trim()
		}
	}
	n.parts.Release(part)
}

// given counts rows read and, now and then, checks whether the caller has cancelled the request.
func (n *narrowed) given(rows int) bool {
	const lookEvery = 1 << 14
	if n.work += 1 + rows; n.work < lookEvery {
		return false
	}
	n.work = 0
	return n.ctx.Err() != nil
}

// selection returns the rows of an open part that the conditions select.
func (n *narrowed) selection(part int) (*selection, error) {
	if n.selected != nil && n.ofPart == part {
		return n.selected, nil
	}
	v := n.run.View(part)
	var spans, events, links eval.Mask
	var err error
	if n.pairs {
		spans, events, links, err = n.run.SideBySide(part)
	} else {
		spans, err = n.run.Rows(part)
	}
	if err != nil {
		return nil, err
	}
	n.selected, n.ofPart = newSelection(v, spans), part
	if n.pairs {
		n.selected.rows[trace.EventLevel], n.selected.rows[trace.LinkLevel] = events, links
	}
	return n.selected, nil
}

// selective returns the part of a condition that selects spans for a TagRequest: comparisons of an attribute or
// intrinsic that takes accepts with a constant, joined as in the condition. Other conditions count as true. nil
// means that no selective condition remains.
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

// inWindow reports whether a span of the part may overlap the window.
func (n *narrowed) inWindow(part int) bool {
	p := &n.parts.List()[part]
	if p.Spans == 0 {
		return false
	}
	if n.req.Start == 0 && n.req.End == 0 {
		return true
	}
	return p.MinStart <= n.req.End && p.MaxEnd >= n.req.Start
}
