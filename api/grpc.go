package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip"
	_ "google.golang.org/grpc/encoding/proto" // for the health service
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// maxRequest limits a gRPC request, in bytes: eight queries of the maximum length.
const maxRequest = 1 << 20

// withGRPC sends gRPC requests to the streaming service and all others to the HTTP handler. gRPC runs inside
// net/http, so that both share one port, its timeouts and its shutdown. The http.Server must accept unencrypted
// HTTP/2.
func (s *server) withGRPC(next http.Handler) http.Handler {
	g := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{encoding.GetCodecV2("proto")}), grpc.MaxRecvMsgSize(maxRequest))
	g.RegisterService(s.streamingQuerier(), s)
	healthpb.RegisterHealthServer(g, &health{ready: s.Ready})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.Contains(r.Header.Get("Content-Type"), "application/grpc") {
			d := &deadlines{w: w}
			defer d.end()
			g.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), deadlinesKey{}, d)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// message is one of etude's gRPC messages, encoded.
type message struct{ payload []byte }

// rawCodec passes encoded messages unchanged. For messages of other services it uses the protobuf codec, which
// it replaces.
type rawCodec struct{ other encoding.CodecV2 }

func (rawCodec) Name() string { return "proto" }

func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(*message); ok {
		return mem.BufferSlice{mem.SliceBuffer(m.payload)}, nil
	}
	return c.other.Marshal(v)
}

// Unmarshal copies data, because gRPC reuses the buffer.
func (c rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return c.other.Unmarshal(data, v)
	}
	m.payload = data.Materialize()
	return nil
}

// grpcError returns the gRPC status of a failed query; it follows from the HTTP status.
func (s *server) grpcError(method string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) { // the client's own limit
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	code := s.statusOf(method, err)
	switch {
	case code == http.StatusBadRequest, code == http.StatusUnauthorized:
		return status.Error(codes.InvalidArgument, err.Error())
	case code == http.StatusUnprocessableEntity, code == http.StatusTooManyRequests:
		return status.Error(codes.ResourceExhausted, err.Error())
	case code == statusClientGone:
		return status.Error(codes.Canceled, err.Error())
	case code >= http.StatusInternalServerError:
		return status.Error(codes.Internal, err.Error())
	}
	return status.Error(codes.Unknown, err.Error())
}

// healthInterval is the interval between checks of a watched state.
const healthInterval = time.Second

// health is grpc.health.v1.Health. It reports SERVING when /ready does.
type health struct {
	healthpb.UnimplementedHealthServer
	ready func() error
}

// Check answers for the whole server (the name "") and for the streaming service.
func (h *health) Check(_ context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if r.GetService() != "" && r.GetService() != streamingService {
		return nil, status.Errorf(codes.NotFound, "unknown service %q", r.GetService())
	}
	return &healthpb.HealthCheckResponse{Status: h.state(r.GetService())}, nil
}

// Watch sends the state at once and after every change, until the client leaves.
func (h *health) Watch(r *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	last := healthpb.HealthCheckResponse_UNKNOWN
	for {
		if now := h.state(r.GetService()); now != last {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-tick.C:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
}

func (h *health) state(service string) healthpb.HealthCheckResponse_ServingStatus {
	switch {
	case service != "" && service != streamingService:
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	case h.ready != nil && h.ready() != nil:
		return healthpb.HealthCheckResponse_NOT_SERVING
	}
	return healthpb.HealthCheckResponse_SERVING
}
