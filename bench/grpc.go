package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // for --compression gzip
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// grpcSender sends over one connection, shared by several workers.
type grpcSender struct {
	conn    *grpc.ClientConn
	timeout time.Duration
}

// dialGRPC opens a connection. Buffers hold a batch of 200 spans, so that it
// goes out in one write.
func dialGRPC(o *IngestOptions, addr string, pool *payloadPool) (*grpcSender, error) {
	call := []grpc.CallOption{grpc.ForceCodecV2(rawCodec{pool})}
	if o.Compression == "gzip" {
		call = append(call, grpc.UseCompressor("gzip"))
	}
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return loopback.DialContext(ctx, "tcp", addr)
		}),
		grpc.WithNoProxy(), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithWriteBufferSize(128<<10),
		grpc.WithDefaultCallOptions(call...))
	if err != nil {
		return nil, fmt.Errorf("open gRPC client for %s: %w", addr, err)
	}
	return &grpcSender{conn, o.Timeout}, nil
}

func (s *grpcSender) send(ctx context.Context, payload *[]byte) outcome {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var answer []byte
	if err := s.conn.Invoke(ctx, exportMethod, payload, &answer); err != nil {
		return grpcOutcome(err)
	}
	return acknowledged(answer)
}

func (s *grpcSender) close() { _ = s.conn.Close() }

// grpcOutcome tells a server's refusal from the lack of an answer. Both can be
// UNAVAILABLE; a server that means it says when to come back.
func grpcOutcome(err error) outcome {
	st := status.Convert(err)
	reason := "gRPC " + st.Code().String()
	switch st.Code() {
	case codes.DeadlineExceeded, codes.Canceled, codes.Unknown:
		return failed(reason, st.Message())
	case codes.Unavailable:
		if len(st.Proto().GetDetails()) == 0 {
			return failed(reason, st.Message())
		}
	}
	return refused(reason, st.Message())
}

// rawCodec passes bytes through: a payload by reference, an answer by copy.
type rawCodec struct{ pool *payloadPool }

func (rawCodec) Name() string { return "proto" }

func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	payload, ok := v.(*[]byte)
	if !ok {
		return nil, errors.New("bench sends nothing but bytes")
	}
	return mem.BufferSlice{mem.NewBuffer(payload, c.pool)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	answer, ok := v.(*[]byte)
	if !ok {
		return errors.New("bench reads nothing but bytes")
	}
	*answer = data.Materialize()
	return nil
}
