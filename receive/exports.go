package receive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A fast path for OTLP/HTTP.
//
// Most requests here have one form: HTTP/1.1, POST /v1/traces, protobuf, not
// compressed, small. For a batch of 20 spans net/http costs about as much as
// storing them: a goroutine that watches the connection, deadlines, maps and
// contexts for each request. So a connection begins on this path, which serves
// that one form and nothing else (exporthead.go says what it is), and goes to
// net/http for good with the first request that differs, unread. Whatever is
// said here in words of HTTP, limits and statuses, is said as net/http and
// serveOTLP say it. One thing differs: a client that goes away while its spans
// are being stored is noticed only when the answer cannot be written.

// headBuffer is what a connection reads at once: a head, and small bodies whole.
const headBuffer = 16 << 10

// exports are the connections on the fast path.
type exports struct {
	in      *intake
	ctx     context.Context // of all requests; ends with cut
	cut     context.CancelFunc
	closing <-chan struct{}

	serving sync.WaitGroup
	mu      sync.Mutex
	conns   map[*exportConn]struct{} // nil after drain
}

func newExports(in *intake, closing <-chan struct{}) *exports {
	e := &exports{in: in, closing: closing, conns: map[*exportConn]struct{}{}}
	e.ctx, e.cut = context.WithCancel(context.Background())
	return e
}

// exportConn is one of them.
type exportConn struct {
	*exports
	conn  net.Conn
	r     *bufio.Reader
	state atomic.Int32

	readBy, writeBy time.Time // the deadlines set
	head            []byte    // of answers, as of the second written
	written         int64
}

// States of a connection. Who moves it out of idle, the first byte of a request or
// drain, has it.
const (
	idle int32 = iota
	busy
	drained
)

// serve answers requests until the connection ends, or returns it, with all that
// was read and not understood, for net/http to go on.
func (e *exports) serve(c net.Conn) net.Conn {
	x := &exportConn{exports: e, conn: c, r: bufio.NewReaderSize(c, headBuffer)}
	if !e.add(x) {
		_ = c.Close()
		return nil
	}
	defer e.remove(x)
	for {
		length, err := x.next()
		switch {
		case errors.Is(err, errUnusual):
			return x.rest()
		case err != nil:
			_ = c.Close()
			return nil
		}
		if !x.answer(length) {
			_ = c.Close()
			return nil
		}
	}
}

func (e *exports) add(x *exportConn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conns == nil {
		return false
	}
	e.conns[x] = struct{}{}
	e.serving.Add(1)
	return true
}

func (e *exports) remove(x *exportConn) {
	e.mu.Lock()
	delete(e.conns, x)
	e.mu.Unlock()
	e.serving.Done()
}

// drain closes connections without a request at once, waits for the requests of
// the others, and cuts what is left when ctx ends. Closing must be closed.
func (e *exports) drain(ctx context.Context) error {
	e.mu.Lock()
	conns := e.conns
	e.conns = nil
	for x := range conns {
		if x.state.CompareAndSwap(idle, drained) {
			_ = x.conn.Close()
		}
	}
	e.mu.Unlock()
	done := make(chan struct{})
	go func() { e.serving.Wait(); close(done) }()
	defer e.cut()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for x := range conns {
		_ = x.conn.Close()
	}
	return ctx.Err()
}

var errUnusual = errors.New("not a request of the fast path")

// next reads the head of a request. Until its first byte the connection is idle.
func (x *exportConn) next() (length int64, err error) {
	x.state.Store(idle)
	if x.closed() { // drain may have been here when it was busy
		return 0, net.ErrClosed
	}
	limits := &x.in.limits
	x.readWithin(limits.IdleTimeout, limits.IdleTimeout/8)
	if _, err := x.r.Peek(1); err != nil {
		return 0, err
	}
	if !x.state.CompareAndSwap(idle, busy) {
		return 0, net.ErrClosed
	}
	for seen := 0; ; {
		b, _ := x.r.Peek(x.r.Buffered())
		if n := min(len(b), len(exportStart)); string(b[:n]) != exportStart[:n] {
			return 0, errUnusual
		}
		// The empty line may begin in what was seen before.
		from := max(seen-3, 0)
		if end := bytes.Index(b[from:], []byte("\r\n\r\n")); end >= 0 {
			return x.parse(b[:from+end+4])
		}
		if len(b) == headBuffer {
			return 0, errUnusual
		}
		if seen == 0 { // Slow path: the head comes in pieces.
			x.readWithin(limits.HeaderTimeout, 0)
		}
		seen = len(b)
		if _, err := x.r.Peek(seen + 1); err != nil {
			return 0, err
		}
	}
}

// parse steps over a head that this path takes.
func (x *exportConn) parse(head []byte) (length int64, err error) {
	length, ok := parseExportHead(head)
	if !ok || length > x.in.limits.Body {
		return 0, errUnusual
	}
	_, err = x.r.Discard(len(head))
	return length, err
}

// rest gives the connection up, with the bytes that were read ahead.
func (x *exportConn) rest() net.Conn {
	b, _ := x.r.Peek(x.r.Buffered())
	if x.conn.SetDeadline(time.Time{}) != nil {
		_ = x.conn.Close()
		return nil
	}
	return &sniffedConn{Conn: x.conn, replay: bytes.Clone(b)}
}

