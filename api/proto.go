package api

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/wire"
	"etude/query"
	"etude/traceql/eval"
	"etude/traceql/metrics"
)

// writer builds a protobuf message. It leaves out zero values.
type writer struct{ wire.Builder }

// message adds a submessage, even an empty one.
func (w *writer) message(field wire.Number, fill func(*writer)) {
	m := w.Open(field)
	fill(w)
	w.Close(m)
}

// results writes an answer of the common form: the results one by one as field 1, then end. All results are
// encoded in one reused buffer.
type results struct {
	n    int
	each func(w *writer, i int)
	end  func(w *writer) // writes field 2, the metrics, and the following fields
}

// searchProto is tempopb.SearchResponse.
func searchProto(r *query.Result) results {
	return results{len(r.Traces), func(w *writer, i int) { w.trace(&r.Traces[i]) },
		func(w *writer) { w.searchEnd(r.InspectedTraces, jobs{1, 1}) }}
}

// searchEnd writes the metrics of a search. completed is 1 in the last message.
func (w *writer) searchEnd(inspected int, j jobs) {
	w.message(2, func(w *writer) {
		w.Varint(1, uint64(inspected))
		j.append(w)
	})
}

// proto writes an answer.
func (o *out) proto(r results) error {
	var one writer
	for i := range r.n {
		one.B = one.B[:0]
		r.each(&one, i)
		if err := o.holdResult(cap(one.B)); err != nil {
			return err
		}
		o.b = protowire.AppendBytes(protowire.AppendTag(o.b, 1, protowire.BytesType), one.B)
		if err := o.step(); err != nil {
			return err
		}
	}
	w := writer{wire.Builder{B: o.b}}
	r.end(&w)
	o.b = w.B
	return nil
}

// protoBody writes an answer of a limited size.
func (o *out) protoBody(body []byte) error {
	o.contentType = typeProtobuf
	o.b = append(o.b, body...)
	return nil
}

// trace writes tempopb.TraceSearchMetadata.
func (w *writer) trace(t *query.Trace) {
	w.Raw(1, t.ID.Short())
	w.Raw(2, rootService(t))
	w.Raw(3, t.RootName)
	w.Varint(4, t.Start)
	w.Varint(5, uint64(min(t.Duration.Milliseconds(), math.MaxUint32)))
	for i := range t.SpanSets {
		if i == 0 {
			w.message(6, func(w *writer) { w.spanSet(&t.SpanSets[i]) })
		}
		w.message(7, func(w *writer) { w.spanSet(&t.SpanSets[i]) })
	}
	for _, s := range t.Services {
		w.message(8, func(w *writer) {
			w.Raw(1, s.Service)
			w.message(2, func(w *writer) {
				w.Varint(1, uint64(s.Spans))
				w.Varint(2, uint64(s.Errors))
			})
		})
	}
}

func (w *writer) spanSet(s *query.SpanSet) {
	for i := range s.Spans {
		sp := &s.Spans[i]
		w.message(1, func(w *writer) {
			w.Raw(1, sp.ID.String())
			w.Raw(2, sp.Name)
			w.Varint(3, sp.Start)
			w.Varint(4, sp.Duration)
			w.attrs(5, sp.Attrs)
		})
	}
	w.Varint(2, uint64(s.Matched))
	w.attrs(3, s.Attrs)
}

// attrs writes OTLP KeyValues.
func (w *writer) attrs(field wire.Number, attrs []eval.Attr) {
	for _, a := range attrs {
		w.message(field, func(w *writer) {
			w.Raw(1, a.Key)
			w.message(2, func(w *writer) { w.value(a.Value) })
		})
	}
}

// value writes the content of an OTLP AnyValue. It writes its member even when zero, because the member's
// presence determines the type.
func (w *writer) value(v eval.Value) {
	switch v.Type {
	case eval.Int:
		w.VarintAlways(3, uint64(v.Int))
	case eval.Float:
		w.Fixed64Always(4, math.Float64bits(v.Float))
	case eval.Bool:
		w.VarintAlways(2, uint64(v.Int))
	case eval.Array:
		w.message(5, func(w *writer) {
			for _, e := range v.Elems {
				w.message(1, func(w *writer) { w.value(e) })
			}
		})
	default:
		w.RawAlways(1, v.Text())
	}
}

// tagsV1Proto, tagsV2Proto, valuesV1Proto and valuesV2Proto encode the answers of tags.go. Field 2 is always
// the metrics message.
func tagsV1Proto(names []string) []byte { return stringsProto(names) }

func tagsV2Proto(scopes []query.ScopeTags) []byte {
	var w writer
	for _, s := range scopes {
		w.message(1, func(w *writer) {
			w.Raw(1, s.Scope)
			w.strings(2, s.Tags)
		})
	}
	w.message(2, func(*writer) {})
	return w.B
}

func valuesV1Proto(values []string) []byte { return stringsProto(values) }

func valuesV2Proto(values []query.TagValue) []byte {
	var w writer
	for _, v := range values {
		w.message(1, func(w *writer) {
			w.Raw(1, v.Type)
			w.Raw(2, v.Value)
		})
	}
	w.message(2, func(*writer) {})
	return w.B
}

func stringsProto(list []string) []byte {
	var w writer
	w.strings(1, list)
	w.message(2, func(*writer) {})
	return w.B
}

// strings writes a repeated string, including empty elements.
func (w *writer) strings(field wire.Number, list []string) {
	for _, s := range list {
		w.RawAlways(field, s)
	}
}

// double writes a number; it leaves out zero.
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

// metricsEnd writes the part of both answers that follows the series.
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
