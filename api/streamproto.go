package api

import (
	"math"

	"etude/internal/wire"
	"etude/query"
	"etude/traceql/metrics"
)

// double writes a number; zero is left out.
func (w *writer) double(field wire.Number, f float64) {
	if f != 0 {
		w.Fixed64Always(field, math.Float64bits(f))
	}
}

// rangeProto is tempopb.QueryRangeResponse.
func rangeProto(r *query.MetricsResult, maxSeries int) results {
	return results{len(r.Series), func(w *writer, i int) { w.rangeSeries(r, i) },
		func(w *writer) { w.metricsEnd(r, maxSeries) }}
}

// rangeSeries writes one series.
func (w *writer) rangeSeries(r *query.MetricsResult, i int) {
	s := &r.Series[i]
	w.attrs(1, s.Labels)
	for _, x := range s.Samples {
		w.message(2, func(w *writer) {
			w.double(1, x.Value)
			w.Varint(2, (r.Window.Start+uint64(x.Slot+1)*r.Window.Step)/1e6)
		})
	}
	for j := range s.Exemplars {
		w.message(4, func(w *writer) { w.exemplar(&s.Exemplars[j]) })
	}
}

func (w *writer) exemplar(x *metrics.Exemplar) {
	w.attrs(1, x.Attrs)
	w.message(1, func(w *writer) {
		w.Raw(1, "trace:id")
		w.message(2, func(w *writer) { w.Raw(1, x.TraceID.Short()) })
	})
	w.double(2, x.Value)
	w.Varint(3, x.Start/1e6)
}

// instantProto is tempopb.QueryInstantResponse.
func instantProto(r *query.MetricsResult, maxSeries int) results {
	return results{len(r.Series), func(w *writer, i int) {
		s := &r.Series[i]
		w.attrs(1, s.Labels)
		if len(s.Samples) > 0 {
			w.double(2, s.Samples[0].Value)
		}
	}, func(w *writer) { w.metricsEnd(r, maxSeries) }}
}

// metricsEnd writes the part after the series of both answers.
func (w *writer) metricsEnd(r *query.MetricsResult, maxSeries int) {
	w.message(2, func(w *writer) {
		w.Varint(1, uint64(uint32(r.Stats.Traces)))
		w.Varint(4, 1)
		w.Varint(5, 1)
		w.Varint(7, uint64(r.Stats.Spans))
	})
	if _, text := partial(r, maxSeries); r.Partial {
		w.Varint(3, 1)
		w.Raw(4, text)
	}
}
