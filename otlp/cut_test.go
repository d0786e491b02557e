package otlp

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"etude/trace"
)

// TestLongAttributesAreCut adds every form of a long attribute, as text of one,
// two and three bytes a character, and reads what an answer has.
func TestLongAttributesAreCut(t *testing.T) {
	t.Parallel()
	const most = MinAttributeBytes
	long := func(s string) string { return strings.Repeat(s, 3000) }
	var list []*common.AnyValue
	var pairs []*common.KeyValue
	for range 100 {
		list = append(list, stringValue(strings.Repeat("element", 4)))
		pairs = append(pairs, attribute("key", stringValue(strings.Repeat("entry", 4))))
	}
	attrs := []*common.KeyValue{
		attribute("short", stringValue("short")),
		attribute("ascii", stringValue(long("x"))), attribute("two", stringValue("x"+long("é"))), attribute("three", stringValue(long("€"))),
		attribute("fits", stringValue(strings.Repeat("x", most))), attribute("past", stringValue(strings.Repeat("x", most+1))),
		attribute("bytes", &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte(long("\xff"))}}),
		attribute("array", &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: list}}}),
		attribute("kvlist", &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: pairs}}}),
		attribute("one element", &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{stringValue(long("x"))}}}}),
		attribute(long("key"), stringValue("value")),
	}
	table := trace.NewTable()
	table.Limit(trace.Limits{AttributeBytes: most})
	if _, err := Append(table, oneSpan(t, func(s *tracepb.Span) { s.Attributes = attrs }), 1); err != nil {
		t.Fatal(err)
	}
	answer := AppendTraces(nil, allRows(table.View()))
	if _, _, err := Validate(answer); err != nil {
		t.Fatal(err)
	}
	got := decode(t, answer).ResourceSpans[0].ScopeSpans[0].Spans[1].Attributes
	if len(got) != len(attrs) || table.Losses() != (trace.Losses{Cut: 9}) {
		t.Fatalf("%d attributes, losses %+v", len(got), table.Losses())
	}
	for i, kv := range got {
		if len(kv.Key) > most || !utf8.ValidString(kv.Key) {
			t.Errorf("key of %d bytes: %q", len(kv.Key), kv.Key)
		}
		was := attrs[i].Value
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			if s := v.StringValue; s != was.GetStringValue() && (len(s) > most || len(s) < most-3 || !strings.Contains(s, "... [cut, was ")) {
				t.Errorf("%s: %d bytes, end %q", kv.Key, len(s), s[max(0, len(s)-40):])
			}
		case *common.AnyValue_BytesValue:
			if !bytes.Equal(v.BytesValue, was.GetBytesValue()[:most]) {
				t.Errorf("%s: %d bytes", kv.Key, len(v.BytesValue))
			}
		case *common.AnyValue_ArrayValue:
			values := v.ArrayValue.Values
			last := values[len(values)-1].GetStringValue()
			if !strings.HasPrefix(last, "... [cut, was ") || len(values) > 1 && (len(values) < 20 || values[0].GetStringValue() != list[0].GetStringValue()) {
				t.Errorf("%s: %d values, the last %q", kv.Key, len(values), last)
			}
		case *common.AnyValue_KvlistValue:
			values := v.KvlistValue.Values
			if last := values[len(values)-1]; last.Key != cutKey || !strings.HasPrefix(last.Value.GetStringValue(), "... [cut, was ") || len(values) < 20 {
				t.Errorf("%s: %d values, the last %v", kv.Key, len(values), last)
			}
		}
	}
}
