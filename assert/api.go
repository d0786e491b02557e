package assert

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	maxTraces = 50_000    // maximum number of traces from one search
	maxListed = 20        // spans that a search lists for each trace
	maxAnswer = 256 << 20 // bytes of an answer
)

// ErrTooMany is the error of a search that finds too many traces to count.
var ErrTooMany = fmt.Errorf("%d traces match, and possibly more: write a query that finds fewer", maxTraces)

// API queries a backend through Tempo's HTTP API.
type API struct {
	// Base is the URL before the paths: http://localhost:3200.
	Base string
	// Client sends the requests; nil for http.DefaultClient.
	Client *http.Client
}

// InProcess returns an API that calls a handler in this process.
func InProcess(h http.Handler) *API {
	return &API{Base: "http://etude", Client: &http.Client{Transport: handlerTransport{h}}}
}

// Search implements [Source].
func (a *API) Search(ctx context.Context, query string) ([]Match, error) {
	params := url.Values{"q": {query}, "limit": {strconv.Itoa(maxTraces)}, "spss": {strconv.Itoa(maxListed)}}
	body, err := a.get(ctx, "/api/search?"+params.Encode(), "application/json")
	if err != nil {
		return nil, fmt.Errorf("search %s: %w", oneLine(query), err)
	}
	var answer struct {
		Traces []struct {
			TraceID  string
			SpanSets []struct {
				Matched int
				Spans   []struct{ SpanID string }
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read the answer to a search: %w", err)
	}
	if len(answer.Traces) == maxTraces {
		return nil, fmt.Errorf("search %s: %w", oneLine(query), ErrTooMany)
	}
	var found []Match
	for _, t := range answer.Traces {
		m := Match{TraceID: t.TraceID}
		for _, set := range t.SpanSets {
			m.Spans += set.Matched
			for _, s := range set.Spans {
				m.SpanIDs = append(m.SpanIDs, s.SpanID)
			}
		}
		found = append(found, m)
	}
	return found, nil
}

// Trace implements [Source].
func (a *API) Trace(ctx context.Context, id string) (*Trace, error) {
	bytes, err := a.Bytes(ctx, id)
	if err != nil {
		return nil, err
	}
	data := &tracepb.TracesData{}
	if err := proto.Unmarshal(bytes, data); err != nil {
		return nil, fmt.Errorf("read trace %s: %w", id, err)
	}
	return NewTrace(id, spansOf(data)), nil
}

// Bytes returns a trace as OTLP TracesData in protobuf.
func (a *API) Bytes(ctx context.Context, id string) ([]byte, error) {
	body, err := a.get(ctx, "/api/v2/traces/"+url.PathEscape(id), "application/protobuf")
	if err != nil {
		return nil, fmt.Errorf("get trace %s: %w", id, err)
	}
	for len(body) > 0 { // TraceByIDResponse: field 1 is the trace
		field, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return nil, fmt.Errorf("read trace %s: %w", id, protowire.ParseError(n))
		}
		body = body[n:]
		if field == 1 && kind == protowire.BytesType {
			trace, n := protowire.ConsumeBytes(body)
			if n < 0 {
				return nil, fmt.Errorf("read trace %s: %w", id, protowire.ParseError(n))
			}
			return trace, nil
		}
		if n = protowire.ConsumeFieldValue(field, kind, body); n < 0 {
			return nil, fmt.Errorf("read trace %s: %w", id, protowire.ParseError(n))
		}
		body = body[n:]
	}
	return nil, nil
}

func (a *API) get(ctx context.Context, path, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(a.Base, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	client := a.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the backend answers %d: %s", resp.StatusCode, bytes.TrimSpace(body))
	}
	return body, nil
}

func spansOf(data *tracepb.TracesData) (spans []*Span) {
	for _, rs := range data.ResourceSpans {
		resource := texts(rs.Resource.GetAttributes())
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				spans = append(spans, spanOf(s, resource, ss.Scope.GetName()))
			}
		}
	}
	return spans
}

func spanOf(s *tracepb.Span, resource map[string]string, scope string) *Span {
	span := &Span{
		ID: hex.EncodeToString(s.SpanId), Parent: parentID(s.ParentSpanId), Service: resource["service.name"], Scope: scope, Name: s.Name,
		Kind:   strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_")),
		Status: strings.ToLower(strings.TrimPrefix(s.Status.GetCode().String(), "STATUS_CODE_")), Message: s.Status.GetMessage(),
		Start: s.StartTimeUnixNano, End: s.EndTimeUnixNano, Attributes: texts(s.Attributes), Resource: resource,
	}
	for _, e := range s.Events {
		span.Events = append(span.Events, Event{e.Name, e.TimeUnixNano, texts(e.Attributes)})
	}
	for _, l := range s.Links {
		span.Links = append(span.Links, Link{strings.TrimLeft(hex.EncodeToString(l.TraceId), "0"), hex.EncodeToString(l.SpanId)})
	}
	return span
}

// parentID returns "" for a root, whose parent id may be eight zero bytes.
func parentID(id []byte) string {
	if len(bytes.Trim(id, "\x00")) == 0 {
		return ""
	}
	return hex.EncodeToString(id)
}

func texts(attributes []*commonpb.KeyValue) map[string]string {
	m := make(map[string]string, len(attributes))
	for _, kv := range attributes {
		m[kv.Key] = valueText(kv.Value)
	}
	return m
}

func valueText(v *commonpb.AnyValue) string {
	switch x := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return x.StringValue
	case *commonpb.AnyValue_IntValue:
		return strconv.FormatInt(x.IntValue, 10)
	case *commonpb.AnyValue_BoolValue:
		return strconv.FormatBool(x.BoolValue)
	case *commonpb.AnyValue_DoubleValue:
		return strconv.FormatFloat(x.DoubleValue, 'g', -1, 64)
	case *commonpb.AnyValue_BytesValue:
		return hex.EncodeToString(x.BytesValue)
	case *commonpb.AnyValue_ArrayValue:
		var parts []string
		for _, e := range x.ArrayValue.GetValues() {
			parts = append(parts, valueText(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return ""
}

// handlerTransport calls a handler without a network.
type handlerTransport struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t handlerTransport) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	w := &kept{header: http.Header{}}
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			resp, err = nil, errors.New("the answer was cut off: it takes too much time or memory")
		} else if p != nil {
			panic(p)
		}
	}()
	r = r.Clone(r.Context())
	r.RequestURI = r.URL.RequestURI()
	t.handler.ServeHTTP(w, r)
	w.WriteHeader(http.StatusOK)
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: r}, nil
}

// kept is an answer in memory.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *kept) Header() http.Header { return w.header }

func (w *kept) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *kept) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
