package services

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// backend is a trace backend that keeps what it is sent.
type backend struct {
	collector.UnimplementedTraceServiceServer
	URL      string
	mu       sync.Mutex
	received []*tracepb.ResourceSpans
}

func (b *backend) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.received = append(b.received, r.ResourceSpans...)
	return &collector.ExportTraceServiceResponse{}, nil
}

func newBackend(t *testing.T, address string) *backend {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{URL: "http://" + listener.Addr().String()}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, b)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return b
}

func (b *backend) env(more ...string) map[string]string {
	env := map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": b.URL,
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"} // the special one wins
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

// spans renders what has arrived, by span name, as text that a test can compare.
func (b *backend) spans() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := map[string]string{}
	b.each(func(_ *tracepb.ResourceSpans, scope *tracepb.ScopeSpans, s *tracepb.Span) {
		names[string(s.SpanId)] = scope.Scope.Name + "/" + s.Name
	})
	out := map[string]string{}
	b.each(func(_ *tracepb.ResourceSpans, scope *tracepb.ScopeSpans, s *tracepb.Span) {
		parent, ok := names[string(s.ParentSpanId)]
		if !ok {
			parent = hex.EncodeToString(s.ParentSpanId)
		}
		text := fmt.Sprintf("trace %x parent %s kind %s", s.TraceId, parent, strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_"))
		text += attributes(s.Attributes)
		for _, event := range s.Events {
			text += "; event " + event.Name + attributes(event.Attributes)
		}
		if status := s.GetStatus(); status.GetCode() != tracepb.Status_STATUS_CODE_UNSET {
			text += fmt.Sprintf("; status %s %q", strings.TrimPrefix(status.Code.String(), "STATUS_CODE_"), status.Message)
		}
		out[scope.Scope.Name+"/"+s.Name] = text
	})
	return out
}

func (b *backend) each(visit func(*tracepb.ResourceSpans, *tracepb.ScopeSpans, *tracepb.Span)) {
	for _, resource := range b.received {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				visit(resource, scope, span)
			}
		}
	}
}

func attributes(list []*common.KeyValue) (text string) {
	for _, kv := range list {
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			text += fmt.Sprintf(" %s=%q", kv.Key, v.StringValue)
		case *common.AnyValue_BoolValue:
			text += fmt.Sprintf(" %s=%t", kv.Key, v.BoolValue)
		default:
			text += fmt.Sprintf(" %s=%v", kv.Key, v)
		}
	}
	return text
}

func compare(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s:\n got %s\nwant %s", name, got[name], text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d spans, want %d: %v", len(got), len(want), got)
	}
}

func TestSpansOfThePair(t *testing.T) {
	t.Parallel()
	const trace = "0000000000000000771a728620b4bd35"
	for _, processor := range []string{"simple", "batch"} {
		t.Run(processor, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t, "127.0.0.1:0")
			s4 := start(t, "uservice4", b.env("ETUDE_SPAN_PROCESSOR", processor))
			s3 := start(t, "uservice3", b.env("ETUDE_SPAN_PROCESSOR", processor, "ETUDE_NEXT_URL", s4.URL))
			send(t, "GET", s3.URL, http.Header{"Uber-Trace-Id": {"771a728620b4bd35:1b2c3d4e5f607182:771a728620b4bd35:1"}})
			if processor == "batch" {
				if err := s3.stop(); err != nil { // flushes what is queued
					t.Fatal(err)
				}
				s4.stop()
			}
			compare(t, b.spans(), map[string]string{
				"uservice3/handle_incoming_call": "trace " + trace + ` parent 1b2c3d4e5f607182 kind SERVER; event Request decoded! happened=true; status ERROR "no error"`,
				"uservice3/redis_call":           "trace " + trace + ` parent uservice3/handle_incoming_call kind INTERNAL test-attribute-1="test-values-1"`,
				"uservice3/other_uservice_call":  "trace " + trace + ` parent uservice3/redis_call kind CLIENT; event Got response! status="200 OK" traceresponse=""`,
				"uservice4/handle_incoming_call": "trace " + trace + ` parent uservice3/other_uservice_call kind SERVER`,
				"uservice4/database_call":        "trace " + trace + ` parent uservice4/handle_incoming_call kind INTERNAL`,
			})
			if want := `"uber-trace-id": "` + trace; !strings.Contains(s4.out.String(), want) {
				t.Errorf("uservice4 did not print %q:\n%s", want, s4.out)
			}
			checkNesting(t, b)
			checkResources(t, b)
		})
	}
}

// checkNesting: every span lies within its parent, which is why redis_call must stay open during the call.
func checkNesting(t *testing.T, b *backend) {
	t.Helper()
	byID := map[string]*tracepb.Span{}
	b.each(func(_ *tracepb.ResourceSpans, _ *tracepb.ScopeSpans, s *tracepb.Span) { byID[string(s.SpanId)] = s })
	for _, s := range byID {
		parent := byID[string(s.ParentSpanId)]
		if parent == nil {
			continue
		}
		if s.StartTimeUnixNano < parent.StartTimeUnixNano || s.EndTimeUnixNano > parent.EndTimeUnixNano {
			t.Errorf("%s is not within its parent %s", s.Name, parent.Name)
		}
	}
}

