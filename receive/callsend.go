package receive

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/status"
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
		c.out = appendTrailersOnly(c.out, k.id, c.table.refusalBlock(a, k.contentType))
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
