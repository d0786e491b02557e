package receive

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// answer is a message and success, or a status and no message ("Trailers-Only" of
// gRPC over HTTP2). It is not changed, so many calls may share one.
type answer struct {
	message string         // with its prefix
	status  *status.Status // nil: success
	http    int            // the HTTP status; 0: 200
}

// control adds frames that are no answers.
func (c *callConn) control(add func([]byte) []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = add(c.out)
}

func (c *callConn) goAway(last uint32, code http2.ErrCode, text string) {
	c.control(func(out []byte) []byte { return appendGoAway(out, last, code, text) })
}

// flush writes what there is to write, unless somebody is at it: then that one
// writes this too. A worker yields first: calls that are stored together are
// answered one after the other, and their answers leave together.
func (c *callConn) flush(yield bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing {
		return
	}
	c.writing = true
	for len(c.out) > 0 && !c.broken {
		if yield {
			c.mu.Unlock()
			runtime.Gosched()
			c.mu.Lock()
		}
		b := c.out
		c.out = c.spare[:0]
		c.mu.Unlock()
		err := c.write(b)
		c.mu.Lock()
		if c.spare = b; cap(b) > callBuffer {
			c.spare = nil
		}
		if err != nil {
			c.broken = true
			_ = c.conn.Close() // the reader hears of it
		}
	}
	c.writing = false
	if c.leaving && c.active == 0 && !c.broken {
		_ = closeWrite(c.conn) // the client closes its side, or look does
	}
}

// write is called by one goroutine at a time. A deadline that is far enough away
// is left alone.
func (c *callConn) write(b []byte) error {
	d := 2 * c.in.limits.RequestTimeout
	if by := time.Now().Add(d); by.Sub(c.writeBy) > d/2 {
		c.writeBy = by
		if err := c.conn.SetWriteDeadline(by); err != nil {
			return err
		}
	}
	_, err := c.conn.Write(b)
	return err
}

// begin opens the stream of a call.
func (c *callConn) begin(k *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = k.id
	c.active++
	k.window = c.initialWindow
	c.streams[k.id] = k
}

func (c *callConn) stream(id uint32) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.streams[id]; k != nil && k.reply == nil {
		return k
	}
	return nil
}

// finish answers a call. One that was reset meanwhile is only counted.
func (c *callConn) finish(k *call, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[k.id] != k {
		c.rest()
		return
	}
	k.reply = a
	if !c.send(k) {
		c.waiting = append(c.waiting, k)
	}
}

// rest counts a call as finished. It needs mu.
func (c *callConn) rest() {
	if c.active--; c.active == 0 {
		c.rested = time.Now()
	}
}

// send sends as much of an answer as the windows allow, and reports whether that
// is all of it. It needs mu.
func (c *callConn) send(k *call) bool {
	a := k.reply
	c.sent = true
	if a.status != nil {
		c.out = appendTrailersOnly(c.out, k.id, c.refusalBlock(k))
		return c.close(k)
	}
	if !k.begun {
		k.begun = true
		c.out = c.table.appendTaken(c.out, k.id, k.contentType)
	}
	for k.sent < len(a.message) {
		n := min(len(a.message)-k.sent, int(min(c.window, k.window)))
		if n <= 0 {
			return false
		}
		c.out = appendFrameHeader(c.out, n, http2.FrameData, 0, k.id)
		c.out = append(c.out, a.message[k.sent:k.sent+n]...)
		k.sent += n
		c.window -= int64(n)
		k.window -= int64(n)
	}
	c.out = c.table.appendSuccess(c.out, k.id)
	return c.close(k)
}

// close ends a stream. A client that has not said all is told that it need not.
func (c *callConn) close(k *call) bool {
	if !k.ended {
		c.out = appendReset(c.out, k.id, http2.ErrCodeNo)
	}
	delete(c.streams, k.id)
	c.rest()
	return true
}

// resume sends answers that waited for a window. It needs mu.
func (c *callConn) resume() {
	waiting := c.waiting
	c.waiting = c.waiting[:0]
	for _, k := range waiting {
		if c.streams[k.id] == k && !c.send(k) {
			c.waiting = append(c.waiting, k)
		}
	}
	clear(waiting[len(c.waiting):])
}

// reset ends a stream by our will.
func (c *callConn) reset(id uint32, code http2.ErrCode) {
	c.control(func(out []byte) []byte { return appendReset(out, id, code) })
	c.forget(id)
}

