package edge

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// otlpCollector passes on what it gets, over HTTP or gRPC.
type otlpCollector struct {
	collectortrace.UnimplementedTraceServiceServer
	got chan *collectortrace.ExportTraceServiceRequest
}

func (c *otlpCollector) Export(_ context.Context, r *collectortrace.ExportTraceServiceRequest) (*collectortrace.ExportTraceServiceResponse, error) {
	c.got <- r
	return &collectortrace.ExportTraceServiceResponse{}, nil
}

func (c *otlpCollector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	request := &collectortrace.ExportTraceServiceRequest{}
	if err := proto.Unmarshal(body, request); err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	c.got <- request
}

// TestOTLP is not parallel: the exporters read the process's environment.
func TestOTLP(t *testing.T) {
	service := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			c := &otlpCollector{got: make(chan *collectortrace.ExportTraceServiceRequest, 4)}
			var endpoint string
			if protocol == "grpc" {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				server := grpc.NewServer()
				collectortrace.RegisterTraceServiceServer(server, c)
				go server.Serve(l)
				t.Cleanup(server.Stop)
				endpoint = "http://" + l.Addr().String()
			} else {
				endpoint = serve(t, c.ServeHTTP).URL
			}
			env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
			e := start(t, Options{TraceExporter: "otlp", ConfigText: configFor(everything, service.URL),
				Getenv: func(key string) string { return env[key] }})
			get(t, e.web, "a", "/")
			if err := e.stop(); err != nil {
				t.Fatal(err)
			}
			got := <-c.got
			if text := got.ResourceSpans[0].Resource.String(); !strings.Contains(text, `"edge"`) {
				t.Errorf("resource %s", text)
			}
			spans := got.ResourceSpans[0].ScopeSpans[0].Spans
			if len(spans) != 2 || spans[0].Kind != tracepb.Span_SPAN_KIND_CLIENT || spans[1].Name != "EntryPoint web" ||
				spans[1].Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
				t.Errorf("spans %v", spans)
			}
		})
	}
}

func TestOTLPProtocolUnknown(t *testing.T) {
	t.Parallel()
	_, err := newOTLPExporter(t.Context(), func(string) string { return "http/json" })
	if err == nil || !strings.Contains(err.Error(), "use grpc or http/protobuf") {
		t.Fatalf("got %v", err)
	}
}
