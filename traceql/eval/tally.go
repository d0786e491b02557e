package eval

import (
	"context"

	"etude/trace"
)

// Tally counts the spans of a part by scope. Each row of its View represents all spans of one scope. One goroutine owns
// it.
type Tally struct {
	View  *trace.View
	Spans []uint32 // the number of spans that each row represents
	b     *Bound
}

// Tally returns the Tally of a part, or nil when the part must be opened. The Program is row-wise and reads nothing but
// scopes and resources; see [trace.Need.OfScopes]. Several goroutines may ask for one part each.
func (r *Run) Tally(part int) (*Tally, error) {
	t, ok := r.parts.snap.(trace.Tallier)
	if !ok || r.parts.list[part].Resident {
		return nil, nil
	}
	if r.ctx.Err() != nil {
		return nil, context.Cause(r.ctx)
	}
	v, spans, err := t.Tally(r.ctx, part)
	switch {
	case err != nil:
		return nil, r.parts.failed(err)
	case v == nil:
		return nil, nil
	}
	return &Tally{View: v, Spans: spans, b: r.p.bind(r.ctx, v, r.memory)}, nil
}

// Kept is [Run.Kept].
func (t *Tally) Kept() Mask { return t.b.kept() }

// Reader is [Run.Reader].
func (t *Tally) Reader(o Operand) *Reader { return t.b.reader(o) }
