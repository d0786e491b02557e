package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip"
	_ "google.golang.org/grpc/encoding/proto" // for the health service
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// maxRequest bounds a gRPC request in bytes: eight queries of the greatest length.
const maxRequest = 1 << 20

// withGRPC sends gRPC requests to the streaming service and all others to rest.
// gRPC runs inside net/http, so that one port, its timeouts and its shutdown
// serve both; the http.Server must accept unencrypted HTTP/2.
func (s *server) withGRPC(rest http.Handler) http.Handler {
	g := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{encoding.GetCodecV2("proto")}), grpc.MaxRecvMsgSize(maxRequest))
	g.RegisterService(s.streamingQuerier(), s)
	healthpb.RegisterHealthServer(g, &health{ready: s.Ready})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.Contains(r.Header.Get("Content-Type"), "application/grpc") {
			g.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), writerKey{}, w)))
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// message is a gRPC message of ours as bytes.
type message struct{ payload []byte }

// rawCodec passes our messages as they are and leaves those of other services to
// the protobuf codec, which it replaces.
type rawCodec struct{ rest encoding.CodecV2 }

func (rawCodec) Name() string { return "proto" }

func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(*message); ok {
		return mem.BufferSlice{mem.SliceBuffer(m.payload)}, nil
	}
	return c.rest.Marshal(v)
}

// Unmarshal copies data, which gRPC takes back afterwards.
func (c rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return c.rest.Unmarshal(data, v)
	}
	m.payload = data.Materialize()
	return nil
}

// grpcError is the status of a failed query; its code follows from that of HTTP.
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
