package receive

import (
	"context"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/durationpb"

	"etude/tenant"
)

const jaegerCollection = "jaeger.api_v2.CollectorService"

// streamWorkers is the number of goroutines that wait for calls; further concurrent calls start their own.
const streamWorkers = 128

// Before a message is complete, one connection can make grpc-go allocate a window for each stream, and the
// remainder of a message after its length is known. arrivals.go counts both.
const (
	streamWindow = mebibyte // large enough for a whole batch, so that a client need not wait
	connWindow   = 4 * mebibyte
)

// newGRPCServer serves OTLP and Jaeger: every gRPC listener accepts both.
func (in *intake) newGRPCServer() *grpc.Server {
	pool := new(tieredPool)
	g := grpc.NewServer(
		grpc.Creds(plainCreds{}),
		grpc.ForceServerCodecV2(newRawCodec()),
		experimental.BufferPool(pool),
		grpc.MaxRecvMsgSize(int(in.limits.Decompressed)),
		grpc.MaxConcurrentStreams(in.limits.streams()),
		grpc.MaxHeaderListSize(maxSniff),
		grpc.ConnectionTimeout(in.limits.HeaderTimeout),
		grpc.InTapHandle(in.boundCall),
		// Fixed windows need no probing pings.
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ReadBufferSize(64<<10),
		// A new goroutine would grow its stack for every call.
		grpc.NumStreamWorkers(uint32(min(in.limits.Requests, streamWorkers))),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: in.limits.IdleTimeout,
			Time:              time.Minute,
			Timeout:           20 * time.Second,
		}),
	)
	for _, sig := range signals {
		in.register(g, pool, sig.service, "Export", OTLPGRPC, func(ctx context.Context, b []byte) (partial, error) {
			return sig.submit(in, ctx, OTLPGRPC, b)
		})
	}
	in.register(g, pool, jaegerCollection, "PostSpans", JaegerGRPC, in.submitPostSpans)
	g.RegisterService(&grpc.ServiceDesc{ServiceName: profileService, HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{
		{StreamName: "Export", Handler: func(any, grpc.ServerStream) error { return status.Error(codes.Unimplemented, noProfiles) }},
	}}, in)
	healthpb.RegisterHealthServer(g, health.NewServer())
	return g
}

// boundCall gives calls without a deadline, or with a later one, the limit's deadline. gRPC ends the context,
// and all contexts derived from it, with the call.
func (in *intake) boundCall(ctx context.Context, _ *tap.Info) (context.Context, error) {
	limit := time.Now().Add(in.limits.RequestTimeout)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(limit) {
		return ctx, nil
	}
	bound, cancel := context.WithDeadline(ctx, limit)
	_ = cancel // the end of ctx also stops the timer
	return bound, nil
}

// submitter passes on a message.
type submitter func(context.Context, []byte) (partial, error)

// register serves a unary method whose answer is an empty message, or reports rejected items. On the wire this
// equals a stream with one message in each direction. As a stream, the handler runs from the first header on
// and learns of unreadable messages. It takes a slot when the message is complete.
func (in *intake) register(g *grpc.Server, pool mem.BufferPool, service, method string, p Protocol, submit submitter) {
	g.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: method, Handler: func(_ any, stream grpc.ServerStream) error {
			left, err := in.receive(stream, pool, submit)
			if err != nil {
				return grpcError(in.refused(p, err))
			}
			return stream.SendMsg(answer(left.proto()))
		}}},
	}, in)
}

func (in *intake) receive(stream grpc.ServerStream, pool mem.BufferPool, submit submitter) (none partial, err error) {
	ctx := stream.Context()
	if in.authorize != nil {
		if err := in.authorize(metadata.ValueFromIncomingContext(ctx, "authorization")); err != nil {
			return none, refuse(unauthorized, "%v", err)
		}
	}
	if in.multi {
		if ctx, err = forTenant(ctx, metadata.ValueFromIncomingContext(ctx, tenant.Header)); err != nil {
			return none, err
		}
	}
	m := new(message)
	defer m.free()
	if err := stream.RecvMsg(m); err != nil {
		return none, recvRefusal(ctx, err)
	}
	c, n := connOf(ctx), m.size()
	if err := in.gate.enter(c, n); err != nil {
		return none, err
	}
	defer in.gate.leave(c, n)
	return submit(ctx, m.join(pool))
}

// recvRefusal classifies gRPC's error for a message that it could not read. The client has already received
// gRPC's own status; the refusal is for the counters.
func recvRefusal(ctx context.Context, err error) error {
	text := status.Convert(err).Message()
	switch code := status.Code(err); {
	case code == codes.ResourceExhausted:
		return refuse(tooLarge, "%s", text)
	case code == codes.Internal: // checked before ctx, which has ended with the status
		return refuse(malformed, "%s", text)
	case ctx.Err() != nil:
		return contextRefusal(ctx.Err())
	case code == codes.Canceled || code == codes.Unavailable:
		return refuse(canceled, "%s", text)
	}
	return refuse(malformed, "%s", text)
}

// grpcError converts the refusal to a status, with RetryInfo exactly when the client should retry (OTLP
// specification, "Failures" and "OTLP/gRPC Throttling").
func grpcError(r *refusal) error {
	st := status.New(r.code(), r.text)
	if r.retry <= 0 {
		return st.Err()
	}
	with, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(r.retry)})
	if err != nil {
		return st.Err()
	}
	return with.Err()
}
