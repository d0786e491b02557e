package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"etude/query"
)

// streamOut is the answer of a stream. Like an HTTP answer, it is computed and sent piece by piece, as part of
// its query.
//
// gRPC sends a message while the next one is computed, so each send waits until the client has read the message
// before. The stream of a client that reads nothing for too long is reset.
type streamOut struct {
	s      *server
	stream grpc.ServerStream
	limit  *deadlines
	job    *query.Job // nil until begin
	answer func() error

	result int // bytes of the job's memory for one result
}

// deadlines limit reading from and writing to a stream's client. The handler of a stream outlives the HTTP
// request when the client leaves, and net/http panics when its writer is used after the request has ended; so
// end disables them.
type deadlines struct {
	mu sync.Mutex
	w  http.ResponseWriter // nil once the request has ended
}

// deadlinesKey is the key of the deadlines in a stream's context.
type deadlinesKey struct{}

func (d *deadlines) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.w = nil
}

func (d *deadlines) read(t time.Time)  { d.set((*http.ResponseController).SetReadDeadline, t) }
func (d *deadlines) write(t time.Time) { d.set((*http.ResponseController).SetWriteDeadline, t) }

func (d *deadlines) set(f func(*http.ResponseController, time.Time) error, t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.w != nil {
		_ = f(http.NewResponseController(d.w), t) // the writers of tests have no deadlines
	}
}

func (o *streamOut) begin(ctx context.Context) (context.Context, error) {
	job, err := o.s.Engine.Begin(ctx)
	if err != nil {
		return nil, err
	}
	o.job = job
	return job.Context(), nil
}

func (o *streamOut) end() {
	if o.job != nil {
		o.job.End()
	}
}

// tell sends a message while the query runs; the query does not wait for it.
func (o *streamOut) tell(body []byte) error {
	o.limit.write(time.Now().Add(o.s.Stall))
	for piece := range pieces(body, maxPacket) {
		if err := o.stream.SendMsg(&message{piece}); err != nil {
			return err
		}
	}
	return nil
}

// send sends a piece of the answer.
func (o *streamOut) send(piece []byte) error {
	if err := o.job.Err(); err != nil {
		return err
	}
	o.limit.write(o.s.deadlineOf(o.job))
	err := o.job.Write(func() error { return o.stream.SendMsg(&message{piece}) })
	if ended := o.job.Err(); err != nil && ended != nil {
		return ended
	} else if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// sendBody sends an answer of a limited size.
func (o *streamOut) sendBody(body []byte) error {
	for piece := range pieces(body, maxPacket) {
		if err := o.send(piece); err != nil {
			return err
		}
	}
	return nil
}

// sendResults sends an answer of any size, split into messages as by [pieces].
func (o *streamOut) sendResults(r results) error {
	var end, one writer
	r.end(&end)
	_, metrics, rest := fieldsOf(end.B)
	var piece []byte
	for i := range r.n {
		if err := o.job.Err(); err != nil {
			return err
		}
		one.B = one.B[:0]
		r.each(&one, i)
		if err := o.hold(cap(one.B)); err != nil {
			return err
		}
		size := 1 + protowire.SizeBytes(len(one.B))
		if len(piece) > 0 && len(piece)+size+len(metrics)+len(rest) > maxPacket {
			if err := o.send(append(piece, metrics...)); err != nil {
				return err
			}
			piece = nil // gRPC may still be sending the previous message
		}
		piece = protowire.AppendBytes(protowire.AppendTag(piece, 1, protowire.BytesType), one.B)
	}
	return o.send(append(append(piece, metrics...), rest...))
}

// hold counts the buffer of one result; a large result is sent alone.
func (o *streamOut) hold(size int) error {
	if n := 2*size - max(o.result, maxPacket); n > 0 {
		o.result += n
		return o.job.Hold(n, "a result of %d bytes", size)
	}
	return nil
}
