package receive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Both are windows of flow control, for what clients send: a whole batch fits.
// They are said again when a quarter is used up.
const (
	streamWindow = mebibyte
	connWindow   = 4 * mebibyte
)

// What a connection is held to, besides Limits: as grpc-go's of newGRPCServer.
const (
	pingAfter   = time.Minute      // of silence
	pingTimeout = 20 * time.Second // for its answer
	pingPeriod  = 5 * time.Second  // between a client's own
	pingStrikes = 2                // pings that come earlier
	leaveAfter  = lingerTime       // when a client does not say that it saw GOAWAY
	maxUnsent   = mebibyte         // answers to a client that does not read them
)

// callBuffer holds the largest frame, and small header blocks whole.
const callBuffer = 64 << 10

// The data of our pings: one asks whether the client is there, one follows GOAWAY.
var (
	pingAlive   = [8]byte{'a', 'l', 'i', 'v', 'e'}
	pingLeaving = [8]byte{'l', 'e', 'a', 'v', 'e'}
)

// callConn is a connection of the fast path. One goroutine reads it. It waits
// for whole frames, so that a deadline that passes harms nothing: that is how it
// comes to look at the clock.
type callConn struct {
	*calls
	conn net.Conn

	// What only the reader uses.
	r        *bufio.Reader
	fr       *http2.Framer // of frames but DATA and HEADERS
	fields   *hpack.Decoder
	head     callHead  // decoded last
	readBy   time.Time // the deadline set
	heard    time.Time // when bytes came last
	pinged   time.Time // when we asked; zero after the answer
	called   time.Time // when a call began last
	leaveBy  time.Time // set once GOAWAY is announced
	unheld   uint32    // received, and not yet given back to connWindow
	lastPing time.Time
	strikes  int
	earliest time.Time // the deadline of a call, or before all of them

	sender
}

// sender is what the reader and the workers share.
type sender struct {
	mu      sync.Mutex
	streams map[uint32]*call // open, by stream
	active  int              // calls not finished; those reset count until they are
	last    uint32           // stream begun last
	rested  time.Time        // when active became 0
	out     []byte           // frames to be written
	spare   []byte
	writing bool
	broken  bool // nothing can be written any more
	leaving bool // no stream after last is served; ends with active
	sent    bool // frames that are not pings, since the client's last ping

	writeBy       time.Time
	window        int64 // of the connection, as the client gives it
	initialWindow int64 // of its new streams
	waiting       []*call
	table         headerTable
}

func newCallConn(s *calls, conn net.Conn) *callConn {
	c := &callConn{calls: s, conn: conn, r: bufio.NewReaderSize(conn, callBuffer)}
	c.fr = http2.NewFramer(io.Discard, c.r)
	c.fr.SetReuseFrames()
	c.fields = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if c.head.field(&f); c.head.size > maxSniff {
			c.fields.SetEmitEnabled(false)
		}
	})
	c.fields.SetMaxStringLength(maxSniff)
	c.heard = time.Now()
	c.called, c.rested, c.earliest = c.heard, c.heard, c.heard
	c.streams = map[uint32]*call{}
	c.window, c.initialWindow = 65535, 65535
	return c
}

// serve reads frames until the connection ends.
func (c *callConn) serve() {
	defer c.end()
	err := c.open()
	for err == nil {
		err = c.next()
	}
	var fatal *fatalError
	if errors.As(err, &fatal) {
		c.in.logger.Debug("close gRPC connection", "from", c.conn.RemoteAddr().String(), "err", err)
		c.goAway(c.last, fatal.code, fatal.text)
		c.flush(false)
		// Closed with bytes unread, the connection would be reset, and the client
		// might never see why.
		_ = closeWrite(c.conn)
		_ = c.conn.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, c.conn, mebibyte)
	}
}

// end gives up the calls that are left: nobody hears their answers.
func (c *callConn) end() {
	_ = c.conn.Close()
	c.mu.Lock()
	c.broken = true
	var lost []*call
	for _, k := range c.streams {
		switch {
		case k.whole:
			k.ctx.end(context.Canceled)
		case !k.done:
			lost = append(lost, k)
		}
	}
	c.streams, c.waiting = nil, nil
	c.mu.Unlock()
	for _, k := range lost {
		k.abandon()
	}
}

// fatalError ends a connection, with GOAWAY.
type fatalError struct {
	code http2.ErrCode
	text string
}

