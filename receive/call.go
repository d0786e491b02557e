package receive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

// call is one unary call. The reader has it until its message is whole; then a
// worker, until it is answered.
type call struct {
	conn        *callConn
	id          uint32
	contentType string // of the answer
	m           *method
	compressor  encoding.Compressor // of the message, if it says that it is compressed

	ended bool // the client half-closed
	whole bool // handed to a worker; set under conn.mu
	done  bool // answered or given up by the reader

	admitted bool
	held     int64 // at the gate
	prefix   [prefixLen]byte
	gathered int     // bytes of prefix and message that arrived
	size     int     // of the message
	buffer   *[]byte // from the pool; holds the message
	unheld   uint32  // received, and not yet given back to streamWindow

	ctx callContext
	sub context.Context // what the Sink gets: ctx, with the tenant

	// Under conn.mu.
	reply  *answer // given, and waiting for the client's window
	window int64   // of the stream, as the client gives it
	sent   int     // bytes of the reply's message
	begun  bool    // the reply's headers are sent
}

// prefixLen is the length of what comes before a message: whether it is
// compressed, and its size in 4 bytes.
const prefixLen = 5

// firstBuffer is the most that is set aside for a message on its prefix's word.
const firstBuffer = 64 << 10

// What grpc-go says of messages that cannot be read.
var (
	errLate     = status.Error(codes.DeadlineExceeded, context.DeadlineExceeded.Error())
	errNone     = status.Error(codes.Internal, "cardinality violation: received no request message from non-client-streaming RPC")
	errMany     = status.Error(codes.Internal, "cardinality violation: received multiple request messages for non-client-streaming RPC")
	errCutShort = status.Error(codes.Internal, "unexpected EOF")
	errNotSaid  = status.Error(codes.Internal, "grpc: compressed flag set with identity or empty encoding")
)

// open admits a call by its head, before its message comes.
func (k *call) open(head *callHead) {
	in := k.conn.in
	k.m = methods[head.path]
	if k.m == nil {
		k.answer(&answer{status: status.New(codes.Unimplemented, notKnown(head.path))})
		return
	}
	if head.encoding != "" && head.encoding != encoding.Identity {
		if k.compressor = encoding.GetCompressor(head.encoding); k.compressor == nil {
			k.answer(&answer{status: status.Newf(codes.Unimplemented, "grpc: Decompressor is not installed for grpc-encoding %q", head.encoding)})
			return
		}
	}
	limit := in.limits.RequestTimeout
	if head.timed {
		limit = min(limit, head.timeout)
	}
	if limit <= 0 {
		k.answer(&answer{status: status.Convert(errLate)})
		return
	}
	k.ctx.by = k.conn.heard.Add(limit)
	k.sub = &k.ctx
	if err := k.admit(head); err != nil {
		k.refuse(err, k.ended)
		return
	}
	if k.ctx.by.Before(k.conn.earliest) {
		k.conn.earliest = k.ctx.by
	}
	if k.ended {
		k.complete()
	}
}

func (k *call) admit(head *callHead) error {
	in := k.conn.in
	if k.m.protocol == "" {
		return nil
	}
	if err := in.begin(); err != nil {
		return err
	}
	k.admitted = true
	if !in.multi {
		return nil
	}
	var err error
	k.sub, err = forTenant(&k.ctx, head.tenants)
	return err
}

func notKnown(path string) string {
	name, ok := strings.CutPrefix(path, "/")
	slash := strings.LastIndexByte(name, '/')
	if !ok || slash < 0 {
		return fmt.Sprintf("malformed method name: %q", path)
	}
	service, method := name[:slash], name[slash+1:]
	switch service {
	case traceService, jaegerCollection, healthService:
		return fmt.Sprintf("unknown method %v for service %v", method, service)
	}
	return fmt.Sprintf("unknown service %v", service)
}

// take gathers what arrived.
func (k *call) take(b []byte) error {
	if k.gathered < prefixLen {
		n := copy(k.prefix[k.gathered:], b)
		k.gathered += n
		b = b[n:]
		if k.gathered < prefixLen {
			return nil
		}
		size, limit := binary.BigEndian.Uint32(k.prefix[1:]), k.conn.in.limits.Decompressed
		if int64(size) > limit {
			return status.Errorf(codes.ResourceExhausted, "grpc: received message larger than max (%d vs. %d)", size, limit)
		}
		k.size = int(size)
	}
	have := k.gathered - prefixLen
	if len(b) > k.size-have {
		return errMany
	}
	if err := k.room(have, have+len(b)); err != nil {
		return err
	}
	if len(b) > 0 {
		k.gathered += copy((*k.buffer)[have:], b)
	}
	return nil
}

