package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
)

// The form of spans for Jaeger is a Batch of jaeger.thrift in Thrift's binary protocol. Each field is one byte
// of type, two bytes of number, and its value; a struct ends with a zero byte. Field numbers are those of
// jaeger.thrift (github.com/jaegertracing/jaeger-idl). A test decodes the bytes with the code that Jaeger's own
// tools generate from it.

const (
	thriftBool   = 2
	thriftDouble = 4
	thriftI32    = 8
	thriftI64    = 10
	thriftString = 11
	thriftStruct = 12
	thriftList   = 15
	thriftStop   = 0

	jaegerString = 0 // TagType
	jaegerDouble = 1
	jaegerBool   = 2
	jaegerLong   = 3

	followsFrom = 1 // SpanRefType
)

// thriftForm writes Batch{1: Process, 2: list<Span>}. Its head is the process and the head of the list, which
// ends with the number of spans.
type thriftForm struct{ head []byte }

func newThriftForm(service string, process []attribute.KeyValue) *thriftForm {
	b := appendField(nil, thriftStruct, 1)
	b = appendString(appendField(b, thriftString, 1), service)
	b = appendList(appendField(b, thriftList, 2), thriftStruct, len(process))
	for _, kv := range process {
		b = appendAttribute(b, kv)
	}
	b = append(b, thriftStop)
	b = appendList(appendField(b, thriftList, 2), thriftStruct, 0)
	return &thriftForm{b}
}

func (f *thriftForm) headroom() int { return len(f.head) }

// finish writes the head before the spans, into the room at the start of b, and ends the batch.
func (f *thriftForm) finish(b []byte, spans int) []byte {
	copy(b, f.head)
	binary.BigEndian.PutUint32(b[len(f.head)-4:], uint32(spans))
	return append(b, thriftStop)
}

func (f *thriftForm) appendSpan(b []byte, s *span) []byte {
	b = appendI64(b, 1, int64(binary.BigEndian.Uint64(s.trace[8:])))
	b = appendI64(b, 2, int64(binary.BigEndian.Uint64(s.trace[:8])))
	b = appendI64(b, 3, int64(binary.BigEndian.Uint64(s.id[:])))
	b = appendI64(b, 4, int64(binary.BigEndian.Uint64(s.parent[:])))
	b = appendString(appendField(b, thriftString, 5), s.name)
	if s.link != nil {
		b = appendList(appendField(b, thriftList, 6), thriftStruct, 1)
		b = appendI32(b, 1, followsFrom)
		b = appendI64(b, 2, int64(binary.BigEndian.Uint64(s.link.trace[8:])))
		b = appendI64(b, 3, int64(binary.BigEndian.Uint64(s.link.trace[:8])))
		b = appendI64(b, 4, int64(binary.BigEndian.Uint64(s.link.span[:])))
		b = append(b, thriftStop)
	}
	b = appendI32(b, 7, flagSampled)
	b = appendI64(b, 8, s.start.UnixMicro())
	b = appendI64(b, 9, s.took.Microseconds())
	b = appendTags(b, s)
	if e := s.exception; e != nil {
		b = appendList(appendField(b, thriftList, 11), thriftStruct, 1)
		b = appendI64(b, 1, e.at.UnixMicro())
		b = appendList(appendField(b, thriftList, 2), thriftStruct, 3)
		b = appendTextTag(b, "event", "exception")
		b = appendTextTag(b, "exception.type", e.kind)
		b = appendTextTag(b, "exception.message", e.text)
		b = append(b, thriftStop)
	}
	return append(b, thriftStop)
}

// appendTags writes kind and status as tags, as Jaeger does.
func appendTags(b []byte, s *span) []byte {
	n := s.n + 1
	if s.failed {
		n++
	}
	b = appendList(appendField(b, thriftList, 10), thriftStruct, n)
	if s.kind == trace.SpanKindServer {
		b = appendTextTag(b, "span.kind", "server")
	} else {
		b = appendTextTag(b, "span.kind", "client")
	}
	for i := range s.n {
		switch t := &s.tags[i]; t.kind {
		case textTag:
			b = appendTextTag(b, t.key, t.text)
		case numberTag:
			b = append(appendI64(appendTagHead(b, t.key, jaegerLong), 6, t.number), thriftStop)
		case boolTag:
			b = appendBoolTag(b, t.key, t.number != 0)
		}
	}
	if s.failed {
		b = appendBoolTag(b, "error", true)
	}
	return b
}

