package api_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"etude/api"
	"etude/query"
	"etude/trace"
)

// requests are the request messages; see messages.
var requests = map[string]string{
	"SearchRequest":          "1 Tags *SearchRequest.TagsEntry, 2 MinDurationMs uint32, 3 MaxDurationMs uint32, 4 Limit uint32, 5 start uint32, 6 end uint32, 8 Query string, 9 SpansPerSpanSet uint32, 10 RF1After bytes, 11 skipASTTransformations *string",
	"SearchTagsRequest":      "1 scope string, 2 query string, 3 start uint32, 4 end uint32, 5 maxTagsPerScope uint32, 6 staleValuesThreshold uint32, 7 RF1After bytes",
	"SearchTagValuesRequest": "1 tagName string, 2 query string, 4 start uint32, 5 end uint32, 6 maxTagValues uint32, 7 staleValueThreshold uint32, 8 RF1After bytes",
	"QueryRangeRequest":      "1 query string, 2 start uint64, 3 end uint64, 4 step uint64, 7 queryMode string, 16 exemplars uint32, 17 maxSeries uint32, 18 instant bool, 19 skipASTTransformations *string",
	"QueryInstantRequest":    "1 query string, 2 start uint64, 3 end uint64",
}

func requestSchema(t *testing.T) protoreflect.FileDescriptor {
	file := &descriptorpb.FileDescriptorProto{Name: proto.String("requests.proto"), Package: proto.String("tempopb"), Syntax: proto.String("proto3")}
	for name, fields := range requests {
		m := &descriptorpb.DescriptorProto{Name: proto.String(name)}
		for i, f := range strings.Split(fields, ", ") {
			words := strings.Fields(f)
			addField(m, words, i)
			number, err := strconv.Atoi(words[0])
			if err != nil {
				t.Fatal(err)
			}
			m.Field[i].Number = proto.Int32(int32(number))
		}
		if name == "SearchRequest" {
			entry := &descriptorpb.DescriptorProto{Name: proto.String("TagsEntry"), Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}}
			addField(entry, []string{"1", "key", "string"}, 0)
			addField(entry, []string{"2", "value", "string"}, 1)
			m.NestedType = append(m.NestedType, entry)
		}
		file.MessageType = append(file.MessageType, m)
	}
	fd, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// streamMethods are request and answer of each method.
var streamMethods = map[string][2]string{
	"Search":              {"SearchRequest", "SearchResponse"},
	"SearchTags":          {"SearchTagsRequest", "SearchTagsResponse"},
	"SearchTagsV2":        {"SearchTagsRequest", "SearchTagsV2Response"},
	"SearchTagValues":     {"SearchTagValuesRequest", "SearchTagValuesResponse"},
	"SearchTagValuesV2":   {"SearchTagValuesRequest", "SearchTagValuesV2Response"},
	"MetricsQueryRange":   {"QueryRangeRequest", "QueryRangeResponse"},
	"MetricsQueryInstant": {"QueryInstantRequest", "QueryInstantResponse"},
}

// streamClient speaks to a real listener of h.
type streamClient struct {
	conn               *grpc.ClientConn
	requests, messages protoreflect.FileDescriptor
	base               string // of HTTP on the same port
}

func dialStream(t *testing.T, h http.Handler) *streamClient {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// The short limit shows that it does not end streams.
	server := &http.Server{Handler: h, ReadHeaderTimeout: 300 * time.Millisecond, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	// On a busy machine the short limit may cut a connection that has just been made.
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &streamClient{conn, requestSchema(t), schema(t), "http://" + l.Addr().String()}
}

// ask sends a request in JSON and returns all messages of the answer.
func (c *streamClient) ask(ctx context.Context, method, request string) ([]*dynamicpb.Message, error) {
	return c.each(ctx, method, request, func(*dynamicpb.Message) {})
}

// each is ask, and hands on each message when it comes.
func (c *streamClient) each(ctx context.Context, method, request string, heard func(*dynamicpb.Message)) ([]*dynamicpb.Message, error) {
	names := streamMethods[method]
	stream, err := c.open(ctx, method, request)
	if err != nil {
		return nil, err
	}
	var all []*dynamicpb.Message
	for {
		m := newMessage(c.messages, names[1])
		if err := stream.RecvMsg(m); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return all, err
		}
		heard(m)
		all = append(all, m)
	}
}

// open sends a request in JSON.
func (c *streamClient) open(ctx context.Context, method, request string) (grpc.ClientStream, error) {
	req := newMessage(c.requests, streamMethods[method][0])
	if err := protojson.Unmarshal([]byte(request), req); err != nil {
		return nil, err
	}
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/tempopb.StreamingQuerier/"+method)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(stream.SendMsg(req), stream.CloseSend()); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return stream, nil
}

