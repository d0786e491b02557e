package edge

import (
	"cmp"
	"context"
	"fmt"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// otlpExporter sends messages by OpenTelemetry's own client, which knows the
// OTEL_EXPORTER_OTLP_* variables: addresses, headers, certificates, compression.
type otlpExporter struct{ client otlptrace.Client }

// newOTLPExporter follows the OTEL_EXPORTER_OTLP_* variables. Where they say
// nothing, spans go over gRPC without TLS to this machine.
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
