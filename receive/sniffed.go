package receive

import (
	"net"

	"golang.org/x/net/http2"
)

// sniffedConn yields the bytes that sniff read, then the rest. While filter is
// set, what comes passes through it.
type sniffedConn struct {
	net.Conn
	replay []byte
	filter *ackFilter
	path   string // of the first request, when it is HTTP/2
}

// CloseWrite is that of the connection underneath.
func (c *sniffedConn) CloseWrite() error { return closeWrite(c.Conn) }

// Read is called by one goroutine at a time, as servers do.
func (c *sniffedConn) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if len(c.replay) > 0 {
			n := copy(p, c.replay)
			c.replay = c.replay[n:]
			return n, nil
		}
		c.replay = nil
		if c.filter == nil {
			break // Fast path: all but the first moments of a connection.
		}
		out, done, err := c.filter.read(c.Conn)
		c.replay = out
		if done {
			c.filter = nil
		}
		if err != nil && len(out) == 0 {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

// ackFilter takes one acknowledgement of SETTINGS out of a stream of frames.
// It withholds a frame's header until it is complete, nothing else.
type ackFilter struct {
	pending []byte // read, not yet looked at; then an incomplete frame header
	payload int    // bytes left of the frame we are in
	buf     [4096]byte
}

// read returns the next bytes to pass on, and done once the acknowledgement
// was found. The bytes are good until the next call.
func (f *ackFilter) read(c net.Conn) (out []byte, done bool, err error) {
	in := f.pending
	f.pending = nil
	if len(in) < frameHeaderLen && f.payload == 0 || len(in) == 0 {
		have := copy(f.buf[:], in)
		n, err := c.Read(f.buf[have:])
		if n == 0 && err != nil {
			f.pending = f.buf[:have]
			return nil, false, err
		}
		in = f.buf[:have+n]
	}
	out = make([]byte, 0, len(in))
	for len(in) > 0 {
		if f.payload > 0 {
			n := min(f.payload, len(in))
			out, in, f.payload = append(out, in[:n]...), in[n:], f.payload-n
			continue
		}
		if len(in) < frameHeaderLen {
			f.pending = append([]byte(nil), in...)
			return out, false, nil
		}
		h := parseFrameHeader(in)
		if h.Type == http2.FrameSettings && isSettingsAck(h) {
			return append(out, in[frameHeaderLen:]...), true, nil
		}
		out, in, f.payload = append(out, in[:frameHeaderLen]...), in[frameHeaderLen:], int(h.Length)
	}
	return out, false, nil
}