// forget ends a stream without an answer. A call that is with a worker counts until
// that is done with it.
func (c *callConn) forget(id uint32) {
	c.mu.Lock()
	k := c.streams[id]
	delete(c.streams, id)
	working := k != nil && k.whole && k.reply == nil
	if k != nil && !working {
		c.rest()
	}
	if k != nil && k.reply != nil {
		c.waiting = slices.DeleteFunc(c.waiting, func(w *call) bool { return w == k })
	}
	c.mu.Unlock()
	switch {
	case working:
		k.ctx.end(context.Canceled)
	case k != nil && !k.whole && !k.done:
		k.abandon()
	}
}

func (c *callConn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			var conn http2.ConnectionError
			errors.As(err, &conn)
			return fatal(http2.ErrCode(conn), "invalid setting %v", s)
		}
		switch s.ID {
		case http2.SettingInitialWindowSize:
			return c.setInitialWindow(int64(s.Val))
		case http2.SettingHeaderTableSize:
			c.table.limit(s.Val)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.out = appendFrameHeader(c.out, 0, http2.FrameSettings, http2.FlagSettingsAck, 0)
	c.resume()
	return c.bounded()
}

// setInitialWindow moves the windows of open streams too (RFC 9113, section 6.9.2).
func (c *callConn) setInitialWindow(n int64) error {
	change := n - c.initialWindow
	c.initialWindow = n
	for _, k := range c.streams {
		if k.window += change; k.window > math.MaxInt32 {
			return fatal(http2.ErrCodeFlowControl, "window of stream %d is too large", k.id)
		}
	}
	return nil
}

func (c *callConn) moreWindow(id uint32, n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id == 0 {
		if c.window += n; c.window > math.MaxInt32 {
			return fatal(http2.ErrCodeFlowControl, "window of the connection is too large")
		}
		c.resume()
		return nil
	}
	k := c.streams[id]
	if k == nil {
		return nil
	}
	if k.window += n; k.window > math.MaxInt32 {
		c.mu.Unlock()
		c.reset(id, http2.ErrCodeFlowControl)
		c.mu.Lock()
		return nil
	}
	c.resume()
	return nil
}