func (e *fatalError) Error() string { return fmt.Sprintf("%v: %s", e.code, e.text) }

func fatal(code http2.ErrCode, format string, args ...any) error {
	return &fatalError{code, fmt.Sprintf(format, args...)}
}

// open says what we allow, and checks how the client begins. The sniffer may have
// sent SETTINGS before; these add to them.
func (c *callConn) open() error {
	c.mu.Lock()
	c.out = appendSettings(c.out,
		http2.Setting{ID: http2.SettingMaxFrameSize, Val: maxFrame},
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: c.maxStreams()},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxSniff})
	c.out = appendWindowUpdate(c.out, 0, connWindow-65535)
	c.mu.Unlock()
	b, err := c.wait(len(preface) + frameHeaderLen)
	if err != nil {
		return err
	}
	if string(b[:len(preface)]) != http2.ClientPreface {
		return fatal(http2.ErrCodeProtocol, "no HTTP/2 preface")
	}
	if h := parseFrameHeader(b[len(preface):]); h.Type != http2.FrameSettings || h.Flags.Has(http2.FlagSettingsAck) {
		return fatal(http2.ErrCodeProtocol, "first frame is %v, not SETTINGS", h.Type)
	}
	_, err = c.r.Discard(len(preface))
	return err
}

func (c *callConn) maxStreams() uint32 { return uint32(min(c.in.limits.Requests, 1<<20)) }

