package bench

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
)

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// grpcSender sends over one connection, which several workers share. It replaces a connection that has ended.
type grpcSender struct {
	target  target
	options *IngestOptions
	pool    *payloadPool
	packer  *packer // nil: no compression

	mu   sync.Mutex
	conn *grpcConn // nil: not open yet
}

func newGRPCSender(o *IngestOptions, t target, pool *payloadPool) *grpcSender {
	return &grpcSender{target: t, options: o, pool: pool, packer: newPacker(o.Compression, pool)}
}

func (s *grpcSender) send(ctx context.Context, payload *[]byte) outcome {
	if s.packer != nil {
		payload = s.packer.pack(payload)
	}
	defer s.pool.Put(payload)
	c, err := s.open(ctx)
	if err != nil {
		return transportFailure(err)
	}
	return c.call(*payload, s.packer != nil)
}

func (s *grpcSender) open(ctx context.Context) (*grpcConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && s.conn.usable() {
		return s.conn, nil
	}
	c, err := openGRPC(ctx, s.target, s.options.Compression, s.options.Timeout)
	if err != nil {
		return nil, err
	}
	s.conn = c
	return c, nil
}

func (s *grpcSender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// grpcOutcome distinguishes a server's refusal from a missing answer. Both can have the code UNAVAILABLE; a
// server that refuses says when to retry.
func grpcOutcome(code codes.Code, message string, details bool) outcome {
	reason := "gRPC " + code.String()
	switch code {
	case codes.DeadlineExceeded, codes.Canceled, codes.Unknown:
		return failed(reason, message)
	case codes.Unavailable:
		if !details {
			return failed(reason, message)
		}
	}
	return refused(reason, message)
}
