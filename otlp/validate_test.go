package otlp

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
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

func TestValidateNamesTheBadField(t *testing.T) {
	t.Parallel()
	deep := stringValue("x")
	for range MaxDepth + 1 {
		deep = &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{deep}}}}
	}
	tests := []struct {
		name string
		edit func(*tracepb.Span)
		want string // the error after "invalid OTLP request: resource_spans[0].scope_spans[0].spans[1]"
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
			_, err := Validate(oneSpan(t, test.edit))
			var invalid *Error
			if !errors.As(err, &invalid) || !invalid.InvalidSpans() {
				t.Fatalf("error is %v, want an *Error", err)
			}
			if want := "invalid OTLP request: resource_spans[0].scope_spans[0].spans[1]" + test.want; err.Error() != want {
				t.Errorf("got  %s\nwant %s", err, want)
			}
		})
	}
}

func TestAttributeLimit(t *testing.T) {
	t.Parallel()
	payload := oneSpan(t, func(s *tracepb.Span) {
		s.Attributes = []*common.KeyValue{attribute("short", stringValue("x")), attribute("long", stringValue(strings.Repeat("x", 300)))}
	})
	if _, err := (Limits{AttributeBytes: 400}).Validate(payload); err != nil {
		t.Errorf("within the limit: %v", err)
	}
	_, err := Limits{AttributeBytes: 200}.Validate(payload)
	if want := "spans[1].attributes[1]: attribute has 312 bytes, the limit is 200 (max-attribute-bytes)"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestValidateUTF8(t *testing.T) {
	t.Parallel()
	good := oneSpan(t, func(s *tracepb.Span) { s.Name = "abcd" })
	bad := bytes.Replace(good, []byte("abcd"), []byte("ab\xffd"), 1)
	_, err := Validate(bad)
	if want := "invalid OTLP request: resource_spans[0].scope_spans[0].spans[1].name: string is not valid UTF-8"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestValidateCutAnywhere(t *testing.T) {
	t.Parallel()
	whole := marshal(t, newGenerator(3).request())
	for n := 1; n < len(whole); n++ {
		cut := whole[:n]
		_, err := Validate(cut)
		if perr := proto.Unmarshal(cut, &tracepb.TracesData{}); (perr != nil) && err == nil {
			t.Fatalf("cut at %d of %d: accepted, but protobuf says %v", n, len(whole), perr)
		}
	}
}

func TestFromJSONErrors(t *testing.T) {
	t.Parallel()
	const head = `{"resourceSpans":[{"scopeSpans":[{"spans":[`
	tests := []struct{ name, text, want string }{
		{"empty", ``, `JSON ends too early, at offset 0`},
		{"not an object", `[]`, `want an object (TracesData), got a list`},
		{"cut", `{"resourceSpans":[`, `resourceSpans: JSON ends too early, at offset 18`},
		{"two", `{} {}`, `more than one JSON value, the second at offset 4`},
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

// FuzzValidate holds Validate to protobuf's own judgement, and Append to
// reading all that Validate lets through.
func FuzzValidate(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(marshal(f, newGenerator(seed).request()))
	}
	f.Add([]byte{0x0a, 0x00, 0x13, 0x14})
	f.Fuzz(func(t *testing.T, b []byte) {
		stats, err := Validate(b)
		perr := proto.Unmarshal(b, &tracepb.TracesData{})
		if err == nil && perr != nil {
			t.Fatalf("accepted what protobuf refuses: %v", perr)
		}
		var invalid *Error
		if perr == nil && errors.As(err, &invalid) && strings.Contains(invalid.Reason, "not protobuf") {
			t.Fatalf("refused as malformed what protobuf reads: %v", err)
		}
		if err != nil {
			return
		}
		table := tableOfAny(t, b)
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
