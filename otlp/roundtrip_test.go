package otlp

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	res "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"etude/trace"
)

// generator makes requests that use every field of the protocol.
type generator struct {
	*rand.Rand
	distinct int // spans so far, so that no two are duplicates
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
}

func (g *generator) request() *collector.ExportTraceServiceRequest {
	r := &collector.ExportTraceServiceRequest{}
	for i := range 1 + g.IntN(3) {
		rs := &tracepb.ResourceSpans{
			Resource:  &res.Resource{Attributes: g.attributes(1), DroppedAttributesCount: g.small()},
			SchemaUrl: g.text(),
		}
		rs.Resource.Attributes = append(rs.Resource.Attributes, attribute("number", stringValue(fmt.Sprint(i))))
		if g.IntN(3) == 0 {
			rs.Resource.EntityRefs = []*common.EntityRef{{Type: "host", IdKeys: []string{"a", "b"}}}
		}
		for j := range 1 + g.IntN(2) {
			rs.ScopeSpans = append(rs.ScopeSpans, g.scopeSpans(j))
		}
		r.ResourceSpans = append(r.ResourceSpans, rs)
	}
	return r
}

func (g *generator) scopeSpans(number int) *tracepb.ScopeSpans {
	ss := &tracepb.ScopeSpans{
		Scope: &common.InstrumentationScope{Name: fmt.Sprint("scope", number), Version: g.text(),
			Attributes: g.attributes(1), DroppedAttributesCount: g.small()},
		SchemaUrl: g.text(),
	}
	for range 1 + g.IntN(4) {
		ss.Spans = append(ss.Spans, g.span())
	}
	return ss
}

func (g *generator) span() *tracepb.Span {
	g.distinct++
	s := &tracepb.Span{
		TraceId: g.id(16), SpanId: g.id(8), TraceState: g.text(), Name: g.text(),
		Kind: tracepb.Span_SpanKind(g.IntN(6)), StartTimeUnixNano: uint64(g.distinct), EndTimeUnixNano: g.Uint64(),
		Attributes: g.attributes(3), DroppedAttributesCount: g.small(), DroppedEventsCount: g.small(), DroppedLinksCount: g.small(),
		Status: &tracepb.Status{Code: tracepb.Status_StatusCode(g.IntN(3)), Message: g.text()},
		Flags:  g.small(),
	}
	if g.IntN(2) == 0 {
		s.ParentSpanId = g.id(8)
	}
	for range g.IntN(3) {
		s.Events = append(s.Events, &tracepb.Span_Event{TimeUnixNano: g.Uint64(), Name: g.text(), Attributes: g.attributes(2), DroppedAttributesCount: g.small()})
	}
	for range g.IntN(3) {
		s.Links = append(s.Links, &tracepb.Span_Link{TraceId: g.id(16), SpanId: g.id(8), TraceState: g.text(), Attributes: g.attributes(2), DroppedAttributesCount: g.small(), Flags: g.small()})
	}
	return s
}

func (g *generator) attributes(most int) (kvs []*common.KeyValue) {
	for range g.IntN(most + 1) {
		kvs = append(kvs, attribute(fmt.Sprint("key", g.IntN(4)), g.value(0)))
	}
	return kvs
}

func attribute(key string, v *common.AnyValue) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: v}
}

func stringValue(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func (g *generator) value(depth int) *common.AnyValue {
	switch n := g.IntN(9); {
	case n == 0:
		return &common.AnyValue{}
	case n == 1:
		return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: g.IntN(2) == 0}}
	case n == 2:
		return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: g.Int64() - g.Int64()}}
	case n == 3:
		return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: g.NormFloat64()}}
	case n == 4:
		return &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: g.id(3)}}
	case n == 5 && depth < 3:
		a := &common.ArrayValue{}
		for range g.IntN(3) {
			a.Values = append(a.Values, g.value(depth+1))
		}
		return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: a}}
	case n == 6 && depth < 3:
		l := &common.KeyValueList{}
		for range g.IntN(3) {
			l.Values = append(l.Values, attribute("inner", g.value(depth+1)))
		}
		return &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: l}}
	}
	return stringValue(g.text())
}