func TestStreamErrors(t *testing.T) {
	t.Parallel()
	c := dialStream(t, newServer(views{}))
	for _, x := range []struct{ method, request, want string }{
		{"Search", `{"Query": "{ foo = 1 }"}`, "invalid TraceQL query: parse error at line 1, col 3: unknown identifier: foo"},
		{"Search", `{"Limit": 999999999}`, "limit 999999999 exceeds max limit 262144"},
		{"Search", `{"SpansPerSpanSet": 101}`, "spans per span set exceeds 100. received 101"},
		{"Search", `{"start": 5, "end": 4}`, "start must be before end"},
		{"Search", `{"start": 5}`, "only one of start and end provided"},
		{"Search", `{"MinDurationMs": 5, "MaxDurationMs": 4}`, "invalid maxDuration: must be greater than minDuration"},
		{"Search", `{"Query": "{ }", "Tags": {"a": "b"}}`, "can't specify tags and q in the same query"},
		{"SearchTags", `{"scope": "foo"}`, "invalid scope: foo"},
		{"SearchTagsV2", `{"scope": "foo"}`, "invalid scope: foo"},
		{"SearchTagValues", `{}`, "tagName, field 1, is missing"},
		{"SearchTagValuesV2", `{"tagName": "service.name"}`, "please provide a valid tagName"},
		{"MetricsQueryRange", `{"query": "{ }"}`, "not a metrics query"},
		{"MetricsQueryRange", `{"query": "{ } | rate()", "start": "1", "end": "2700000000000000"}`, "maximum allowed duration of 744h0m0s"},
		{"MetricsQueryRange", `{"query": "{ } | rate()", "start": "1", "end": "100000000000", "step": "1000"}`, "is too small"},
		{"MetricsQueryInstant", `{"query": "{ } | rate()", "start": "5", "end": "5"}`, "end must be greater than start"},
	} {
		all, err := c.ask(t.Context(), x.method, x.request)
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(status.Convert(err).Message(), x.want) || len(all) > 0 {
			t.Errorf("%s %s: %d messages and %v, want InvalidArgument %q", x.method, x.request, len(all), err, x.want)
		}
	}
	if err := c.conn.Invoke(t.Context(), "/tempopb.StreamingQuerier/Nothing", &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("unknown method: %v, want Unimplemented", err)
	}
}

// TestPortServesBoth asks plain HTTP on the port that speaks gRPC, over either
// version of it.
func TestPortServesBoth(t *testing.T) {
	t.Parallel()
	c := dialStream(t, newServer(views{}))
	only2 := new(http.Protocols)
	only2.SetUnencryptedHTTP2(true)
	for _, p := range []*http.Protocols{nil, only2} {
		transport := &http.Transport{Protocols: p}
		r, err := (&http.Client{Transport: transport}).Get(c.base + "/api/echo")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "echo" || (p != nil) != (r.ProtoMajor == 2) {
			t.Errorf("%s: %q, %v", r.Proto, body, err)
		}
		_ = r.Body.Close()
		transport.CloseIdleConnections()
	}
	// A request of HTTP/1 goes to the routes, whatever its content type.
	if w := get(newServer(views{}), "/tempopb.StreamingQuerier/Search", "Content-Type", "application/grpc"); w.Code != http.StatusNotFound {
		t.Errorf("gRPC over HTTP/1: %d", w.Code)
	}
}

func TestStreamHealth(t *testing.T) {
	t.Parallel()
	var starting atomic.Bool
	c := dialStream(t, api.New(api.Options{Engine: query.New(views{}, query.Options{}), Ready: func() error {
		if starting.Load() {
			return errors.New("starting")
		}
		return nil
	}}))
	health := healthpb.NewHealthClient(c.conn)
	watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
		starting.Store(want == healthpb.HealthCheckResponse_NOT_SERVING)
		for _, service := range []string{"", "tempopb.StreamingQuerier"} {
			r, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil || r.Status != want {
				t.Errorf("check of %q: %v, %v, want %v", service, r, err, want)
			}
		}
		if r, err := watch.Recv(); err != nil || r.Status != want {
			t.Errorf("watch: %v, %v, want %v", r, err, want)
		}
	}
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown service: %v", err)
	}
}

// gated is a Source that answers when it is told to.
type gated struct {
	views
	asked, open chan struct{}
}

func newGated(v views) *gated { return &gated{v, make(chan struct{}, 100), make(chan struct{})} }

func (g *gated) Snapshot(ctx context.Context) (trace.Snapshot, error) {
	g.asked <- struct{}{}
	<-g.open
	return g.views.Snapshot(ctx)
}

type broken struct{}

func (broken) Snapshot(context.Context) (trace.Snapshot, error) { panic("broken") }

func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	c := dialStream(t, newServer(broken{}))
	for range 2 {
		if _, err := c.ask(t.Context(), "Search", `{}`); status.Code(err) != codes.Internal {
			t.Errorf("got %v, want Internal", err)
		}
	}
}

func TestStreamMethodsAreTested(t *testing.T) {
	t.Parallel()
	seen := maps.Clone(streamMethods)
	for _, x := range streamCases {
		delete(seen, x.method)
	}
	if len(seen) > 0 {
		t.Errorf("no case for %v", seen)
	}
}