// wait returns n bytes without reading them off. What was to be sent is sent when
// they are not there yet.
func (c *callConn) wait(n int) ([]byte, error) {
	if c.r.Buffered() >= n {
		return c.r.Peek(n) // Fast path.
	}
	c.flush(false)
	if c.earliest.Before(c.readBy) || c.readBy.IsZero() {
		if err := c.look(time.Now()); err != nil {
			return nil, err
		}
	}
	for {
		b, err := c.r.Peek(n)
		now := time.Now()
		if err == nil {
			c.heard = now
			return b, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
		if err := c.look(now); err != nil {
			return nil, err
		}
	}
}

// next handles one frame.
func (c *callConn) next() error {
	b, err := c.wait(frameHeaderLen)
	if err != nil {
		return err
	}
	h := parseFrameHeader(b)
	if h.Length > maxFrame {
		return fatal(http2.ErrCodeFrameSize, "frame of %d bytes, at most %d are allowed", h.Length, maxFrame)
	}
	n := frameHeaderLen + int(h.Length)
	if b, err = c.wait(n); err != nil {
		return err
	}
	if h.Type == http2.FrameData { // Fast path: from the buffer to the message.
		err = c.data(h, b[frameHeaderLen:])
		_, _ = c.r.Discard(n) // all of it is there
		return err
	}
	if h.Type == http2.FrameHeaders {
		return c.headers(h, n)
	}
	f, err := c.fr.ReadFrame()
	if err != nil {
		return c.badFrame(err)
	}
	return c.handle(f)
}

// waitBlock waits until the header block that begins with a frame of n bytes is
// whole, and returns its length with all frames.
func (c *callConn) waitBlock(h http2.FrameHeader, n int) (int, error) {
	for id := h.StreamID; !h.Flags.Has(http2.FlagHeadersEndHeaders); {
		if n+frameHeaderLen+maxFrame > callBuffer {
			return 0, fatal(http2.ErrCodeEnhanceYourCalm, "header block is larger than %d bytes", n)
		}
		b, err := c.wait(n + frameHeaderLen)
		if err != nil {
			return 0, err
		}
		h = parseFrameHeader(b[n:])
		switch {
		case h.Type != http2.FrameContinuation || h.StreamID != id:
			return 0, fatal(http2.ErrCodeProtocol, "header block of stream %d is not continued", id)
		case h.Length > maxFrame:
			return 0, fatal(http2.ErrCodeFrameSize, "frame of %d bytes, at most %d are allowed", h.Length, maxFrame)
		}
		n += frameHeaderLen + int(h.Length)
		if _, err := c.wait(n); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// decode reads a header block into head. The decoder's table is kept in step even
// where the fields are no good.
func (c *callConn) decode(first http2.FrameHeader, n int) error {
	b, err := c.r.Peek(n)
	if err != nil {
		return err
	}
	c.head = callHead{}
	c.fields.SetEmitEnabled(true)
	part, err := headerFragment(first, b[frameHeaderLen:frameHeaderLen+int(first.Length)])
	if err != nil {
		return fatal(http2.ErrCodeProtocol, "%v", err)
	}
	for b = b[frameHeaderLen+int(first.Length):]; ; {
		if _, err := c.fields.Write(part); err != nil {
			return fatal(http2.ErrCodeCompression, "%v", err)
		}
		if len(b) == 0 {
			break
		}
		h := parseFrameHeader(b)
		part, b = b[frameHeaderLen:frameHeaderLen+int(h.Length)], b[frameHeaderLen+int(h.Length):]
	}
	if err := c.fields.Close(); err != nil {
		return fatal(http2.ErrCodeCompression, "%v", err)
	}
	_, err = c.r.Discard(n)
	return err
}

// badFrame sorts what the Framer says.
func (c *callConn) badFrame(err error) error {
	var stream http2.StreamError
	var conn http2.ConnectionError
	switch {
	case errors.As(err, &stream):
		c.reset(stream.StreamID, stream.Code)
		return nil
	case errors.As(err, &conn):
		return fatal(http2.ErrCode(conn), "%v", errors.Join(err, c.fr.ErrorDetail()))
	}
	return err
}

func (c *callConn) handle(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.RSTStreamFrame:
		c.forget(f.StreamID)
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PingFrame:
		return c.ping(f)
	case *http2.WindowUpdateFrame:
		return c.moreWindow(f.StreamID, int64(f.Increment))
	}
	return nil // PRIORITY, GOAWAY, and what is not known (RFC 9113, section 4.1)
}

// data adds to the message of a call. Data of a stream that is gone counts for the
// connection's window all the same.
func (c *callConn) data(h http2.FrameHeader, b []byte) error {
	if h.StreamID == 0 {
		return fatal(http2.ErrCodeProtocol, "DATA without a stream")
	}
	if c.unheld += h.Length; c.unheld >= connWindow/4 {
		c.control(func(out []byte) []byte { return appendWindowUpdate(out, 0, c.unheld) })
		c.unheld = 0
	}
	if h.Flags.Has(http2.FlagDataPadded) {
		if len(b) == 0 || int(b[0]) >= len(b) {
			return fatal(http2.ErrCodeProtocol, "DATA frame has more padding than content")
		}
		b = b[1 : len(b)-int(b[0])]
	}
	k := c.stream(h.StreamID)
	if k == nil {
		return nil
	}
	if k.whole {
		c.reset(h.StreamID, http2.ErrCodeStreamClosed)
		return nil
	}
	if k.unheld += h.Length; k.unheld > streamWindow {
		c.reset(h.StreamID, http2.ErrCodeFlowControl)
		return nil
	}
	ends := h.Flags.Has(http2.FlagDataEndStream)
	if err := k.take(b); err != nil {
		k.refuse(err, ends)
		return nil
	}
	if ends {
		k.complete()
		return nil
	}
	if k.unheld >= streamWindow/4 {
		c.control(func(out []byte) []byte { return appendWindowUpdate(out, k.id, k.unheld) })
		k.unheld = 0
	}
	return nil
}

// headers begins a call. The tests and their order are grpc-go's.
func (c *callConn) headers(first http2.FrameHeader, n int) error {
	n, err := c.waitBlock(first, n)
	if err != nil {
		return err
	}
	if err := c.decode(first, n); err != nil {
		return err
	}
	id := first.StreamID
	c.mu.Lock()
	last, leaving, full := c.last, c.leaving, c.active >= int(c.maxStreams())
	c.mu.Unlock()
	if id%2 != 1 || id <= last {
		return fatal(http2.ErrCodeProtocol, "received an illegal stream id: %d", id)
	}
	if leaving {
		return nil
	}
	c.called = c.heard
	head := &c.head
	k := &call{conn: c, id: id, ended: first.Flags.Has(http2.FlagHeadersEndStream), contentType: head.grpcType()}
	c.begin(k)
	st, httpStatus := head.check()
	switch {
	case head.malformed || head.connection:
		c.reset(id, http2.ErrCodeProtocol)
	case head.size > maxSniff:
		c.reset(id, http2.ErrCodeFrameSize)
	case st == nil && full:
		c.reset(id, http2.ErrCodeRefusedStream)
	case st == nil && head.method != http.MethodPost:
		k.answer(&answer{status: notPost(head.method), http: http.StatusMethodNotAllowed})
	case st != nil:
		k.answer(&answer{status: st, http: httpStatus})
	default:
		k.open(head)
	}
	return nil
}