func appendTagHead(b []byte, key string, kind int32) []byte {
	return appendI32(appendString(appendField(b, thriftString, 1), key), 2, kind)
}

func appendTextTag(b []byte, key, value string) []byte {
	b = appendTagHead(b, key, jaegerString)
	return append(appendString(appendField(b, thriftString, 3), value), thriftStop)
}

func appendBoolTag(b []byte, key string, value bool) []byte {
	bit := byte(0)
	if value {
		bit = 1
	}
	return append(appendField(appendTagHead(b, key, jaegerBool), thriftBool, 5), bit, thriftStop)
}

// appendAttribute keeps the type of a value if Jaeger has it; lists become text.
func appendAttribute(b []byte, kv attribute.KeyValue) []byte {
	key := string(kv.Key)
	switch kv.Value.Type() {
	case attribute.BOOL:
		return appendBoolTag(b, key, kv.Value.AsBool())
	case attribute.INT64:
		return append(appendI64(appendTagHead(b, key, jaegerLong), 6, kv.Value.AsInt64()), thriftStop)
	case attribute.FLOAT64:
		b = appendField(appendTagHead(b, key, jaegerDouble), thriftDouble, 4)
		return append(binary.BigEndian.AppendUint64(b, math.Float64bits(kv.Value.AsFloat64())), thriftStop)
	default:
		return appendTextTag(b, key, kv.Value.String())
	}
}

func appendField(b []byte, kind byte, number int16) []byte {
	return append(b, kind, byte(number>>8), byte(number))
}

func appendI32(b []byte, number int16, v int32) []byte {
	return binary.BigEndian.AppendUint32(appendField(b, thriftI32, number), uint32(v))
}

func appendI64(b []byte, number int16, v int64) []byte {
	return binary.BigEndian.AppendUint64(appendField(b, thriftI64, number), uint64(v))
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func appendList(b []byte, kind byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, kind), uint32(n))
}

// jaegerExporter posts messages to a Jaeger collector, Content-Type
// application/x-thrift.
type jaegerExporter struct {
	endpoint string
	shown    string // the endpoint without a password
	headers  map[string]string
	client   *http.Client
}

func newJaegerExporter(endpoint string, headers map[string]string, trust *tls.Config) (*jaegerExporter, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("read the Jaeger endpoint %q: %w", redactAddress(endpoint), innerError(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the Jaeger endpoint %q is not an http address: write for example http://127.0.0.1:14268/api/traces?format=jaeger.thrift", redactAddress(endpoint))
	}
	return &jaegerExporter{
		endpoint: endpoint,
		shown:    redactAddress(endpoint),
		headers:  headers,
		client:   &http.Client{Transport: &http.Transport{TLSClientConfig: trust, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}},
	}, nil
}

// processTags returns the tags of Jaeger's clients, and those of OTEL_RESOURCE_ATTRIBUTES.
func processTags(version string, res *resource.Resource) []attribute.KeyValue {
	tags := []attribute.KeyValue{
		attribute.String("jaeger.version", "etude-"+version),
		attribute.String("hostname", hostname()),
		attribute.String("ip", ownAddress()),
		attribute.String("client-uuid", fmt.Sprintf("%016x", randomID())),
	}
	for _, kv := range res.Attributes() {
		switch key := string(kv.Key); {
		case key == "service.name", key == "host.name", strings.HasPrefix(key, "telemetry.sdk."):
		default:
			tags = append(tags, kv)
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

// send posts one message. A 4xx answer other than 408 and 429 is permanent: a retry with the same bytes would
// fail too.
func (e *jaegerExporter) send(ctx context.Context, message []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint, bytes.NewReader(message))
	if err != nil {
		return permanentError{fmt.Errorf("send spans to %s: %w", e.shown, innerError(err))}
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

// close closes the connection.
func (e *jaegerExporter) close(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}
