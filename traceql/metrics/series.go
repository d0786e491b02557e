package metrics

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"etude/trace"
	"etude/traceql/eval"
)

// Series is one line of a metrics answer. Samples are in order of their slots.
type Series struct {
	Labels    []eval.Attr
	Samples   []Sample
	Exemplars []Exemplar
}

// Sample is the value of a Series in one slot of the Window.
type Sample struct {
	Slot  int
	Value float64
}

// Exemplar is an example span of a Series. If Counted, Value is the sample of its slot, not a value of the span.
type Exemplar struct {
	TraceID trace.TraceID
	Start   uint64 // of the span, unix nanoseconds
	Slot    int
	Value   float64
	Counted bool
	Attrs   []eval.Attr // the values that the query reads and the span has
}

// sortSeries sorts series into the order of answers: fewer labels first, then by keys and values as text. If
// the query is cancelled, sortSeries stops early and the order is arbitrary.
func sortSeries(ctx context.Context, series []Series) {
	p, given := eval.NewPoll(ctx), false
	slices.SortFunc(series, func(a, b Series) int {
		if given = given || p.Stop(1+len(a.Labels)); given {
			return 0
		}
		if c := cmp.Compare(len(a.Labels), len(b.Labels)); c != 0 {
			return c
		}
		for i := range a.Labels {
			x, y := &a.Labels[i], &b.Labels[i]
			if c := cmp.Or(strings.Compare(x.Key, y.Key), strings.Compare(x.Value.Text(), y.Value.Text()),
				cmp.Compare(x.Value.Type, y.Value.Type)); c != 0 {
				return c
			}
		}
		return 0
	})
}

func attr(key string, v eval.Value) eval.Attr { return eval.Attr{Key: key, Value: v} }

// seriesKey returns a text that identifies a series.
func seriesKey(list []eval.Attr) string {
	var b strings.Builder
	for _, l := range list {
		b.WriteString(l.Key)
		b.WriteByte(0)
		b.WriteString(l.Value.Key())
		b.WriteByte(0)
	}
	return b.String()
}
