package generator

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logfmt/logfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	respb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"etude/otlp"
	"etude/trace"
)

// memoryStore is a source that keeps Tables as the store does.
type memoryStore struct {
	mu       sync.Mutex
	old      []*trace.View
	table    *trace.Table
	appended int64
}

func (m *memoryStore) Head() []*trace.View {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table == nil {
		return append([]*trace.View(nil), m.old...)
	}
	return append(append([]*trace.View(nil), m.old...), m.table.View())
}

func (m *memoryStore) Appended() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.appended
}

// add stores spans that arrive now, and returns how many were new.
func (m *memoryStore) add(t testing.TB, resources ...*tracepb.ResourceSpans) int {
	t.Helper()
	payload, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: resources})
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table == nil {
		m.table = trace.NewTable()
	}
	added, err := otlp.Append(m.table, payload, time.Now().UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	m.appended += int64(added)
	return added
}

// seal ends the growing Table.
func (m *memoryStore) seal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table != nil {
		m.table.Seal()
		m.old, m.table = append(m.old, m.table.View()), nil
	}
}

// drop lets all Tables go, as retention does.
func (m *memoryStore) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.old, m.table = nil, nil
}

// both are the options of span metrics and service graph.
func both() Options { return Options{Processors: []Processor{SpanMetrics, ServiceGraphs}} }

// fixedSource always has the same Tables.
type fixedSource []*trace.View

func (f fixedSource) Head() []*trace.View { return f }

// recorder is a storage that writes down what it is sent.
type recorder struct {
	mu      sync.Mutex
	samples []sample
	fail    error // what Commit returns
}

type sample struct {
	labels   labels.Labels
	at       time.Time
	value    float64
	native   *histogram.FloatHistogram
	exemplar string
}

func (r *recorder) AppenderV2(context.Context) storage.AppenderV2 { return &recording{to: r} }

type recording struct {
	to      *recorder
	samples []sample
}

func (r *recording) Append(_ storage.SeriesRef, ls labels.Labels, _, at int64, v float64, _ *histogram.Histogram, h *histogram.FloatHistogram, o storage.AppendV2Options) (storage.SeriesRef, error) {
	s := sample{labels: ls, at: time.UnixMilli(at).UTC(), value: v, native: h}
	for _, e := range o.Exemplars {
		s.exemplar += fmt.Sprintf(" # %s %v", e.Labels, e.Value)
	}
	r.samples = append(r.samples, s)
	return 1, nil
}

func (r *recording) Commit() error {
	r.to.mu.Lock()
	defer r.to.mu.Unlock()
	if r.to.fail == nil {
		r.to.samples = append(r.to.samples, r.samples...)
	}
	return r.to.fail
}

func (r *recording) Rollback() error { return nil }

// take returns the samples stored since it was called last, but for those of
// ObservedMetric.
func (r *recorder) take() []sample {
	return slices.DeleteFunc(r.all(), func(s sample) bool { return s.labels.Get(model.MetricNameLabel) == ObservedMetric })
}

// all returns all samples stored since it was called last.
func (r *recorder) all() []sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.samples
	r.samples = nil
	return taken
}

func (s *sample) String() string {
	text := strconv.FormatFloat(s.value, 'g', 9, 64)
	switch {
	case math.Float64bits(s.value) == value.StaleNaN:
		text = "stale"
	case s.native != nil:
		text = s.native.String()
	}
	name := s.labels.Get(model.MetricNameLabel)
	rest := strings.ReplaceAll(s.labels.DropReserved(func(n string) bool { return n == model.MetricNameLabel }).String(), `", `, `",`)
	if rest == "{}" {
		rest = ""
	}
	return fmt.Sprintf("%s %s%s %s%s", s.at.Format("04:05.000"), name, rest, text, s.exemplar)
}

// spansOf reads spans from text, one a line in logfmt: trace, span, parent, kind,
// name, status, message, state, took and ago (how long before now it ended), the
// rest are attributes: resource.X of the resource, span.X or X of the span. A value
// is a number, true, false, [a,b] or else text.
func spansOf(t testing.TB, text string) (resources []*tracepb.ResourceSpans) {
	t.Helper()
	d := logfmt.NewDecoder(strings.NewReader(text))
	for d.ScanRecord() {
		s, r := &tracepb.Span{Name: "op"}, &respb.Resource{}
		took, ago := time.Millisecond, time.Duration(0)
		for d.ScanKeyval() {
			key, v := string(d.Key()), string(d.Value())
			switch key {
			case "trace":
				s.TraceId = idOf(v, 16)
			case "span":
				s.SpanId = idOf(v, 8)
			case "parent":
				s.ParentSpanId = idOf(v, 8)
			case "kind":
				s.Kind = tracepb.Span_SpanKind(tracepb.Span_SpanKind_value["SPAN_KIND_"+strings.ToUpper(v)])
			case "name":
				s.Name = v
			case "state":
				s.TraceState = v
			case "status":
				setStatus(s).Code = tracepb.Status_StatusCode(tracepb.Status_StatusCode_value["STATUS_CODE_"+strings.ToUpper(v)])
			case "message":
				setStatus(s).Message = v
			case "took":
				took = durationOf(t, v)
			case "ago":
				ago = durationOf(t, v)
			case "service":
				r.Attributes = append(r.Attributes, attributeOf("service.name", v))
			default:
				if name, ok := strings.CutPrefix(key, "resource."); ok {
					r.Attributes = append(r.Attributes, attributeOf(name, v))
				} else {
					s.Attributes = append(s.Attributes, attributeOf(strings.TrimPrefix(key, "span."), v))
				}
			}
		}
		if s.Kind == 0 && s.SpanId == nil && s.TraceId == nil {
			continue // an empty line
		}
		end := time.Now().Add(-ago)
		s.EndTimeUnixNano, s.StartTimeUnixNano = uint64(end.UnixNano()), uint64(end.Add(-took).UnixNano())
		resources = append(resources, &tracepb.ResourceSpans{Resource: r, ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{s}}}})
	}
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	return resources
}

func setStatus(s *tracepb.Span) *tracepb.Status {
	if s.Status == nil {
		s.Status = &tracepb.Status{}
	}
	return s.Status
}

// idOf pads hex digits with zeros on the left.
func idOf(digits string, size int) []byte {
	id, err := trace.ParseTraceID(digits)
	if err != nil {
		panic(err)
	}
	return id[16-size:]
}

func durationOf(t testing.TB, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func attributeOf(key, text string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: anyOf(text)}
}

func anyOf(text string) *common.AnyValue {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: i}}
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: f}}
	}
	switch {
	case text == "true" || text == "false":
		return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: text == "true"}}
	case strings.HasPrefix(text, "["):
		array := &common.ArrayValue{}
		for _, part := range strings.Split(text[1:len(text)-1], ",") {
			array.Values = append(array.Values, anyOf(part))
		}
		return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: array}}
	}
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: text}}
}

// discarder is a storage that takes everything and keeps nothing.
type discarder struct{}

func (*discarder) AppenderV2(context.Context) storage.AppenderV2 { return discarding{} }

type discarding struct{}

func (discarding) Append(storage.SeriesRef, labels.Labels, int64, int64, float64, *histogram.Histogram, *histogram.FloatHistogram, storage.AppendV2Options) (storage.SeriesRef, error) {
	return 1, nil
}
func (discarding) Commit() error   { return nil }
func (discarding) Rollback() error { return nil }

func pairsOf(pairs ...string) (ls []labels.Label) {
	for i := 0; i < len(pairs); i += 2 {
		ls = append(ls, labels.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return ls
}
