package metrics

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"etude/trace"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// The rules here are known only from recorded answers of Tempo 3.0.3; see tempo.go of
// package eval, and docs/tempo-rules.md.

// Rule T17: by() reads an attribute that has a column of its own from that column only, so
// a status code sent as text is missing. ownColumn returns the type of the column, nil
// for other operands.
func ownColumn(o eval.Operand) *trace.Type {
	if t, ok := o.OwnColumn(); ok {
		return &t
	}
	return nil
}

// Rule T18: by() shows the label "nil" for an attribute that has a column of its own,
// where it leaves out other labels without a value.
func alwaysShown(f syntax.Field) bool {
	a, ok := f.(*syntax.AttrRef)
	if !ok || a.Parent {
		return false
	}
	if a.Scope == syntax.ScopeNone {
		return eval.FixedColumn(syntax.ScopeSpan, a.Name) || eval.FixedColumn(syntax.ScopeResource, a.Name)
	}
	return eval.FixedColumn(a.Scope, a.Name)
}

// Rule T20: an array in by() is the label "nil".
var arrayLabel = eval.Text("nil")

// Rule T21: functions that count, and compare(), also look at the slot in front of the
// window. Its samples are in no answer, but a series, a bucket or a value that only
// this slot has is listed with zeros, and the values that come most often are chosen
// with the slot counted. lead is how many slots in front are read.
func (q *Query) lead(w Window) int {
	if w.Instant || w.Start < w.Step || q.compare == nil && (q.sums() || q.fn == "quantile_over_time") {
		return 0
	}
	return 1
}

// Rule T22: compare() counts the names, kinds and statuses twice that a condition of the
// query selects. It does so with no attribute and no other intrinsic.
func countedTwice(p *eval.Program) map[string]func(eval.Value) bool {
	out := map[string]func(eval.Value) bool{}
	for _, name := range []string{syntax.Name, syntax.Kind, syntax.Status} {
		if selects := p.Selects(name); selects != nil {
			out[name] = selects
		}
	}
	return out
}

// Rule T23: in the filter of compare(), nested-set numbers are 0.
func withoutNumbers(f syntax.Field) syntax.Field {
	switch f := f.(type) {
	case *syntax.Intrinsic:
		switch f.Name {
		case syntax.NestedSetLeft, syntax.NestedSetRight, syntax.NestedSetParent:
			return &syntax.Literal{Type: syntax.LitInt}
		}
	case *syntax.Unary:
		out := *f
		out.X = withoutNumbers(f.X)
		return &out
	case *syntax.Binary:
		out := *f
		out.L, out.R = withoutNumbers(f.L), withoutNumbers(f.R)
		return &out
	}
	return f
}

// Rule T24: of series that tie, topk prefers those whose labels come first: label by
// label by the text of strings, by name, by type and value, the higher ones first.
// Types are in the order of Tempo's numbers for them; floats are ordered by their bits,
// so that all negative ones come after all others.
func compareLabels(a, b []eval.Attr) int {
	for i := range min(len(a), len(b)) {
		x, y := &a[i], &b[i]
		if c := cmp.Or(strings.Compare(rankText(x.Value), rankText(y.Value)), strings.Compare(x.Key, y.Key),
			cmp.Compare(typeRank(y.Value.Type), typeRank(x.Value.Type)), compareSame(y.Value, x.Value)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// rankText is the text of a value that answers show as text.
func rankText(v eval.Value) string {
	switch v.Type {
	case eval.String, eval.Duration, eval.Status, eval.Kind, eval.Nil:
		return v.Text()
	}
	return ""
}

// typeRank is the place of a type in that order.
func typeRank(t eval.Type) int {
	return slices.Index([]eval.Type{eval.Nil, eval.Int, eval.Float, eval.String, eval.Bool, eval.Duration, eval.Status, eval.Kind}, t)
}

// compareSame compares values of one type.
func compareSame(a, b eval.Value) int {
	if a.Type == eval.Float {
		return cmp.Compare(math.Float64bits(a.Float), math.Float64bits(b.Float))
	}
	return cmp.Compare(a.Int, b.Int)
}
