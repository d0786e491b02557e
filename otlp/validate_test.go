package otlp

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	res "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// oneSpan is a request with one good span, changed by edit.
func oneSpan(t testing.TB, edit func(*tracepb.Span)) []byte {
	s := &tracepb.Span{TraceId: bytes.Repeat([]byte{1}, 16), SpanId: bytes.Repeat([]byte{2}, 8), Name: "name"}
	edit(s)
	good := &tracepb.Span{TraceId: bytes.Repeat([]byte{1}, 16), SpanId: bytes.Repeat([]byte{3}, 8)}
	return marshal(t, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{good, s}}}}}})
}

func TestBadSpanCostsItself(t *testing.T) {
	t.Parallel()
	deep := stringValue("x")
	for range MaxDepth + 1 {
		deep = &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{deep}}}}
	}
	tests := []struct {
		name string
		edit func(*tracepb.Span)
		want string // the reason after resource_spans[0].scope_spans[0].spans[1]
	}{
		{"no trace id", func(s *tracepb.Span) { s.TraceId = nil }, ".trace_id: trace ids must be 128 bits, received 0 bits"},
		{"short trace id", func(s *tracepb.Span) { s.TraceId = s.TraceId[:8] }, ".trace_id: trace ids must be 128 bits, received 64 bits"},
		{"zero trace id", func(s *tracepb.Span) { s.TraceId = make([]byte, 16) }, ".trace_id: trace ids must be 128 bits and not all zero"},
		{"no span id", func(s *tracepb.Span) { s.SpanId = nil }, ".span_id: span ids must be 64 bits, received 0 bits"},
		{"zero span id", func(s *tracepb.Span) { s.SpanId = make([]byte, 8) }, ".span_id: span ids must be 64 bits and not all zero"},
		{"parent", func(s *tracepb.Span) { s.ParentSpanId = []byte{1} }, ".parent_span_id: must be empty or 64 bits, received 8 bits"},
		{"link", func(s *tracepb.Span) { s.Links = []*tracepb.Span_Link{{}, {TraceId: []byte{1}}} }, ".links[1].trace_id: must be empty or 128 bits, received 8 bits"},
		{"deep", func(s *tracepb.Span) {
			s.Attributes = []*common.KeyValue{attribute("a", deep)}
		}, ".attributes[0].value" + strings.Repeat(".array_value.values[0]", MaxDepth) + ": values nest deeper than 100"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			payload := oneSpan(t, test.edit)
			valid, stats, err := Validate(payload)
			want := Stats{Spans: 1, Rejected: Rejected{Spans: 1, Reason: "resource_spans[0].scope_spans[0].spans[1]" + test.want}}
			if err != nil || stats != want {
				t.Fatalf("got  %+v, %v\nwant %+v", stats, err, want)
			}
			wanted := decode(t, payload)
			ss := wanted.ResourceSpans[0].ScopeSpans[0]
			ss.Spans = ss.Spans[:1]
			if got := decode(t, valid); !proto.Equal(got, wanted) {
				t.Errorf("got  %v\nwant %v", got, wanted)
			}
			if _, again, err := Validate(valid); err != nil || again != (Stats{Spans: 1}) {
				t.Errorf("what is left is not valid: %+v, %v", again, err)
			}
		})
	}
}

func decode(t testing.TB, payload []byte) *tracepb.TracesData {
	t.Helper()
	m := new(tracepb.TracesData)
	if err := proto.Unmarshal(payload, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBadResourceCostsItsSpans puts a value that nests too deep into a resource
// and a scope, each with good spans beside it.
func TestBadResourceCostsItsSpans(t *testing.T) {
	t.Parallel()
	deep := stringValue("x")
	for range MaxDepth + 1 {
		deep = &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{deep}}}}
	}
	bad := []*common.KeyValue{attribute("deep", deep)}
	spans := func() []*tracepb.Span {
		return decode(t, oneSpan(t, func(*tracepb.Span) {})).ResourceSpans[0].ScopeSpans[0].Spans
	}
	payload := marshal(t, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{
		{Resource: &res.Resource{Attributes: bad}, ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans()}, {Spans: spans()}}},
		{ScopeSpans: []*tracepb.ScopeSpans{{Scope: &common.InstrumentationScope{Attributes: bad}, Spans: spans()}, {Spans: spans()}}},
	}})
	valid, stats, err := Validate(payload)
	if err != nil || stats.Spans != 2 || stats.Rejected.Spans != 6 || !strings.HasPrefix(stats.Rejected.Reason, "resource_spans[0].resource.attributes[0].value.") {
		t.Fatalf("%+v, %v", stats, err)
	}
	if _, again, err := Validate(valid); err != nil || again != (Stats{Spans: 2}) {
		t.Errorf("what is left is not valid: %+v, %v", again, err)
	}
}

