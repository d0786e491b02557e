package bench

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"etude/otlp"
)

// each calls do for every span of a payload, and fails on bytes that are not
// valid OTLP.
func each(t *testing.T, payload []byte, do func(service string, s *tracepb.Span)) {
	t.Helper()
	if _, _, err := otlp.Validate(payload); err != nil {
		t.Fatal(err)
	}
	var req collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(payload, &req); err != nil {
		t.Fatal(err)
	}
	for _, rs := range req.ResourceSpans {
		for _, s := range rs.ScopeSpans[0].Spans {
			do(rs.Resource.Attributes[0].Value.GetStringValue(), s)
		}
	}
}

func TestPayloadSizes(t *testing.T) {
	t.Parallel()
	for _, batch := range []int{1, 6, 7, 8, 20, 200, 1000} {
		p := newPayloads(newSource(100), &counter{}, batch, 10)
		payload, _, _ := p.fill(nil, time.Now())
		spans := 0
		each(t, payload, func(string, *tracepb.Span) { spans++ })
		if spans != batch {
			t.Errorf("%d spans in a batch of %d", spans, batch)
		}
		if size := p.size() / float64(batch); batch >= 20 && (size < 370 || size > 440) || batch == 200 && (size < 385 || size > 399) {
			t.Errorf("batch of %d: %.0f bytes a span, want about 390", batch, size)
		}
	}
}

// Patching must change ids, times and values, and nothing else.
func TestPatchedFields(t *testing.T) {
	t.Parallel()
	const batch = 200
	s := newSource(0)
	p := newPayloads(s, &counter{}, batch, 10)
	begin := time.Now()
	seen := map[string]bool{}
	for range 40 { // every template at least twice
		payload, trace, span := p.fill(nil, time.Now())
		byID := map[string]*tracepb.Span{}
		var values []string
		traces := map[string]int{}
		each(t, payload, func(_ string, sp *tracepb.Span) {
			byID[string(sp.SpanId)] = sp
			traces[string(sp.TraceId)]++
			last := sp.Attributes[len(sp.Attributes)-1]
			if last.Key != valueKey {
				t.Fatalf("last attribute is %s", last.Key)
			}
			values = append(values, last.Value.GetStringValue())
			if n := len(sp.Attributes); n < 8 || n > 10 {
				t.Errorf("%s has %d attributes", sp.Name, n)
			}
		})
		if len(byID) != batch || len(traces) != (batch+spansPerTrace-1)/spansPerTrace {
			t.Fatalf("%d span ids and %d trace ids", len(byID), len(traces))
		}
		for _, id := range append(values, fmt.Sprintf("%x", s.traceLo(trace)), fmt.Sprintf("%x", s.spanID(span))) {
			if seen[id] {
				t.Fatalf("%s came twice", id)
			}
			seen[id] = true
		}
		for _, sp := range byID {
			checkSpan(t, sp, byID, begin)
		}
		if traceID(s, trace) == traceID(s, trace+1) || traces[string(rawTraceID(s, trace))] != spansPerTrace {
			t.Errorf("first trace %s is not in its payload", traceID(s, trace))
		}
	}
}

func checkSpan(t *testing.T, s *tracepb.Span, byID map[string]*tracepb.Span, begin time.Time) {
	t.Helper()
	oldest := uint64(begin.Add(-3 * time.Second).UnixNano())
	if s.StartTimeUnixNano < oldest || s.StartTimeUnixNano >= s.EndTimeUnixNano || s.EndTimeUnixNano > uint64(time.Now().UnixNano()) {
		t.Fatalf("%s runs from %d to %d", s.Name, s.StartTimeUnixNano, s.EndTimeUnixNano)
	}
	for _, e := range s.Events {
		if e.TimeUnixNano < s.StartTimeUnixNano || e.TimeUnixNano > s.EndTimeUnixNano {
			t.Fatalf("event of %s at %d is outside it", s.Name, e.TimeUnixNano)
		}
	}
	if len(s.ParentSpanId) == 0 {
		if s.Kind != tracepb.Span_SPAN_KIND_SERVER {
			t.Errorf("root %s is a %s", s.Name, s.Kind)
		}
		return
	}
	parent := byID[string(s.ParentSpanId)]
	if parent == nil || !bytes.Equal(parent.TraceId, s.TraceId) {
		t.Fatalf("%s has no parent in its trace", s.Name)
	}
	if s.StartTimeUnixNano < parent.StartTimeUnixNano || s.EndTimeUnixNano > parent.EndTimeUnixNano {
		t.Fatalf("%s does not lie within its parent %s", s.Name, parent.Name)
	}
}

func TestEveryServiceAppears(t *testing.T) {
	t.Parallel()
	for _, services := range []int{1, 3, 10, 500} {
		p := newPayloads(newSource(10), &counter{}, 20, services)
		found := map[string]bool{}
		for range p.templates {
			payload, _, _ := p.fill(nil, time.Now())
			each(t, payload, func(service string, _ *tracepb.Span) { found[service] = true })
		}
		if len(found) != services {
			t.Errorf("%d services appear, want %d", len(found), services)
		}
	}
}

func TestCardinality(t *testing.T) {
	t.Parallel()
	p := newPayloads(newSource(50), &counter{}, 200, 10)
	found := map[string]bool{}
	for range 20 {
		payload, _, _ := p.fill(nil, time.Now())
		each(t, payload, func(_ string, s *tracepb.Span) {
			found[s.Attributes[len(s.Attributes)-1].Value.GetStringValue()] = true
		})
	}
	if len(found) != 50 {
		t.Errorf("%d values, want 50", len(found))
	}
}

func BenchmarkPatch(b *testing.B) {
	for _, batch := range []int{20, 200} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			p := newPayloads(newSource(1e6), &counter{}, batch, 10)
			buffer, now := make([]byte, 0, 200<<10), time.Now()
			b.SetBytes(int64(p.size()))
			b.ReportAllocs()
			for b.Loop() {
				buffer, _, _ = p.fill(buffer, now)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/span")
		})
	}
}
