package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

// A client of one gRPC method.
//
// With small batches, grpc-go would use nearly as much CPU as the server. Here each worker writes its own call,
// concurrent calls share one write, and one goroutine per connection reads the answers. All calls have the same
// header fields. After the first call these take a few bytes, which are encoded once.

// grpcConn is a connection with open calls.
type grpcConn struct {
	net.Conn
	framer  *http2.Framer // mu protects writing; only read reads
	timeout time.Duration
	stop    func() bool  // stops watching the context
	writers atomic.Int32 // goroutines that want to write; the last one flushes

	mu       sync.Mutex
	changed  *sync.Cond // settings, windows, calls, err
	w        *bufio.Writer
	calls    map[uint32]*grpcCall
	next     uint32 // next stream
	settled  bool   // the server's settings have arrived
	window   int64  // of the connection
	initial  int64  // window of a new stream
	maxFrame int64
	maxCalls uint32
	err      error // why the connection accepts no more calls

	fields      []hpack.HeaderField
	encoder     *hpack.Encoder
	block       []byte // the encoder's output
	first, rest []byte // header blocks; first is nil after it has been sent
}

type grpcCall struct {
	began           time.Time
	window          int64
	answer          []byte
	status, message string
	details         bool
	done            chan outcome // buffered, for one outcome
}

// lastStream is the number of the last stream before a connection is replaced.
const lastStream = 1 << 30

func openGRPC(ctx context.Context, t target, compression string, timeout time.Duration) (*grpcConn, error) {
	dialled, err := t.dial(ctx, "h2")
	if err != nil {
		return nil, err
	}
	c := &grpcConn{Conn: dialled, timeout: timeout, w: bufio.NewWriterSize(dialled, 128<<10), calls: map[uint32]*grpcCall{}, next: 1,
		window: 65535, initial: 65535, maxFrame: 16 << 10, maxCalls: 100} // RFC 9113, section 6.5.2; calls: a guess
	c.changed = sync.NewCond(&c.mu)
	c.framer = http2.NewFramer(c.w, bufio.NewReaderSize(dialled, 32<<10))
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.fields = []hpack.HeaderField{{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: map[bool]string{false: "http", true: "https"}[t.secure]}, {Name: ":path", Value: exportMethod},
		{Name: ":authority", Value: t.addr}, {Name: "content-type", Value: "application/grpc"}, {Name: "user-agent", Value: "etude-bench"},
		{Name: "te", Value: "trailers"}, {Name: "grpc-timeout", Value: strconv.FormatInt(max(timeout.Milliseconds(), 1), 10) + "m"}}
	if compression != "none" {
		c.fields = append(c.fields, hpack.HeaderField{Name: "grpc-encoding", Value: compression})
	}
	if t.access.Authorization != "" {
		c.fields = append(c.fields, hpack.HeaderField{Name: "authorization", Value: t.access.Authorization, Sensitive: true})
	}
	c.encoder = hpack.NewEncoder(sliceWriter{&c.block})
	c.encode()
	_, _ = c.w.WriteString(http2.ClientPreface) // w keeps errors until the flush
	_ = c.framer.WriteSettings()
	if err := c.w.Flush(); err != nil {
		_ = c.Close()
		return nil, err
	}
	c.stop = context.AfterFunc(ctx, func() { _ = dialled.Close() })
	go c.read()
	return c, nil
}

type sliceWriter struct{ b *[]byte }

func (w sliceWriter) Write(p []byte) (int, error) {
	*w.b = append(*w.b, p...)
	return len(p), nil
}

// encode makes the header blocks. The first one fills the HPACK tables of both sides, so that later ones are a
// few bytes.
func (c *grpcConn) encode() {
	for _, block := range []*[]byte{&c.first, &c.rest} {
		c.block = nil
		for _, f := range c.fields {
			_ = c.encoder.WriteField(f) // into memory
		}
		*block = c.block
	}
}

// usable reports whether the connection accepts calls.
func (c *grpcConn) usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil
}

// call sends one request and waits for its answer.
func (c *grpcConn) call(payload []byte, compressed bool) outcome {
	call := &grpcCall{done: make(chan outcome, 1)}
	c.writers.Add(1)
	c.mu.Lock()
	for c.err == nil && (!c.settled || uint32(len(c.calls)) >= c.maxCalls) {
		c.wait()
	}
	err := c.err
	if err == nil {
		c.write(call, payload, compressed)
	}
	if c.writers.Add(-1) == 0 && c.w.Buffered() > 0 {
		_ = c.w.Flush() // An error also ends read.
	}
	c.mu.Unlock()
	if err != nil {
		return transportFailure(err)
	}
	return <-call.done
}

// wait releases the lock until something has changed. The caller holds the lock.
func (c *grpcConn) wait() {
	c.writers.Add(-1)
	_ = c.w.Flush()
	c.changed.Wait()
	c.writers.Add(1)
}

