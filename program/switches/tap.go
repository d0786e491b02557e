package switches

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

// tap is a proxy between a part and the backend that changes spans on their way, as a
// collector may.
type tap struct {
	collector.UnimplementedTraceServiceServer
	url     string
	server  *grpc.Server
	backend *grpc.ClientConn
	changes atomic.Pointer[[]tapChange]
}

// tapChange changes one span, or leaves it out when it returns false.
type tapChange func(*tracepb.Span) (keep bool)

// keepEvenTraces decides by the trace id alone, so that it keeps all spans of a trace or none.
func keepEvenTraces(s *tracepb.Span) bool {
	return len(s.TraceId) == 0 || s.TraceId[len(s.TraceId)-1]%2 == 0
}

// behind is the delay of a tapped service's clock.
const behind = 700 * time.Millisecond

func turnBackClock(s *tracepb.Span) bool {
	s.StartTimeUnixNano -= uint64(behind)
	s.EndTimeUnixNano -= uint64(behind)
	for _, e := range s.Events {
		e.TimeUnixNano -= uint64(behind)
	}
	return true
}

// Destination is the receiver of a tap's spans.
type Destination struct {
	Host        string
	Credentials credentials.TransportCredentials
}

// openTap listens on a free port of this machine.
func openTap(to Destination) (*tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for spans to change: %w", err)
	}
	t := &tap{url: "http://" + l.Addr().String(), server: grpc.NewServer(grpc.MaxRecvMsgSize(maxTapped))}
	if t.backend, err = grpc.NewClient("passthrough:///"+to.Host, grpc.WithTransportCredentials(to.Credentials)); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("connect to the backend: %w", err)
	}
	t.set(nil)
	collector.RegisterTraceServiceServer(t.server, t)
	go func() { _ = t.server.Serve(l) }() // ends with close
	return t, nil
}

const maxTapped = 20 << 20 // bytes of one message

func (t *tap) set(changes []tapChange) { t.changes.Store(&changes) }

func (t *tap) close() {
	t.server.Stop()
	_ = t.backend.Close()
}

// Export passes on the kept spans, with the headers that identify the sender.
func (t *tap) Export(ctx context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			ss.Spans = slices.DeleteFunc(ss.Spans, t.leavesOut)
		}
		rs.ScopeSpans = slices.DeleteFunc(rs.ScopeSpans, func(ss *tracepb.ScopeSpans) bool { return len(ss.Spans) == 0 })
	}
	r.ResourceSpans = slices.DeleteFunc(r.ResourceSpans, func(rs *tracepb.ResourceSpans) bool { return len(rs.ScopeSpans) == 0 })
	if len(r.ResourceSpans) == 0 {
		return &collector.ExportTraceServiceResponse{}, nil
	}
	out := metadata.MD{}
	in, _ := metadata.FromIncomingContext(ctx)
	for _, name := range []string{"authorization", "x-scope-orgid"} {
		out.Set(name, in.Get(name)...)
	}
	return collector.NewTraceServiceClient(t.backend).Export(metadata.NewOutgoingContext(ctx, out), r)
}

func (t *tap) leavesOut(s *tracepb.Span) bool {
	for _, change := range *t.changes.Load() {
		if !change(s) {
			return true
		}
	}
	return false
}
