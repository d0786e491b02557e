package bench

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/protobuf/proto"
)

// fake is an OTLP receiver that keeps what it takes, as protobuf objects.
type fake struct {
	collector.UnimplementedTraceServiceServer
	t *testing.T
	// answer decides about request n, from 1 on; nil: all is taken.
	answer func(n int) (rejected int64, err error)

	mu       sync.Mutex
	requests int
	sizes    int
	spans    []*tracepb.Span
	resource []string // service of each span
}

// seen is how many requests have come.
func (f *fake) seen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

func (f *fake) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.answer != nil {
		rejected, err := f.answer(f.requests)
		if err != nil {
			return nil, err
		}
		f.keep(req)
		return &collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: rejected, ErrorMessage: "too old"}}, nil
	}
	f.keep(req)
	return &collector.ExportTraceServiceResponse{}, nil
}

func (f *fake) keep(req *collector.ExportTraceServiceRequest) {
	f.sizes += proto.Size(req)
	for _, rs := range req.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				f.spans = append(f.spans, s)
				f.resource = append(f.resource, rs.Resource.Attributes[0].Value.GetStringValue())
			}
		}
	}
}

// grpc serves over gRPC and returns the target.
func (f *fake) grpc() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	s := grpc.NewServer()
	collector.RegisterTraceServiceServer(s, f)
	go func() { _ = s.Serve(l) }()
	f.t.Cleanup(s.Stop)
	return "grpc://" + l.Addr().String()
}

// http serves over HTTP and returns the target. Errors are refused with 429.
func (f *fake) http(path string) string {
	s := httptest.NewServer(f)
	f.t.Cleanup(s.Close)
	return s.URL + path
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var src io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpack, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		src = unpack
	}
	body, err := io.ReadAll(src)
	var req collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &req)
	}
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || r.ContentLength < 1 {
		http.Error(w, "bad request: "+strconv.FormatInt(r.ContentLength, 10)+" bytes to "+r.URL.Path, http.StatusBadRequest)
		return
	}
	resp, err := f.Export(r.Context(), &req)
	if err != nil {
		http.Error(w, "slow down\nplease", http.StatusTooManyRequests)
		return
	}
	out, err := proto.Marshal(resp)
	if err != nil {
		f.t.Error(err)
	}
	_, _ = w.Write(out)
}

// options are those of a small run.
func options(target string) IngestOptions {
	return IngestOptions{Target: target, Spans: 1234, Batch: 50, Concurrency: 4, Services: 10, Cardinality: 1000, Compression: "none", Timeout: 10e9}
}