// TestOneBadSpanDoesNotHideMalformedBytes puts bytes that are not protobuf after
// a span that is only rejected.
func TestOneBadSpanDoesNotHideMalformedBytes(t *testing.T) {
	t.Parallel()
	payload := append(oneSpan(t, func(s *tracepb.Span) { s.SpanId = nil }), 0x0a, 0x7f)
	_, _, err := Validate(payload)
	var invalid *Error
	if !errors.As(err, &invalid) || !invalid.InvalidSpans() || !strings.Contains(err.Error(), "of this TracesData are not protobuf") {
		t.Errorf("error is %v", err)
	}
}

// TestTextThatIsNotUTF8 replaces each string of a request, one at a time, by bytes
// that are not UTF-8.
func TestTextThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	const mark = "abcdef"
	list := &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: []*common.KeyValue{attribute(mark, stringValue(mark))}}}}
	attrs := []*common.KeyValue{attribute(mark, list), attribute("plain", stringValue(mark))}
	whole := marshal(t, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &res.Resource{Attributes: attrs}, SchemaUrl: mark,
		ScopeSpans: []*tracepb.ScopeSpans{{
			Scope: &common.InstrumentationScope{Name: mark, Version: mark, Attributes: attrs}, SchemaUrl: mark,
			Spans: []*tracepb.Span{{TraceId: bytes.Repeat([]byte{1}, 16), SpanId: bytes.Repeat([]byte{2}, 8), Name: mark, TraceState: mark, Attributes: attrs,
				Events: []*tracepb.Span_Event{{Name: mark, Attributes: attrs}}, Links: []*tracepb.Span_Link{{TraceState: mark, Attributes: attrs}},
				Status: &tracepb.Status{Message: mark}}}}}}}})
	places := 0
	for at := 0; ; places++ {
		i := bytes.Index(whole[at:], []byte(mark))
		if i < 0 {
			break
		}
		at += i + 1
		payload := bytes.Clone(whole)
		copy(payload[at-1:], "ab\xff\xfeef")
		valid, stats, err := Validate(payload)
		if err != nil || stats != (Stats{Spans: 1, Mended: true}) {
			t.Fatalf("place %d: %+v, %v", places, stats, err)
		}
		_ = decode(t, valid) // refuses what is not UTF-8
		if want := bytes.Count(whole, []byte(mark)) - 1; bytes.Count(valid, []byte("ab\uFFFDef")) != 1 || bytes.Count(valid, []byte(mark)) != want {
			t.Errorf("place %d: %q", places, valid)
		}
	}
	if places != 29 {
		t.Errorf("%d places of text, want 29", places)
	}
}

func TestValidateCutAnywhere(t *testing.T) {
	t.Parallel()
	whole := marshal(t, newGenerator(3).request())
	for n := 1; n < len(whole); n++ {
		cut := whole[:n]
		_, _, err := Validate(cut)
		if perr := proto.Unmarshal(cut, &tracepb.TracesData{}); (perr != nil) && err == nil {
			t.Fatalf("cut at %d of %d: accepted, but protobuf says %v", n, len(whole), perr)
		}
	}
}