// answer reads a body, stores it and answers. It reports whether the connection
// can take another request.
func (x *exportConn) answer(length int64) (again bool) {
	src := exactly{x.r, length}
	rejected, err := x.take(&src)
	x.writeWithin(2 * x.in.limits.RequestTimeout)
	if err != nil {
		return x.refuse(x.in.refused(OTLPHTTP, err), &src)
	}
	taken := x.taken()
	if rejected.Spans > 0 {
		b := partialProto(rejected)
		taken = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", typeProtobuf, len(b), b)
	}
	_, err = x.conn.Write(taken)
	return err == nil && !x.closed()
}

func (x *exportConn) closed() bool {
	select {
	case <-x.closing:
		return true
	default:
		return false
	}
}

// take is intake.take for this path.
func (x *exportConn) take(src *exactly) (rejected Rejected, err error) {
	if err := x.in.begin(); err != nil {
		return rejected, err
	}
	defer x.in.end()
	if src.n <= min(int64(x.r.Buffered()), x.in.limits.Decompressed) { // Fast path: it is here, and stays where it is.
		return x.takeBuffered(src)
	}
	x.readWithin(x.in.limits.RequestTimeout, 0)
	b := &body{in: x.in, bytes: getBuffer()}
	defer b.Close()
	if err := b.fill(src); err != nil {
		return rejected, err
	}
	return x.in.submit(x.ctx, OTLPHTTP, b.bytes)
}

// takeBuffered takes a body that the buffer holds.
func (x *exportConn) takeBuffered(src *exactly) (rejected Rejected, err error) {
	n := src.n
	if !x.in.gate.hold(n) {
		return rejected, x.in.overload("requests in flight hold more than %d bytes", x.in.limits.InFlight)
	}
	defer x.in.gate.release(n)
	b, err := x.r.Peek(int(n))
	if err != nil {
		return rejected, err
	}
	rejected, err = x.in.submit(x.ctx, OTLPHTTP, b)
	_, _ = x.r.Discard(int(n)) // all of it is there
	src.n = 0
	return rejected, err
}

// exactly reads n bytes of r. An end before them is an error.
type exactly struct {
	r io.Reader
	n int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.n)])
	if e.n -= int64(n); errors.Is(err, io.EOF) && e.n > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// taken is the answer to a request that was taken.
func (x *exportConn) taken() []byte {
	if now := time.Now(); now.Unix() != x.written || x.closed() {
		x.written = now.Unix()
		b := append(x.head[:0], "HTTP/1.1 200 OK\r\nContent-Type: "+typeProtobuf+"\r\nDate: "...)
		b = now.UTC().AppendFormat(b, http.TimeFormat)
		b = append(b, "\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(takenProtobuf)), 10)
		if x.closed() {
			b = append(b, "\r\nConnection: close"...)
		}
		x.head = append(append(b, "\r\n\r\n"...), takenProtobuf...)
	}
	return x.head
}

// refuse writes a refusal. What is left of the body is read when it is little, so
// that another request can follow, as net/http does.
func (x *exportConn) refuse(r *refusal, src *exactly) (again bool) {
	a := answerWriter{header: http.Header{}}
	writeStatus(&a, typeProtobuf, typeProtobuf, r)
	again = src.n <= skipBytes && !x.closed() && a.header.Get("Connection") != "close"
	resp := http.Response{ProtoMajor: 1, ProtoMinor: 1, StatusCode: a.status, Header: a.header, Close: !again,
		ContentLength: int64(a.body.Len()), Body: io.NopCloser(&a.body)}
	a.header.Del("Connection") // Close says it
	a.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var out bytes.Buffer
	if err := resp.Write(&out); err != nil {
		return false
	}
	if _, err := x.conn.Write(out.Bytes()); err != nil || src.n == 0 {
		return again && err == nil
	}
	// Closed with bytes unread, the connection would be reset, and the client might
	// never see the answer.
	wait := lingerTime
	if again {
		wait = x.in.limits.RequestTimeout
	} else {
		_ = closeWrite(x.conn)
	}
	x.readWithin(wait, 0)
	_, err := io.CopyN(io.Discard, src, skipBytes)
	return again && errors.Is(err, io.EOF) && src.n == 0
}

// Both are net/http's: what it reads of a body that nobody wanted, and how long it
// keeps a connection that it is about to close.
const (
	skipBytes  = 256 << 10
	lingerTime = 500 * time.Millisecond
)

// answerWriter keeps an answer for later.
type answerWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answerWriter) Header() http.Header         { return a.header }
func (a *answerWriter) WriteHeader(status int)      { a.status = status }
func (a *answerWriter) Write(b []byte) (int, error) { return a.body.Write(b) }

// readWithin and writeWithin set deadlines. One that is set is left alone while
// it is early by no more than slack: setting it anew costs more than the request.
func (x *exportConn) readWithin(d, slack time.Duration) {
	if by := time.Now().Add(d); slack == 0 || by.Sub(x.readBy) > slack || x.readBy.After(by) {
		x.readBy = by
		_ = x.conn.SetReadDeadline(by) // A closed connection tells at the next read.
	}
}

func (x *exportConn) writeWithin(d time.Duration) {
	if by := time.Now().Add(d); by.Sub(x.writeBy) > d/2 {
		x.writeBy = by
		_ = x.conn.SetWriteDeadline(by)
	}
}