func (g *generator) text() string {
	return [...]string{"", "a", "größer", "quote \" < & \n", strings.Repeat("long ", 40)}[g.IntN(5)]
}

func (g *generator) small() uint32 { return [...]uint32{0, 0, 1, 300, 1 << 31}[g.IntN(5)] }

func (g *generator) id(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + g.IntN(255))
	}
	return b
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tableOf validates and appends requests to a new Table.
func tableOf(t testing.TB, payloads ...[]byte) *trace.Table {
	t.Helper()
	table := trace.NewTable()
	for _, p := range payloads {
		_, stats, err := Validate(p)
		if err != nil {
			t.Fatal(err)
		}
		added, err := Append(table, p, 1)
		if err != nil || added != stats.Spans {
			t.Fatalf("Append added %d of %d spans, error %v", added, stats.Spans, err)
		}
	}
	return table
}

func allRows(v *trace.View) (refs []Ref) {
	for row := range v.Spans() {
		refs = append(refs, Ref{v, uint32(row)})
	}
	return refs
}

// bySpan flattens a request to what is said about each span, since equal
// resources and scopes may come back joined.
func bySpan(r *tracepb.TracesData) map[string]*tracepb.ResourceSpans {
	spans := map[string]*tracepb.ResourceSpans{}
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				spans[fmt.Sprintf("%x %d", s.SpanId, s.StartTimeUnixNano)] = &tracepb.ResourceSpans{Resource: rs.Resource, SchemaUrl: rs.SchemaUrl,
					ScopeSpans: []*tracepb.ScopeSpans{{Scope: ss.Scope, SchemaUrl: ss.SchemaUrl, Spans: []*tracepb.Span{s}}}}
			}
		}
	}
	return spans
}

// compare fails with a difference by span. Diff is slow, so it is asked last.
func compare(t *testing.T, seed uint64, want, got map[string]*tracepb.ResourceSpans) {
	t.Helper()
	if maps.EqualFunc(want, got, func(a, b *tracepb.ResourceSpans) bool { return proto.Equal(a, b) }) {
		return
	}
	t.Fatalf("seed %d: want (-) and got (+) differ:\n%s", seed, cmp.Diff(want, got, protocmp.Transform()))
}

func TestRoundTripKeepsEveryField(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		g := newGenerator(seed)
		want := &tracepb.TracesData{}
		var payloads [][]byte
		for range 3 {
			r := g.request()
			want.ResourceSpans = append(want.ResourceSpans, r.ResourceSpans...)
			payloads = append(payloads, marshal(t, r))
		}
		table := tableOf(t, payloads...)
		if seed%2 == 0 {
			table.Seal()
		}
		got := &tracepb.TracesData{}
		if err := proto.Unmarshal(AppendTraces(nil, allRows(table.View())), got); err != nil {
			t.Fatal(err)
		}
		compare(t, seed, bySpan(want), bySpan(got))
		checkSizes(t, want, table.View())
	}
}

// checkSizes compares the size of every span with that of its message.
func checkSizes(t *testing.T, sent *tracepb.TracesData, v *trace.View) {
	want, got := map[string]uint32{}, map[string]uint32{}
	for key, r := range bySpan(sent) {
		want[key] = uint32(proto.Size(r.ScopeSpans[0].Spans[0]))
	}
	for row, size := range v.Size {
		got[fmt.Sprintf("%x %d", v.SpanID[row][:], v.Start[row])] = size
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sizes of spans, want (-) and got (+):\n%s", diff)
	}
}