func TestFromJSONErrors(t *testing.T) {
	t.Parallel()
	const head = `{"resourceSpans":[{"scopeSpans":[{"spans":[`
	tests := []struct{ name, text, want string }{
		{"empty", ``, `not JSON: at byte 0: unexpected end of JSON input`},
		{"not an object", `[]`, `want an object (TracesData), got a list`},
		{"cut", `{"resourceSpans":[`, `not JSON: at byte 18: unexpected end of JSON input`},
		{"two", `{} {}`, `not JSON: at byte 4: invalid character '{' after top-level value`},
		{"base64 id", head + `{"traceId":"AAAAAAAAAAAAAAAAAAAAAQ=="}]}]}]}`, `resourceSpans[0].scopeSpans[0].spans[0].traceId: want 32 hex digits, got "AAAAAAAAAAAAAAAAAAAAAQ=="`},
		{"time", head + `{},{"startTimeUnixNano":"soon"}]}]}]}`, `resourceSpans[0].scopeSpans[0].spans[1].startTimeUnixNano: "soon" is not a 64-bit unsigned integer`},
		{"negative", head + `{"endTimeUnixNano":-1}]}]}]}`, `resourceSpans[0].scopeSpans[0].spans[0].endTimeUnixNano: "-1" is not a 64-bit unsigned integer`},
		{"kind", head + `{"kind":"SPAN_KIND_ODD"}]}]}]}`, `resourceSpans[0].scopeSpans[0].spans[0].kind: "SPAN_KIND_ODD" is not a value of this enum, by name or number`},
		{"bool", head + `{"attributes":[{"key":"a","value":{"boolValue":1}}]}]}]}]}`, `resourceSpans[0].scopeSpans[0].spans[0].attributes[0].value.boolValue: want true or false, got the number 1`},
		{"list", `{"resourceSpans":{}}`, `resourceSpans: want a list, got an object`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := FromJSON([]byte(test.text))
			if want := "invalid OTLP request: " + test.want; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestFromJSONIsLenientWhereTheSpecIs(t *testing.T) {
	t.Parallel()
	text := `{"unknown":{"a":[1,{"b":null}]},"resource_spans":[{"resource":null,"scope_spans":[{"spans":[{
		"traceId":"0102030405060708090A0b0c0d0e0f10","spanId":"0102030405060708","parentSpanId":"","kind":"SPAN_KIND_SERVER",
		"startTimeUnixNano":1700000000000000001,"endTimeUnixNano":"1.7e18","status":{"code":2},
		"attributes":[{"key":"i","value":{"intValue":7}},{"key":"d","value":{"doubleValue":"NaN"}},{"key":"b","value":{"bytesValue":"-_8"}}]}]}]}]}`
	b, err := FromJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := &tracepb.TracesData{}
	if err := proto.Unmarshal(b, got); err != nil {
		t.Fatal(err)
	}
	s := got.ResourceSpans[0].ScopeSpans[0].Spans[0]
	if s.StartTimeUnixNano != 1700000000000000001 || s.EndTimeUnixNano != 17e17 || s.Kind != 2 || s.Status.Code != 2 || len(s.ParentSpanId) != 0 || s.TraceId[9] != 0x0a {
		t.Errorf("span read wrongly: %v", s)
	}
	if v := s.Attributes; v[0].Value.GetIntValue() != 7 || v[1].Value.GetDoubleValue() == v[1].Value.GetDoubleValue() || !bytes.Equal(v[2].Value.GetBytesValue(), []byte{0xfb, 0xff}) {
		t.Errorf("attributes read wrongly: %v", v)
	}
}

// FuzzValidate holds Validate to protobuf's own judgement: what protobuf reads is
// never refused as a whole, and what Validate returns is read by protobuf, valid,
// and appended whole.
func FuzzValidate(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(marshal(f, newGenerator(seed).request()))
	}
	f.Add([]byte{0x0a, 0x00, 0x13, 0x14})
	f.Add(bytes.ReplaceAll(marshal(f, newGenerator(9).request()), []byte("e"), []byte{0xff}))
	f.Add(oneSpan(f, func(s *tracepb.Span) { s.SpanId = nil }))
	f.Fuzz(func(t *testing.T, b []byte) {
		valid, stats, err := Validate(b)
		if perr := proto.Unmarshal(b, &tracepb.TracesData{}); perr == nil && err != nil {
			t.Fatalf("refused what protobuf reads: %v", err)
		}
		if err != nil {
			return
		}
		if err := proto.Unmarshal(valid, &tracepb.TracesData{}); err != nil {
			t.Fatalf("returned what protobuf refuses: %v", err)
		}
		if _, again, err := Validate(valid); err != nil || again != (Stats{Spans: stats.Spans}) {
			t.Fatalf("returned what is not valid: %+v, then %+v, %v", stats, again, err)
		}
		table := tableOfAny(t, valid)
		ToJSON(nil, AppendTraces(nil, allRows(table.View())), OTLPJSON)
		if table.Spans() > stats.Spans {
			t.Fatalf("%d rows of %d spans", table.Spans(), stats.Spans)
		}
	})
}

// FuzzFromJSON checks that what FromJSON makes is protobuf.
func FuzzFromJSON(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(ToJSON(nil, marshal(f, newGenerator(seed).request()), OTLPJSON))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := FromJSON(text)
		if err != nil {
			return
		}
		if err := proto.Unmarshal(b, &tracepb.TracesData{}); err != nil {
			t.Fatalf("wrote what protobuf refuses: %v", err)
		}
	})
}

func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("*.go")
	for _, word := range strings.Fields(strings.NewReplacer("`", " ", ",", " ").Replace(string(text))) {
		if strings.HasSuffix(word, ".go") && !strings.Contains(strings.Join(files, " "), word) {
			t.Errorf("README.md names %s, which is not here", word)
		}
	}
}
