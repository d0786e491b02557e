// Package jaegertest helps tests: it parses a notation for batches of Jaeger's spans, and encodes them with
// upstream's code.
package jaegertest

import (
	"context"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/jaegertracing/jaeger-idl/proto-gen/api_v2"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
)

type NewThrift func(thrift.TTransport, *thrift.TConfiguration) thrift.TProtocol

func Binary(t thrift.TTransport, c *thrift.TConfiguration) thrift.TProtocol {
	return thrift.NewTBinaryProtocolConf(t, c)
}

func Compact(t thrift.TTransport, c *thrift.TConfiguration) thrift.TProtocol {
	return thrift.NewTCompactProtocolConf(t, c)
}

func Thrift(t testing.TB, p NewThrift, batch *jaeger.Batch) []byte {
	t.Helper()
	buf := thrift.NewTMemoryBuffer()
	if err := batch.Write(context.Background(), p(buf, nil)); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Parse parses the notation of testdata/jaeger.txt.
func Parse(t testing.TB, text string) *jaeger.Batch {
	t.Helper()
	batch := &jaeger.Batch{Process: &jaeger.Process{}, Spans: []*jaeger.Span{}}
	var s *jaeger.Span
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		switch args := words[1:]; words[0] {
		case "service":
			batch.Process.ServiceName = args[0]
		case "process":
			batch.Process.Tags = append(batch.Process.Tags, Tags(t, args)...)
		case "span":
			s = parseSpan(t, args)
			batch.Spans = append(batch.Spans, s)
		case "tag":
			s.Tags = append(s.Tags, Tags(t, args)...)
		case "ref":
			high, low := parseTraceID(t, args[1])
			s.References = append(s.References, &jaeger.SpanRef{
				RefType:     map[string]jaeger.SpanRefType{"child_of": 0, "follows_from": 1}[args[0]],
				TraceIdHigh: high, TraceIdLow: low, SpanId: parseInt(t, args[2], 16),
			})
		case "log":
			s.Logs = append(s.Logs, &jaeger.Log{Timestamp: parseInt(t, args[0], 10), Fields: Tags(t, args[1:])})
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	return batch
}

func parseSpan(t testing.TB, args []string) *jaeger.Span {
	s := &jaeger.Span{OperationName: args[0]}
	for _, a := range args[1:] {
		k, v, _ := strings.Cut(a, "=")
		switch k {
		case "trace":
			s.TraceIdHigh, s.TraceIdLow = parseTraceID(t, v)
		case "id":
			s.SpanId = parseInt(t, v, 16)
		case "parent":
			s.ParentSpanId = parseInt(t, v, 16)
		case "start":
			s.StartTime = parseInt(t, v, 10)
		case "duration":
			s.Duration = parseInt(t, v, 10)
		case "flags":
			s.Flags = int32(parseInt(t, v, 10))
		default:
			t.Fatalf("unknown word %q", a)
		}
	}
	return s
}

func parseTraceID(t testing.TB, v string) (high, low int64) {
	h, l, _ := strings.Cut(v, ":")
	return parseInt(t, h, 16), parseInt(t, l, 16)
}

func parseInt(t testing.TB, v string, base int) int64 {
	t.Helper()
	if n, err := strconv.ParseInt(v, base, 64); err == nil {
		return n
	}
	n, err := strconv.ParseUint(v, base, 64)
	if err != nil {
		t.Fatal(err)
	}
	return int64(n)
}

// Tags: "text", 12, 1.5, true, 0x00ff (binary), bad (an invalid type).
func Tags(t testing.TB, words []string) []*jaeger.Tag {
	t.Helper()
	var tags []*jaeger.Tag
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok {
			t.Fatalf("unknown tag %q", w)
		}
		tag := &jaeger.Tag{Key: k}
		if text, err := strconv.Unquote(v); err == nil {
			tag.VType, tag.VStr = jaeger.TagType_STRING, &text
		} else if digits, ok := strings.CutPrefix(v, "0x"); ok {
			tag.VType = jaeger.TagType_BINARY
			tag.VBinary, _ = hex.DecodeString(digits)
		} else if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			tag.VType, tag.VLong = jaeger.TagType_LONG, &n
		} else if d, err := strconv.ParseFloat(v, 64); err == nil {
			tag.VType, tag.VDouble = jaeger.TagType_DOUBLE, &d
		} else if b, err := strconv.ParseBool(v); err == nil {
			tag.VType, tag.VBool = jaeger.TagType_BOOL, &b
		} else if v == "bad" {
			tag.VType = 9
		} else {
			t.Fatalf("unknown value %q", w)
		}
		tags = append(tags, tag)
	}
	return tags
}

// Types maps thrift's types of tags to protobuf's, which have other numbers.
var Types = map[jaeger.TagType]model.ValueType{
	jaeger.TagType_STRING: model.StringType, jaeger.TagType_DOUBLE: model.Float64Type, jaeger.TagType_BOOL: model.BoolType,
	jaeger.TagType_LONG: model.Int64Type, jaeger.TagType_BINARY: model.BinaryType,
}

// Request converts a thrift batch to protobuf, as Jaeger's agents did: the parent is the first reference.
func Request(b *jaeger.Batch) *api_v2.PostSpansRequest {
	req := &api_v2.PostSpansRequest{Batch: model.Batch{Process: &model.Process{ServiceName: b.Process.ServiceName, Tags: modelKeyValues(b.Process.Tags)}}}
	for _, s := range b.Spans {
		m := &model.Span{
			TraceID: model.NewTraceID(uint64(s.TraceIdHigh), uint64(s.TraceIdLow)), SpanID: model.SpanID(s.SpanId), OperationName: s.OperationName,
			Flags: model.Flags(s.Flags), StartTime: time.UnixMicro(s.StartTime).UTC(), Duration: time.Duration(s.Duration) * time.Microsecond, Tags: modelKeyValues(s.Tags),
		}
		if s.ParentSpanId != 0 {
			m.References = []model.SpanRef{model.NewChildOfRef(m.TraceID, model.SpanID(s.ParentSpanId))}
		}
		for _, r := range s.References {
			m.References = append(m.References, model.SpanRef{RefType: model.SpanRefType(r.RefType), TraceID: model.NewTraceID(uint64(r.TraceIdHigh), uint64(r.TraceIdLow)), SpanID: model.SpanID(r.SpanId)})
		}
		for _, l := range s.Logs {
			m.Logs = append(m.Logs, model.Log{Timestamp: time.UnixMicro(l.Timestamp).UTC(), Fields: modelKeyValues(l.Fields)})
		}
		req.Batch.Spans = append(req.Batch.Spans, m)
	}
	return req
}

func modelKeyValues(tags []*jaeger.Tag) []model.KeyValue {
	var out []model.KeyValue
	for _, t := range tags {
		typ, known := Types[t.VType]
		if !known {
			typ = model.ValueType(t.VType)
		}
		out = append(out, model.KeyValue{Key: t.Key, VType: typ, VStr: t.GetVStr(), VBool: t.GetVBool(), VInt64: t.GetVLong(), VFloat64: t.GetVDouble(), VBinary: t.VBinary})
	}
	return out
}

func Proto(t testing.TB, req *api_v2.PostSpansRequest) []byte {
	t.Helper()
	b, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
