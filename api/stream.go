package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/wire"
	"etude/tenant"
)

const streamingService = "tempopb.StreamingQuerier"

// maxPacket is the size in bytes at which an answer is split into messages.
const maxPacket = 2 << 20

// streamCall computes the answer to a request and returns the function that sends it. It may send intermediate
// results through the teller.
type streamCall func(context.Context, *streamRequest, *streamOut, *teller) (send func() error, err error)

// streamingQuerier describes the service. Each method takes one request and streams messages: while the query
// runs, new results or a sign of progress; at the end the whole answer, in as many messages as its size
// requires.
func (s *server) streamingQuerier() *grpc.ServiceDesc {
	d := &grpc.ServiceDesc{ServiceName: streamingService, HandlerType: (*any)(nil)}
	for _, m := range []struct {
		name     string
		call     streamCall
		progress []byte
	}{
		{"Search", s.streamSearch, jobsProgress(5)},
		{"SearchTags", s.streamTags(s.tagsV1), jobsProgress(2)},
		{"SearchTagsV2", s.streamTags(s.tagsV2), jobsProgress(2)},
		{"SearchTagValues", s.streamValues(valuesV1Path, s.valuesV1), jobsProgress(2)},
		{"SearchTagValuesV2", s.streamValues(valuesV2Path, s.valuesV2), jobsProgress(2)},
		{"MetricsQueryRange", s.streamRange, jobsProgress(5)},
		{"MetricsQueryInstant", s.streamInstant, jobsProgress(5)},
	} {
		d.Streams = append(d.Streams, grpc.StreamDesc{
			StreamName: m.name, ServerStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				return s.serveStream(stream, m.name, m.call, m.progress)
			},
		})
	}
	return d
}

// jobsProgress is a message with only metrics: one job in total, none completed. field is the number of
// totalJobs.
func jobsProgress(field wire.Number) []byte {
	var w writer
	w.message(2, func(w *writer) { w.Varint(field, 1) })
	return w.B
}

func (s *server) serveStream(stream grpc.ServerStream, method string, call streamCall, progress []byte) error {
	limit, _ := stream.Context().Value(deadlinesKey{}).(*deadlines)
	if limit == nil {
		return status.Error(codes.Internal, "the stream has no HTTP request")
	}
	limit.read(time.Now().Add(s.Stall)) // for a request that never arrives completely
	var m message
	if err := stream.RecvMsg(&m); errors.Is(err, io.EOF) {
		return status.Error(codes.InvalidArgument, "the request message is missing")
	} else if err != nil {
		return err
	}
	limit.read(time.Time{})
	ctx, err := s.forTenants(stream.Context(), metadata.ValueFromIncomingContext(stream.Context(), tenant.Header))
	if err != nil {
		return s.grpcError(method, err)
	}
	req, err := readStreamRequest(m.payload)
	if err != nil {
		return s.grpcError(method, err)
	}
	o := &streamOut{s: s, stream: stream, limit: limit}
	defer o.end()
	t := newTeller(o, s.ProgressInterval, progress)
	err = s.guarded(func() (err error) {
		defer t.stop()
		o.answer, err = call(ctx, req, o, t)
		return err
	})
	if err == nil {
		err = s.guarded(o.answer)
	}
	if err != nil {
		return s.grpcError(method, err)
	}
	return nil
}

// guarded turns a panic into an error: gRPC does not recover, and one query must not end the process.
func (s *server) guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.Logger.Error("panic in a query", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("answer query: internal error")
		}
	}()
	return f()
}

// pieces splits an encoded answer into messages of at most most bytes. Each has some of the results, field 1,
// and the metrics, field 2; the last one also has the remaining fields. A single larger result is sent alone.
func pieces(body []byte, most int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if len(body) <= most { // Fast path: nearly always.
			yield(body)
			return
		}
		results, metrics, rest := fieldsOf(body)
		var piece []byte
		for _, r := range results {
			if len(piece) > 0 && len(piece)+len(r)+len(metrics)+len(rest) > most {
				if !yield(append(piece, metrics...)) {
					return
				}
				piece = nil
			}
			piece = append(piece, r...)
		}
		yield(append(append(piece, metrics...), rest...))
	}
}

// fieldsOf splits an answer that etude has encoded.
func fieldsOf(body []byte) (results [][]byte, metrics, rest []byte) {
	for len(body) > 0 {
		number, _, n := protowire.ConsumeField(body)
		if n < 0 {
			return results, metrics, append(rest, body...)
		}
		switch number {
		case 1:
			results = append(results, body[:n])
		case 2:
			metrics = append(metrics, body[:n]...)
		default:
			rest = append(rest, body[:n]...)
		}
		body = body[n:]
	}
	return results, metrics, rest
}
