package edge

import (
	"cmp"
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The form of spans for OTLP has the fields of one ResourceSpans message. Field numbers are those of
// opentelemetry/proto/trace/v1/trace.proto. A test decodes the bytes with the code generated from it.

const (
	resourceSpansResource = 1
	resourceSpansScope    = 2
	scopeSpansScope       = 1
	scopeSpansSpans       = 2
	scopeName             = 1

	spanTraceID, spanID, spanParentID, spanName, spanKind     = 1, 2, 4, 5, 6
	spanStart, spanEnd, spanAttributes, spanEvents, spanLinks = 7, 8, 9, 11, 13
	spanStatus, spanFlags                                     = 15, 16
	eventTime, eventName, eventAttributes                     = 1, 2, 3
	linkTraceID, linkSpanID                                   = 1, 2
	statusCode, statusError                                   = 3, 2
	keyValueKey, keyValueValue                                = 1, 2
	valueString, valueBool, valueInt                          = 1, 2, 3
	flagKnown, flagRemote                                     = 0x100, 0x200 // whether the parent is remote
)

// maxVarint is the longest form of a length below 4 GiB.
const maxVarint = 5

// otlpForm writes ResourceSpans{1: Resource, 2: ScopeSpans{1: Scope, 2: Span...}}. The length of ScopeSpans
// precedes the spans and is known only after them, so the head is written last, directly before the first span.
type otlpForm struct {
	resource []byte // field 1 of ResourceSpans
	scope    []byte // field 1 of ScopeSpans
}

func newOTLPForm(attributes []attribute.KeyValue) (*otlpForm, error) {
	message := &resourcepb.Resource{}
	for _, kv := range attributes {
		message.Attributes = append(message.Attributes, &commonpb.KeyValue{Key: string(kv.Key), Value: otlpValue(kv.Value)})
	}
	resource, err := proto.Marshal(message)
	if err != nil {
		return nil, err
	}
	return &otlpForm{
		resource: protowire.AppendBytes(protowire.AppendTag(nil, resourceSpansResource, protowire.BytesType), resource),
		scope:    appendMessage(nil, scopeSpansScope, appendText(nil, scopeName, instrumentationScope)),
	}, nil
}

func otlpValue(v attribute.Value) *commonpb.AnyValue {
	switch v.Type() {
	case attribute.BOOL:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: v.AsBool()}}
	case attribute.INT64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: v.AsInt64()}}
	case attribute.FLOAT64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v.AsFloat64()}}
	default:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v.String()}}
	}
}

func (f *otlpForm) headroom() int { return len(f.resource) + 1 + maxVarint + len(f.scope) }

// finish writes the head so that it ends where the spans begin.
func (f *otlpForm) finish(b []byte, _ int) []byte {
	room := f.headroom()
	head := append(make([]byte, 0, room), f.resource...)
	head = protowire.AppendTag(head, resourceSpansScope, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(f.scope)+len(b)-room))
	head = append(head, f.scope...)
	begin := room - len(head)
	copy(b[begin:], head)
	return b[begin:]
}

func (f *otlpForm) appendSpan(b []byte, s *span) []byte {
	b, at := openMessage(b, scopeSpansSpans)
	b = appendID(b, spanTraceID, s.trace[:])
	b = appendID(b, spanID, s.id[:])
	if s.parent.IsValid() {
		b = appendID(b, spanParentID, s.parent[:])
	}
	b = appendText(b, spanName, s.name)
	kind := uint64(2) // SERVER
	if s.kind == trace.SpanKindClient {
		kind = 3
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, spanKind, protowire.VarintType), kind)
	b = appendFixed64(b, spanStart, uint64(s.start.UnixNano()))
	b = appendFixed64(b, spanEnd, uint64(s.start.UnixNano()+int64(s.took)))
	for i := range s.n {
		b = appendAttr(b, spanAttributes, &s.tags[i])
	}
	if e := s.exception; e != nil {
		var event int
		b, event = openMessage(b, spanEvents)
		b = appendFixed64(b, eventTime, uint64(e.at.UnixNano()))
		b = appendText(b, eventName, "exception")
		b = appendAttr(b, eventAttributes, &tag{key: "exception.type", text: e.kind})
		b = appendAttr(b, eventAttributes, &tag{key: "exception.message", text: e.text})
		b = closeMessage(b, event)
	}
	if s.link != nil {
		var link int
		b, link = openMessage(b, spanLinks)
		b = appendID(b, linkTraceID, s.link.trace[:])
		b = appendID(b, linkSpanID, s.link.span[:])
		b = closeMessage(b, link)
	}
	if s.failed {
		var status int
		b, status = openMessage(b, spanStatus)
		b = protowire.AppendVarint(protowire.AppendTag(b, statusCode, protowire.VarintType), statusError)
		b = closeMessage(b, status)
	}
	flags := uint32(flagSampled | flagKnown)
	if s.remote {
		flags |= flagRemote
	}
	b = protowire.AppendFixed32(protowire.AppendTag(b, spanFlags, protowire.Fixed32Type), flags)
	return closeMessage(b, at)
}