// room makes the buffer hold n bytes, and keeps the first have. What it holds is
// counted at the gate.
func (k *call) room(have, n int) error {
	if k.buffer != nil && n <= len(*k.buffer) || n == 0 {
		return nil
	}
	c := k.conn
	want := min(k.size, max(n, firstBuffer, 2*have))
	if more := int64(want) - k.held; !c.in.gate.hold(more) {
		return c.in.overload("requests in flight hold more than %d bytes", c.in.limits.InFlight)
	}
	k.held = int64(want)
	bigger := c.pool.Get(want)
	if k.buffer != nil {
		copy(*bigger, (*k.buffer)[:have])
		c.pool.Put(k.buffer)
	}
	k.buffer = bigger
	return nil
}

// complete hands a call over when the client has sent all of it.
func (k *call) complete() {
	k.ended = true
	switch {
	case k.gathered == 0:
		k.refuse(errNone, true)
		return
	case k.gathered != prefixLen+k.size:
		k.refuse(errCutShort, true)
		return
	}
	k.ctx.done = make(chan struct{})
	k.conn.mu.Lock()
	k.whole = true
	k.conn.mu.Unlock()
	k.conn.do(k)
}

// run is a worker's part.
func (k *call) run() {
	defer k.conn.serving.Done()
	rejected, err := k.submit()
	k.free()
	a := k.answerTo(err)
	if rejected.Spans > 0 {
		b := partialProto(rejected)
		a = &answer{message: string(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...))}
	}
	k.conn.finish(k, a)
	k.conn.flush(true)
}

func (k *call) submit() (rejected Rejected, err error) {
	var b []byte
	if k.size > 0 {
		b = (*k.buffer)[:k.size]
	}
	switch flag := k.prefix[0]; {
	case flag == 0:
		return k.m.submit(k.conn.in, k.sub, b)
	case flag != 1:
		return rejected, status.Errorf(codes.Internal, "grpc: received unexpected payload format %d", flag)
	case k.compressor == nil:
		return rejected, errNotSaid
	}
	plain, err := k.decompress(b)
	if err != nil {
		return rejected, err
	}
	defer plain.Close()
	return k.m.submit(k.conn.in, k.sub, plain.bytes)
}

func (k *call) decompress(b []byte) (*body, error) {
	in := k.conn.in
	src, err := k.compressor.Decompress(bytes.NewReader(b))
	if err != nil {
		return nil, status.Errorf(codes.Internal, "grpc: failed to decompress the message: %v", err)
	}
	plain := &body{in: in, bytes: getBuffer()}
	if err = plain.fill(src); err == nil {
		return plain, nil
	}
	plain.Close()
	var r *refusal
	switch {
	case !errors.As(err, &r):
		err = status.Errorf(codes.Internal, "grpc: failed to read decompressed data: %v", err)
	case r.reason == tooLarge:
		err = status.Errorf(codes.ResourceExhausted, "grpc: received message after decompression larger than max %d", in.limits.Decompressed)
	}
	return nil, err
}

// free gives back all that a call holds but its stream.
func (k *call) free() {
	in := k.conn.in
	if k.buffer != nil {
		k.conn.pool.Put(k.buffer)
		k.buffer = nil
	}
	in.gate.release(k.held)
	k.held = 0
	if k.admitted {
		k.admitted = false
		in.end()
	}
}

// refuse is the reader's answer to a call that it does not hand over.
func (k *call) refuse(err error, ended bool) {
	k.ended = ended
	k.answer(k.answerTo(err))
}

// answer is given by the reader.
func (k *call) answer(a *answer) {
	k.done = true
	k.free()
	k.conn.finish(k, a)
}

// abandon is for a call that was reset, or whose connection ended, before its
// message was whole.
func (k *call) abandon() {
	k.done = true
	k.free()
	if k.m != nil && k.m.protocol != "" {
		k.conn.in.refused(k.m.protocol, contextRefusal(context.Canceled))
	}
}

// answerTo counts a refusal, and says it as grpc-go's path does.
func (k *call) answerTo(err error) *answer {
	if err == nil {
		return &k.m.taken
	}
	var r *refusal
	st, said := status.FromError(err)
	switch {
	case errors.As(err, &r):
		said = false
	case errors.Is(err, errLate):
		r = contextRefusal(context.DeadlineExceeded)
	default:
		r = readRefusal(recvRefusal(context.Background(), err))
	}
	if k.m.protocol != "" {
		r = k.conn.in.refused(k.m.protocol, r)
	}
	if !said {
		st = status.Convert(grpcError(r))
	}
	return &answer{status: st}
}

// callContext is the context of a call. The reader of the connection ends it, by
// its clock or when the client goes away: a timer for each call, and a place among
// those of its connection, cost as much as all the rest of it.
type callContext struct {
	by   time.Time
	done chan struct{}
	err  atomic.Pointer[error]
}

func (c *callContext) Deadline() (time.Time, bool) { return c.by, true }
func (c *callContext) Done() <-chan struct{}       { return c.done }
func (c *callContext) Value(any) any               { return nil }

func (c *callContext) Err() error {
	if err := c.err.Load(); err != nil {
		return *err
	}
	return nil
}

// end is called by the reader alone.
func (c *callContext) end(err error) {
	if c.err.CompareAndSwap(nil, &err) {
		close(c.done)
	}
}