func TestJSONAgreesWithProtojson(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		want := newGenerator(seed).request()
		text := ToJSON(nil, marshal(t, want), TempoJSON)
		got := &collector.ExportTraceServiceRequest{}
		if err := protojson.Unmarshal(text, got); err != nil {
			t.Fatalf("seed %d: protojson refuses what was written: %v\n%s", seed, err, text)
		}
		compare(t, seed, bySpan(&tracepb.TracesData{ResourceSpans: want.ResourceSpans}), bySpan(&tracepb.TracesData{ResourceSpans: got.ResourceSpans}))
	}
}

func TestFromJSONReadsWhatToJSONWrites(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		want := newGenerator(seed).request()
		b, err := FromJSON(ToJSON(nil, marshal(t, want), OTLPJSON))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got := &collector.ExportTraceServiceRequest{}
		if err := proto.Unmarshal(b, got); err != nil {
			t.Fatal(err)
		}
		compare(t, seed, bySpan(&tracepb.TracesData{ResourceSpans: want.ResourceSpans}), bySpan(&tracepb.TracesData{ResourceSpans: got.ResourceSpans}))
	}
}

func TestSpanSentTwiceIsKeptOnce(t *testing.T) {
	t.Parallel()
	payload := marshal(t, newGenerator(1).request())
	table := tableOf(t, payload)
	before := table.Spans()
	added, err := Append(table, payload, 2)
	if err != nil || added != 0 || table.Spans() != before {
		t.Fatalf("second Append added %d spans, error %v; the Table went from %d to %d", added, err, before, table.Spans())
	}
	if first, last := table.View().Arrivals(); first != 1 || last != 2 {
		t.Errorf("arrivals %d, %d, want 1, 2", first, last)
	}
}

func TestMessagesInAnyOrder(t *testing.T) {
	t.Parallel()
	// Resource and scope after their spans, the resource in two pieces, and
	// attributes before ids.
	want := newGenerator(7).request()
	want.ResourceSpans = want.ResourceSpans[:1]
	first := want.ResourceSpans[0]
	var e encoder
	at := e.Open(1)
	for _, ss := range first.ScopeSpans {
		inner := e.Open(2)
		for _, s := range ss.Spans {
			e.Bytes(2, append(marshal(t, &tracepb.Span{Attributes: s.Attributes}), marshal(t, &tracepb.Span{
				TraceId: s.TraceId, SpanId: s.SpanId, ParentSpanId: s.ParentSpanId, Name: s.Name, TraceState: s.TraceState, Kind: s.Kind,
				StartTimeUnixNano: s.StartTimeUnixNano, EndTimeUnixNano: s.EndTimeUnixNano, Events: s.Events, Links: s.Links, Status: s.Status, Flags: s.Flags,
				DroppedAttributesCount: s.DroppedAttributesCount, DroppedEventsCount: s.DroppedEventsCount, DroppedLinksCount: s.DroppedLinksCount})...))
		}
		e.B = append(e.B, marshal(t, &tracepb.ScopeSpans{Scope: ss.Scope, SchemaUrl: ss.SchemaUrl})...)
		e.Close(inner)
	}
	e.B = append(e.B, marshal(t, &tracepb.ResourceSpans{Resource: &res.Resource{Attributes: first.Resource.Attributes}, SchemaUrl: first.SchemaUrl})...)
	e.B = append(e.B, marshal(t, &tracepb.ResourceSpans{Resource: &res.Resource{DroppedAttributesCount: first.Resource.DroppedAttributesCount, EntityRefs: first.Resource.EntityRefs}})...)
	e.Close(at)

	got := &tracepb.TracesData{}
	if err := proto.Unmarshal(AppendTraces(nil, allRows(tableOf(t, e.B).View())), got); err != nil {
		t.Fatal(err)
	}
	compare(t, 7, bySpan(&tracepb.TracesData{ResourceSpans: want.ResourceSpans}), bySpan(got))
}

// tableOfAny is tableOf for requests that may hold a span twice.
func tableOfAny(t testing.TB, payload []byte) *trace.Table {
	t.Helper()
	table := trace.NewTable()
	if _, err := Append(table, payload, 1); err != nil {
		t.Fatal(err)
	}
	return table
}
