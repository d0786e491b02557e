package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// jaegerExporter posts spans to a Jaeger collector: one jaeger.Batch in
// Thrift's binary protocol, Content-Type application/x-thrift.
type jaegerExporter struct {
	endpoint string
	shown    string // the endpoint without a password
	headers  map[string]string
	process  *jaeger.Process
	client   *http.Client
}

func newJaegerExporter(endpoint string, headers map[string]string, trust *tls.Config, serviceName, version string, res *resource.Resource) (*jaegerExporter, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("read the Jaeger endpoint %q: %w", redactAddress(endpoint), innerError(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the Jaeger endpoint %q is no http address: write for example http://127.0.0.1:14268/api/traces?format=jaeger.thrift", redactAddress(endpoint))
	}
	return &jaegerExporter{
		endpoint: endpoint,
		shown:    redactAddress(endpoint),
		headers:  headers,
		process:  &jaeger.Process{ServiceName: serviceName, Tags: processTags(version, res)},
		client:   &http.Client{Transport: &http.Transport{TLSClientConfig: trust, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}},
	}, nil
}

// processTags are those of Jaeger's clients, and what the user adds with
// OTEL_RESOURCE_ATTRIBUTES.
func processTags(version string, res *resource.Resource) []*jaeger.Tag {
	tags := []*jaeger.Tag{
		textTag("jaeger.version", "etude-"+version),
		textTag("hostname", hostname()),
		textTag("ip", ownAddress()),
		textTag("client-uuid", fmt.Sprintf("%016x", randomID())),
	}
	for _, kv := range res.Attributes() {
		switch key := string(kv.Key); {
		case key == "service.name", key == "host.name", strings.HasPrefix(key, "telemetry.sdk."):
		default:
			tags = append(tags, jaegerTag(kv))
		}
	}
	return tags
}

// ownAddress is the first address of this machine that is not loopback.
func ownAddress() string {
	addrs, err := net.InterfaceAddrs()
	if err == nil {
		for _, a := range addrs {
			if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
				return ip.IP.String()
			}
		}
	}
	return "127.0.0.1"
}

// ExportSpans sends one batch. An answer of the 4xx class other than 408 and
// 429 is permanent: the same bytes will not be taken later either.
func (e *jaegerExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	batch := &jaeger.Batch{Process: e.process, Spans: make([]*jaeger.Span, len(spans))}
	for i, s := range spans {
		batch.Spans[i] = jaegerSpan(s)
	}
	payload := thrift.NewTMemoryBufferLen(1024 * len(spans))
	if err := batch.Write(ctx, thrift.NewTBinaryProtocolConf(payload, nil)); err != nil {
		return permanentError{fmt.Errorf("encode spans: %w", err)}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint, bytes.NewReader(payload.Bytes()))
	if err != nil {
		return permanentError{fmt.Errorf("send spans: %w", err)}
	}
	for name, value := range e.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-thrift")
	resp, err := e.client.Do(req)
	if err != nil {
		return fmt.Errorf("send spans to %s: %w", e.shown, innerError(err))
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 512)) // only for the message
	if resp.StatusCode < 300 {
		return nil
	}
	err = fmt.Errorf("send spans to %s: %s: %s", e.shown, resp.Status, bytes.TrimSpace(text))
	switch {
	case resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode == http.StatusTooManyRequests:
	case resp.StatusCode < 500:
		return permanentError{err}
	}
	return err
}

// Shutdown lets go of the connection.
func (e *jaegerExporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

func jaegerSpan(s sdktrace.ReadOnlySpan) *jaeger.Span {
	sc, parent := s.SpanContext(), s.Parent()
	traceID, spanID, parentID := sc.TraceID(), sc.SpanID(), parent.SpanID()
	out := &jaeger.Span{
		TraceIdHigh:   int64(binary.BigEndian.Uint64(traceID[:8])),
		TraceIdLow:    int64(binary.BigEndian.Uint64(traceID[8:])),
		SpanId:        int64(binary.BigEndian.Uint64(spanID[:])),
		ParentSpanId:  int64(binary.BigEndian.Uint64(parentID[:])),
		OperationName: s.Name(),
		Flags:         flagSampled,
		StartTime:     s.StartTime().UnixMicro(),
		Duration:      s.EndTime().Sub(s.StartTime()).Microseconds(),
		Tags:          jaegerTags(s),
	}
	for _, event := range s.Events() {
		fields := []*jaeger.Tag{textTag("event", event.Name)}
		for _, kv := range event.Attributes {
			fields = append(fields, jaegerTag(kv))
		}
		out.Logs = append(out.Logs, &jaeger.Log{Timestamp: event.Time.UnixMicro(), Fields: fields})
	}
	return out
}

// jaegerTags writes kind and status as tags, the form they have in Jaeger.
func jaegerTags(s sdktrace.ReadOnlySpan) []*jaeger.Tag {
	attrs := s.Attributes()
	tags := make([]*jaeger.Tag, 0, len(attrs)+2)
	switch s.SpanKind() {
	case trace.SpanKindServer:
		tags = append(tags, textTag("span.kind", "server"))
	case trace.SpanKindClient:
		tags = append(tags, textTag("span.kind", "client"))
	}
	for _, kv := range attrs {
		tags = append(tags, jaegerTag(kv))
	}
	if s.Status().Code == codes.Error {
		tags = append(tags, jaegerTag(attribute.Bool("error", true)))
	}
	return tags
}

func textTag(key, value string) *jaeger.Tag {
	return &jaeger.Tag{Key: key, VType: jaeger.TagType_STRING, VStr: &value}
}

// jaegerTag keeps the type of a value where Jaeger has it; lists become text.
func jaegerTag(kv attribute.KeyValue) *jaeger.Tag {
	key := string(kv.Key)
	switch kv.Value.Type() {
	case attribute.BOOL:
		v := kv.Value.AsBool()
		return &jaeger.Tag{Key: key, VType: jaeger.TagType_BOOL, VBool: &v}
	case attribute.INT64:
		v := kv.Value.AsInt64()
		return &jaeger.Tag{Key: key, VType: jaeger.TagType_LONG, VLong: &v}
	case attribute.FLOAT64:
		v := kv.Value.AsFloat64()
		return &jaeger.Tag{Key: key, VType: jaeger.TagType_DOUBLE, VDouble: &v}
	default:
		return textTag(key, kv.Value.String())
	}
}