func appendAttr(b []byte, field protowire.Number, t *tag) []byte {
	b, at := openMessage(b, field)
	b = appendText(b, keyValueKey, t.key)
	b, value := openMessage(b, keyValueValue)
	switch t.kind {
	case textTag:
		b = appendText(b, valueString, t.text)
	case numberTag:
		b = protowire.AppendVarint(protowire.AppendTag(b, valueInt, protowire.VarintType), uint64(t.number))
	case boolTag:
		b = protowire.AppendVarint(protowire.AppendTag(b, valueBool, protowire.VarintType), uint64(t.number))
	}
	return closeMessage(closeMessage(b, value), at)
}

// openMessage begins an embedded message, with one byte for its length.
func openMessage(b []byte, field protowire.Number) ([]byte, int) {
	b = append(protowire.AppendTag(b, field, protowire.BytesType), 0)
	return b, len(b)
}

// closeMessage writes the length of the message that began at position at. It moves a message whose length
// needs more than a byte: inner messages are short, and outer ones rarely long.
func closeMessage(b []byte, at int) []byte {
	n := uint64(len(b) - at)
	extra := protowire.SizeVarint(n) - 1
	for range extra {
		b = append(b, 0)
	}
	copy(b[at+extra:], b[at:])
	protowire.AppendVarint(b[:at-1], n)
	return b
}

func appendMessage(b []byte, field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), message)
}

func appendID(b []byte, field protowire.Number, id []byte) []byte { return appendMessage(b, field, id) }

func appendText(b []byte, field protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), text)
}

func appendFixed64(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), v)
}

// otlpExporter sends messages with OpenTelemetry's own client, which supports the OTEL_EXPORTER_OTLP_*
// variables: addresses, headers, certificates, compression.
type otlpExporter struct{ client otlptrace.Client }

// newOTLPExporter follows the OTEL_EXPORTER_OTLP_* variables. By default, spans go to this machine over gRPC
// without TLS.
func newOTLPExporter(ctx context.Context, getenv func(string) string) (*otlpExporter, error) {
	protocol := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "grpc")
	endpointSet := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), getenv("OTEL_EXPORTER_OTLP_ENDPOINT")) != ""
	var client otlptrace.Client
	switch protocol {
	case "grpc":
		var options []otlptracegrpc.Option
		if !endpointSet {
			options = append(options, otlptracegrpc.WithEndpointURL("http://127.0.0.1:4317"))
		}
		client = otlptracegrpc.NewClient(options...)
	case "http/protobuf":
		var options []otlptracehttp.Option
		if !endpointSet {
			options = append(options, otlptracehttp.WithEndpointURL("http://127.0.0.1:4318/v1/traces"))
		}
		client = otlptracehttp.NewClient(options...)
	default:
		return nil, fmt.Errorf("unknown OTEL_EXPORTER_OTLP_PROTOCOL %q: use grpc or http/protobuf", protocol)
	}
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("connect to the trace backend: %w", err)
	}
	return &otlpExporter{client}, nil
}

// send hands the bytes of a ResourceSpans to the client as fields that it does
// not know: protobuf writes such fields as they are, and nothing is decoded.
func (e *otlpExporter) send(ctx context.Context, message []byte) error {
	spans := &tracepb.ResourceSpans{}
	spans.ProtoReflect().SetUnknown(message)
	return e.client.UploadTraces(ctx, []*tracepb.ResourceSpans{spans})
}

func (e *otlpExporter) close(ctx context.Context) error { return e.client.Stop(ctx) }