// ping answers pings, and ends a connection that sends too many of them.
func (c *callConn) ping(f *http2.PingFrame) error {
	if f.IsAck() {
		if f.Data == pingLeaving && !c.leaveBy.IsZero() {
			c.goLast(c.heard)
		}
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = appendPing(c.out, true, f.Data)
	now := time.Now()
	early := now.Before(c.lastPing.Add(pingPeriod))
	c.lastPing = now
	switch {
	case c.sent: // it may be asking for what we just sent
		c.sent = false
		c.strikes = 0
	case early:
		if c.strikes++; c.strikes > pingStrikes {
			return fatal(http2.ErrCodeEnhanceYourCalm, "too_many_pings")
		}
	}
	return c.bounded()
}

// bounded ends a connection whose client asks and does not read. It needs mu.
func (c *callConn) bounded() error {
	if len(c.out) > maxUnsent {
		return fatal(http2.ErrCodeEnhanceYourCalm, "%d bytes of answers are not read", len(c.out))
	}
	return nil
}

// headerTable is the client's dynamic table of header fields, as far as we fill it:
// with the two fields that every success has. Any other field is sent as it is.
type headerTable struct {
	off    bool // it is too small, or was changed
	shrink bool // and that is to be said
	size   int  // fields
	// Their places, counted from the first added; 0: not added.
	contentType, grpcStatus int
}

const (
	indexStatusOK = 0x80 | 8
	indexNewest   = 0x80 | 62 // of the dynamic table
	tableSizeZero = 0x20
)

// The literal fields, to be indexed and not (RFC 7541, sections 6.2.1 and 6.2.2).
const (
	addContentType  = "\x5f\x10" + typeGRPC     // 0x40 + 31
	onlyContentType = "\x0f\x10\x10" + typeGRPC // 15 + 16 = 31
	addGRPCStatus   = "\x40\x0bgrpc-status\x010"
	onlyGRPCStatus  = "\x00\x0bgrpc-status\x010"
)

// limit is the client's setting. All but the usual size, or more, is too rare to
// make anything of.
func (t *headerTable) limit(n uint32) {
	if n < 4096 && !t.off {
		t.off, t.shrink = true, true
	}
}

func (t *headerTable) appendShrink(b []byte) []byte {
	if t.shrink {
		t.shrink = false
		b = append(b, tableSizeZero)
	}
	return b
}

// appendIndexed appends a field by its place in the table, or adds it there.
func (t *headerTable) appendIndexed(b []byte, place *int, add, only string) []byte {
	switch {
	case t.off:
		return append(b, only...)
	case *place > 0:
		return append(b, byte(indexNewest+t.size-*place))
	}
	t.size++
	*place = t.size
	return append(b, add...)
}

// appendTaken appends the headers of a success.
func (t *headerTable) appendTaken(out []byte, id uint32, contentType string) []byte {
	at := len(out)
	out = appendFrameHeader(out, 0, http2.FrameHeaders, http2.FlagHeadersEndHeaders, id)
	out = append(t.appendShrink(out), indexStatusOK)
	if contentType == typeGRPC {
		out = t.appendIndexed(out, &t.contentType, addContentType, onlyContentType)
	} else {
		out = appendField(out, "content-type", contentType)
	}
	return endFrame(out, at)
}

// appendSuccess appends the trailers of a success.
func (t *headerTable) appendSuccess(out []byte, id uint32) []byte {
	at := len(out)
	out = appendFrameHeader(out, 0, http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, id)
	out = t.appendIndexed(t.appendShrink(out), &t.grpcStatus, addGRPCStatus, onlyGRPCStatus)
	return endFrame(out, at)
}

// refusalBlock are the headers of an answer without a message.
func (c *callConn) refusalBlock(k *call) []byte {
	a := k.reply
	b := c.table.appendShrink(nil)
	if a.http == 0 || a.http == 200 {
		b = append(b, indexStatusOK)
	} else {
		b = appendField(b, ":status", strconv.Itoa(a.http))
	}
	b = appendField(b, "content-type", k.contentType)
	b = appendField(b, "grpc-status", strconv.Itoa(int(a.status.Code())))
	b = appendField(b, "grpc-message", percentEncode(a.status.Message()))
	if p := a.status.Proto(); len(p.GetDetails()) > 0 {
		if raw, err := proto.Marshal(p); err == nil {
			b = appendField(b, "grpc-status-details-bin", base64.RawStdEncoding.EncodeToString(raw))
		}
	}
	return b
}

// appendTrailersOnly appends a header block that ends a stream, in as many frames
// as it needs.
func appendTrailersOnly(out []byte, id uint32, block []byte) []byte {
	kind, flags := http2.FrameHeaders, http2.FlagHeadersEndStream
	for {
		n := min(len(block), maxFrame)
		if n == len(block) {
			flags |= http2.FlagHeadersEndHeaders
		}
		out = appendFrameHeader(out, n, kind, flags, id)
		out = append(out, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return out
		}
		kind, flags = http2.FrameContinuation, 0
	}
}

// appendField appends a header field that is not to be indexed.
func appendField(b []byte, name, value string) []byte {
	b = append(b, 0)
	b = appendText(b, name)
	return appendText(b, value)
}

// appendText appends a string without Huffman coding; its length has a 7-bit prefix.
func appendText(b []byte, s string) []byte {
	n := len(s)
	if n < 127 {
		return append(append(b, byte(n)), s...)
	}
	b = append(b, 127)
	for n -= 127; n >= 128; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(append(b, byte(n)), s...)
}

// percentEncode encodes a grpc-message (gRPC over HTTP2, "Responses").
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b []byte
	for _, c := range validText(s) {
		if c >= ' ' && c <= '~' && c != '%' {
			b = append(b, byte(c))
			continue
		}
		var raw [utf8.UTFMax]byte
		for _, x := range raw[:utf8.EncodeRune(raw[:], c)] {
			b = append(b, '%', hex[x>>4], hex[x&15])
		}
	}
	return string(b)
}

func appendFrameHeader(b []byte, n int, kind http2.FrameType, flags http2.Flags, id uint32) []byte {
	return append(b, byte(n>>16), byte(n>>8), byte(n), byte(kind), byte(flags), byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// endFrame sets the length of a frame that began at.
func endFrame(b []byte, at int) []byte {
	n := len(b) - at - frameHeaderLen
	b[at], b[at+1], b[at+2] = byte(n>>16), byte(n>>8), byte(n)
	return b
}

func appendSettings(b []byte, all ...http2.Setting) []byte {
	b = appendFrameHeader(b, 6*len(all), http2.FrameSettings, 0, 0)
	for _, s := range all {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	return b
}

func appendWindowUpdate(b []byte, id, n uint32) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHeader(b, 4, http2.FrameWindowUpdate, 0, id), n)
}

func appendReset(b []byte, id uint32, code http2.ErrCode) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHeader(b, 4, http2.FrameRSTStream, 0, id), uint32(code))
}

func appendPing(b []byte, ack bool, data [8]byte) []byte {
	var flags http2.Flags
	if ack {
		flags = http2.FlagPingAck
	}
	return append(appendFrameHeader(b, 8, http2.FramePing, flags, 0), data[:]...)
}

func appendGoAway(b []byte, last uint32, code http2.ErrCode, text string) []byte {
	b = appendFrameHeader(b, 8+len(text), http2.FrameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, text...)
}