func checkResources(t *testing.T, b *backend) {
	t.Helper()
	b.each(func(resource *tracepb.ResourceSpans, scope *tracepb.ScopeSpans, _ *tracepb.Span) {
		got := map[string]*common.AnyValue{}
		for _, kv := range resource.Resource.Attributes {
			got[kv.Key] = kv.Value
		}
		if len(got) != 4 || got["service.name"].GetStringValue() != scope.Scope.Name ||
			got["os.type"].GetStringValue() != runtime.GOOS || got["process.pid"].GetIntValue() != int64(os.Getpid()) ||
			len(got["process.command_args"].GetArrayValue().GetValues()) != len(os.Args) {
			t.Errorf("resource of %s: %v", scope.Scope.Name, got)
		}
	})
}

// The demo's page talks of the four attributes; OTEL_* may add to them and rename the service.
func TestResourceFromEnvironment(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=school")
	t.Setenv("OTEL_SERVICE_NAME", "renamed")
	b := newBackend(t, "127.0.0.1:0")
	s := start(t, "uservice4", b.env())
	send(t, "GET", s.URL, nil)
	got := attributes(b.received[0].Resource.Attributes)
	if !strings.Contains(got, `service.name="renamed"`) || !strings.Contains(got, `deployment.environment.name="school"`) {
		t.Errorf("resource:%s", got)
	}
}

func TestPropagatorsFromEnvironment(t *testing.T) {
	t.Setenv("OTEL_PROPAGATORS", "tracecontext")
	b := newBackend(t, "127.0.0.1:0")
	s4 := start(t, "uservice4", b.env())
	s3 := start(t, "uservice3", b.env("ETUDE_NEXT_URL", s4.URL))
	send(t, "GET", s3.URL, http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}})
	if got := b.spans()["uservice4/database_call"]; !strings.HasPrefix(got, "trace 0af7651916cd43dd8448eb211c80319c") {
		t.Errorf("database_call: %s", got)
	}
	if out := s4.out.String(); !strings.Contains(out, `"traceparent": "00-0af7`) || strings.Contains(out, "uber-trace-id") {
		t.Errorf("uservice4 got\n%s", out)
	}
}

func TestSpansWhenTheNextServiceIsAway(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "127.0.0.1:0")
	away := deadAddress(t)
	s := start(t, "uservice3", b.env("ETUDE_NEXT_URL", "http://"+away))
	send(t, "GET", s.URL, nil)
	spans := b.spans()
	call, incoming := spans["uservice3/other_uservice_call"], spans["uservice3/handle_incoming_call"]
	if !strings.Contains(call, "; event exception exception.type=") || !strings.Contains(call, away) || !strings.Contains(call, "; status ERROR") {
		t.Errorf("other_uservice_call: %s", call)
	}
	if !strings.Contains(incoming, `status ERROR "call uservice4`) {
		t.Errorf("handle_incoming_call: %s", incoming)
	}
}

func TestConsoleExporter(t *testing.T) {
	t.Parallel()
	s := start(t, "uservice4", map[string]string{"OTEL_TRACES_EXPORTER": "console"})
	send(t, "GET", s.URL, nil)
	for _, name := range []string{"handle_incoming_call", "database_call"} {
		if !strings.Contains(s.out.String(), `"Name": "`+name+`"`) {
			t.Errorf("no %s on standard output:\n%s", name, s.out)
		}
	}
}

// A backend that accepts connections and never answers is the worst kind: nothing fails quickly. It costs the time-out
// of one second once, for all requests together; from then on no request waits. The exports that wait are those that
// end with the time-out, so they are counted. The test is not parallel: the handler of errors is the process's.
func TestSilentBackendCostsOneTimeout(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // never accepts: the kernel does
	var waited, refused atomic.Int64
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "DeadlineExceeded") {
			waited.Add(1)
		} else {
			refused.Add(1)
		}
	}))
	defer otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	s4 := start(t, "uservice4", nil)
	s3 := start(t, "uservice3", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "ETUDE_NEXT_URL": s4.URL,
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + listener.Addr().String()})
	const rounds, requests, spans = 2, 20, 3
	for range rounds {
		var all sync.WaitGroup
		for range requests {
			all.Go(func() {
				if status, _, _ := send(t, "GET", s3.URL, nil); status != 200 {
					t.Errorf("status %d", status)
				}
			})
		}
		all.Wait()
	}
	t.Logf("%d waited, %d ended at once", waited.Load(), refused.Load())
	// gRPC dials again once a second, so a busy machine may see a few more than one.
	if waited.Load() > rounds*requests/4 || waited.Load()+refused.Load() != rounds*requests*spans {
		t.Errorf("%d exports waited for the time-out, %d ended at once; want nearly all of %d at once", waited.Load(), refused.Load(), rounds*requests*spans)
	}
}

// A backend that comes back gets spans again.
func TestBackendComesBack(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the second after which gRPC dials again")
	}
	t.Parallel()
	address := deadAddress(t)
	s := start(t, "uservice4", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + address})
	if status, _, _ := send(t, "GET", s.URL, nil); status != 200 {
		t.Fatalf("status %d without a backend", status)
	}
	b := newBackend(t, address)
	eventually(t, "spans arrive", func() bool {
		send(t, "GET", s.URL, nil)
		return len(b.spans()) == 2
	})
}