// write begins a stream and writes the message as far as the flow-control windows allow.
func (c *grpcConn) write(call *grpcCall, payload []byte, compressed bool) {
	id := c.next
	if c.next += 2; id >= lastStream {
		c.err = errors.New("connection has no streams left")
	}
	call.began, call.window = time.Now(), c.initial
	c.calls[id] = call
	block := c.first
	if c.first = nil; block == nil {
		block = c.rest
	}
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true})
	var frame [14]byte
	prefix := frame[9:] // gRPC over HTTP/2, Length-Prefixed-Message
	if compressed {
		prefix[0] = 1
	}
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(payload)))
	for c.calls[id] == call && len(prefix)+len(payload) > 0 {
		n := min(int64(len(prefix)+len(payload)), c.maxFrame, c.window, call.window)
		if n < int64(len(prefix)) || n == 0 {
			c.wait()
			continue
		}
		c.window -= n
		call.window -= n
		data := payload[:n-int64(len(prefix))]
		payload = payload[len(data):]
		binary.BigEndian.PutUint32(frame[:], uint32(n)<<8|uint32(http2.FrameData))
		frame[4] = 0
		if len(payload) == 0 {
			frame[4] = byte(http2.FlagDataEndStream)
		}
		binary.BigEndian.PutUint32(frame[5:], id)
		_, _ = c.w.Write(frame[:9+len(prefix)])
		_, _ = c.w.Write(data)
		prefix = nil
	}
}

// read reads frames until the connection ends. Then it fails the open calls.
func (c *grpcConn) read() {
	done := make(chan struct{})
	go c.expire(done)
	err := c.readFrames()
	close(done)
	c.stop()
	_ = c.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	c.changed.Broadcast()
	for id := range c.calls {
		c.finish(id, transportFailure(err))
	}
}

func (c *grpcConn) readFrames() error {
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return err
		}
		c.mu.Lock()
		err = c.handle(f)
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (c *grpcConn) handle(frame http2.Frame) error {
	id := frame.Header().StreamID
	call := c.calls[id]
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.WindowUpdateFrame:
		if id == 0 {
			c.window += int64(f.Increment)
		} else if call != nil {
			call.window += int64(f.Increment)
		}
		c.changed.Broadcast()
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = c.framer.WritePing(true, f.Data)
			return c.w.Flush()
		}
	case *http2.GoAwayFrame:
		c.err = fmt.Errorf("server goes away: %v", f.ErrCode)
		for id := range c.calls {
			if id > f.LastStreamID {
				c.finish(id, transportFailure(c.err))
			}
		}
		c.changed.Broadcast()
	case *http2.RSTStreamFrame:
		c.finish(id, failed("stream reset: "+f.ErrCode.String(), ""))
	case *http2.DataFrame:
		return c.data(f, call)
	case *http2.MetaHeadersFrame:
		c.headers(f, call)
	}
	return nil
}

func (c *grpcConn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		switch s.ID {
		case http2.SettingInitialWindowSize:
			for _, call := range c.calls {
				call.window += int64(s.Val) - c.initial
			}
			c.initial = int64(s.Val)
		case http2.SettingMaxFrameSize:
			c.maxFrame = int64(s.Val)
		case http2.SettingMaxConcurrentStreams:
			c.maxCalls = s.Val
		case http2.SettingHeaderTableSize:
			if s.Val < 4096 { // Smaller tables save nothing.
				c.encoder.SetMaxDynamicTableSizeLimit(0)
				c.encode()
			}
		}
		return nil
	})
	c.settled = true
	c.changed.Broadcast()
	_ = c.framer.WriteSettingsAck()
	return errors.Join(err, c.w.Flush())
}

func (c *grpcConn) data(f *http2.DataFrame, call *grpcCall) error {
	if n := f.Header().Length; n > 0 {
		_ = c.framer.WriteWindowUpdate(0, n)
		if call != nil && !f.StreamEnded() {
			_ = c.framer.WriteWindowUpdate(f.StreamID, n)
		}
	}
	if call == nil {
		return nil
	}
	if call.answer = append(call.answer, f.Data()...); len(call.answer) > maxAnswer || f.StreamEnded() {
		c.finish(f.StreamID, failed("answer cannot be read", "it is too large or has no status"))
	}
	return nil // The next call sends the window updates.
}

func (c *grpcConn) headers(f *http2.MetaHeadersFrame, call *grpcCall) {
	if call == nil {
		return
	}
	for _, h := range f.Fields {
		switch h.Name {
		case ":status":
			if h.Value != "200" {
				c.finish(f.StreamID, failed("HTTP "+h.Value, ""))
				return
			}
		case "grpc-status":
			call.status = h.Value
		case "grpc-message":
			call.message = h.Value
		case "grpc-status-details-bin":
			call.details = true
		}
	}
	if f.StreamEnded() {
		c.finish(f.StreamID, call.outcome())
	}
}

// outcome parses the answer of a finished call.
func (call *grpcCall) outcome() outcome {
	code, err := strconv.ParseUint(call.status, 10, 32)
	switch {
	case err != nil:
		return failed("answer cannot be read", fmt.Sprintf("grpc-status is %q", call.status))
	case code != 0:
		message, err := url.PathUnescape(call.message)
		if err != nil {
			message = call.message
		}
		return grpcOutcome(codes.Code(code), message, call.details)
	case len(call.answer) < 5 || call.answer[0] != 0:
		return failed("answer cannot be read", "it has no uncompressed message")
	}
	return acknowledged(call.answer[5:])
}

// finish ends a call. The caller holds the lock.
func (c *grpcConn) finish(id uint32, out outcome) {
	if call := c.calls[id]; call != nil {
		delete(c.calls, id)
		call.done <- out
		c.changed.Broadcast()
	}
}

// expire fails calls that exceed the timeout, until done is closed.
func (c *grpcConn) expire(done <-chan struct{}) {
	tick := time.NewTicker(max(c.timeout/8, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			c.mu.Lock()
			for id, call := range c.calls {
				if now.Sub(call.began) > c.timeout {
					_ = c.framer.WriteRSTStream(id, http2.ErrCodeCancel)
					c.finish(id, failed("timed out", "no answer in "+c.timeout.String()))
				}
			}
			_ = c.w.Flush()
			c.mu.Unlock()
		}
	}
}
