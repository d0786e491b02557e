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
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/durationpb"

	"etude/tenant"
)

const (
	traceService     = "opentelemetry.proto.collector.trace.v1.TraceService"
	jaegerCollection = "jaeger.api_v2.CollectorService"
)

// streamWorkers is how many goroutines wait for calls; more calls than that at
// once have their own.
const streamWorkers = 128

// newGRPCServer serves OTLP and Jaeger alike: a client of either is welcome at
// every gRPC listener.
func (in *intake) newGRPCServer() *grpc.Server {
	pool := new(tieredPool)
	g := grpc.NewServer(
		grpc.ForceServerCodecV2(newRawCodec(pool)),
		experimental.BufferPool(pool),
		grpc.MaxRecvMsgSize(int(in.limits.Decompressed)),
		grpc.MaxConcurrentStreams(uint32(min(in.limits.Requests, 1<<20))),
		grpc.MaxHeaderListSize(maxSniff),
		grpc.ConnectionTimeout(in.limits.HeaderTimeout),
		grpc.InTapHandle(in.boundCall),
		// Fixed windows: a whole batch fits, and no probing pings are needed.
		grpc.InitialWindowSize(mebibyte),
		grpc.InitialConnWindowSize(4*mebibyte),
		grpc.ReadBufferSize(64<<10),
		// A new goroutine would grow its stack for every call anew.
		grpc.NumStreamWorkers(uint32(min(in.limits.Requests, streamWorkers))),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: in.limits.IdleTimeout,
			Time:              time.Minute,
			Timeout:           20 * time.Second,
		}),
	)
	in.register(g, traceService, "Export", OTLPGRPC, in.submitExport)
	in.register(g, jaegerCollection, "PostSpans", JaegerGRPC, in.submitPostSpans)
	healthpb.RegisterHealthServer(g, health.NewServer())
	return g
}

// submitExport is the collector's TraceService/Export over gRPC.
func (in *intake) submitExport(ctx context.Context, b []byte) (Rejected, error) {
	return in.submit(ctx, OTLPGRPC, b)
}

// boundCall gives calls that bring no deadline of their own, or a long one, the
// limit's. gRPC ends the context with the call, and so all that derive from it.
func (in *intake) boundCall(ctx context.Context, _ *tap.Info) (context.Context, error) {
	limit := time.Now().Add(in.limits.RequestTimeout)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(limit) {
		return ctx, nil
	}
	bound, cancel := context.WithDeadline(ctx, limit)
	_ = cancel // the end of ctx stops the timer as well
	return bound, nil
}

// submitter passes a message on.
type submitter func(context.Context, []byte) (Rejected, error)

// register serves a unary method whose answer is an empty message, or tells which
// spans were left out. On the wire that is the same as a stream with one message
// each way; as a stream we are asked before the message is read, and hear of those
// that cannot be read.
func (in *intake) register(g *grpc.Server, service, method string, p Protocol, submit submitter) {
	g.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: method, Handler: func(_ any, stream grpc.ServerStream) error {
			m := new(message)
			rejected, err := in.receive(stream, m, submit)
			if err != nil {
				return grpcError(in.refused(p, err))
			}
			m.payload = partialProto(rejected)
			return stream.SendMsg(m)
		}}},
	}, in)
}

func (in *intake) receive(stream grpc.ServerStream, m *message, submit submitter) (rejected Rejected, err error) {
	if err := in.begin(); err != nil {
		return rejected, err
	}
	defer in.end()
	defer m.free()
	ctx := stream.Context()
	if in.multi {
		if ctx, err = forTenant(ctx, metadata.ValueFromIncomingContext(ctx, tenant.Header)); err != nil {
			return rejected, err
		}
	}
	if err := stream.RecvMsg(m); err != nil {
		return rejected, recvRefusal(ctx, err)
	}
	n := int64(len(m.payload))
	if !in.gate.hold(n) {
		return rejected, in.overload("requests in flight hold more than %d bytes", in.limits.InFlight)
	}
	defer in.gate.release(n)
	return submit(ctx, m.payload)
}

// recvRefusal sorts what gRPC says of a message that it could not read. The
// client has had gRPC's own status by then; this is for the counters.
func recvRefusal(ctx context.Context, err error) error {
	text := status.Convert(err).Message()
	switch code := status.Code(err); {
	case code == codes.ResourceExhausted:
		return refuse(tooLarge, "%s", text)
	case code == codes.Internal: // before ctx, which has ended with the status
		return refuse(malformed, "%s", text)
	case ctx.Err() != nil:
		return contextRefusal(ctx.Err())
	case code == codes.Canceled || code == codes.Unavailable:
		return refuse(canceled, "%s", text)
	}
	return refuse(malformed, "%s", text)
}

// grpcError is the refusal as a status; with RetryInfo exactly when the client
// should retry (OTLP specification, "Failures" and "OTLP/gRPC Throttling").
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
