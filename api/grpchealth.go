package api

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// healthInterval is how often a watched state is looked at.
const healthInterval = time.Second

// health is grpc.health.v1.Health: it serves when /ready says ready.
type health struct {
	healthpb.UnimplementedHealthServer
	ready func() error
}

// Check answers for the whole server, "", and for the streaming service.
func (h *health) Check(_ context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if r.GetService() != "" && r.GetService() != streamingService {
		return nil, status.Errorf(codes.NotFound, "unknown service %q", r.GetService())
	}
	return &healthpb.HealthCheckResponse{Status: h.state(r.GetService())}, nil
}

// Watch sends the state at once and whenever it has changed, until the client leaves.
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
