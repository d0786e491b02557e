package query

import (
	"context"
	"fmt"
	"slices"

	"etude/otlp"
	"etude/trace"
	"etude/traceql/eval"
)

// WholeTrace is the answer for a trace id. It has each span once, the oldest View first.
type WholeTrace struct {
	Spans []otlp.Ref
	Total int  // number of stored spans
	Most  int  // most spans of the answer
	Asked bool // the caller chose Most
}

// Partial reports whether the answer lacks spans.
func (w *WholeTrace) Partial() bool { return len(w.Spans) < w.Total }

// refBytes estimates the memory of a span's place: found, returned, and sorted for an answer.
const refBytes = 16 + 16 + 24

// Trace returns the spans of a trace, or none if the trace is unknown. If the trace has more than most spans,
// it returns the spans that start first. 0 means the limit of the Options, which most cannot exceed.
func (e *Engine) Trace(ctx context.Context, id trace.TraceID, most int) (*WholeTrace, error) {
	var done Work
	defer e.report(ctx, &done)
	j, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := j.Err(); err != nil {
		return nil, err
	}
	j.advice = "search for the spans in question with { trace:id = ... && ... }"
	t := eval.Trace{Memory: &j.memory}
	snap, err := e.snapshot(j.Context())
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	done.Tables = len(snap.Parts())
	out := e.wholeTrace(most)
	var few [4]*trace.View
	views, err := viewsOf(j.Context(), snap, id, e.everything, &j.open, few[:0])
	switch {
	case err != nil:
		return nil, err
	case !t.Load(views, id):
		return out, j.Err()
	}
	out.Total = len(t.Spans)
	if err := j.Hold(len(t.Spans)*refBytes, "a trace of %d spans", len(t.Spans)); err != nil {
		return nil, err
	}
	refs := t.Spans
	if out.Most > 0 && len(refs) > out.Most {
		refs = firstSpans(&t, out.Most)
	}
	if done.Results = len(refs); done.Results < out.Total && !out.Asked {
		e.partial.Add(1)
	}
	out.Spans = make([]otlp.Ref, len(refs))
	for i, r := range refs {
		out.Spans[i] = otlp.Ref{View: t.View(r), Row: r.Row}
	}
	return out, j.Err()
}

// viewsOf appends one View for each part that may have the trace. The View has at least the part's spans of the trace.
func viewsOf(ctx context.Context, snap trace.Snapshot, id trace.TraceID, need *trace.Need, open eval.Room, views []*trace.View) ([]*trace.View, error) {
	parts, err := snap.Find(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("find the parts of a trace: %w", err)
	}
	all := snap.Parts()
	for _, part := range parts {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		resident := all[part].Resident
		if !resident {
			if err := open.Enter(ctx); err != nil {
				return nil, err
			}
		}
		v, err := trace.OpenTrace(ctx, snap, part, id, need)
		if err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		} else if err != nil {
			return nil, fmt.Errorf("read a trace from a part of the stored spans: %w", err)
		}
		if v != nil && !resident {
			open.Grow(v.ColumnBytes() + v.Strings.Bytes())
		}
		views = append(views, v)
	}
	return views, nil
}

func (e *Engine) wholeTrace(asked int) *WholeTrace {
	most := max(0, e.o.MaxTraceSpans)
	if asked > 0 && (most == 0 || asked < most) {
		return &WholeTrace{Most: asked, Asked: true}
	}
	return &WholeTrace{Most: most}
}

// firstSpans returns the n spans that start first, in stored order: the spans that arrive last rarely explain a
// trace, except for its root, which ends last and starts first.
func firstSpans(t *eval.Trace, n int) []eval.Ref {
	starts := make([]uint64, len(t.Spans))
	for i, r := range t.Spans {
		starts[i] = t.View(r).Start[r.Row]
	}
	slices.Sort(starts)
	last := starts[n-1]
	ties := n - func() int { first, _ := slices.BinarySearch(starts, last); return first }()
	return slices.DeleteFunc(t.Spans, func(r eval.Ref) bool {
		start := t.View(r).Start[r.Row]
		if start == last {
			ties--
			return ties < 0
		}
		return start > last
	})
}
