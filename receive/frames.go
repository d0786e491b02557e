package receive

import (
	"encoding/binary"
	"net"

	"golang.org/x/net/http2"
)

const (
	frameHeaderLen = 9
	// maxFrame is the largest frame that a client may send before it has received other SETTINGS (RFC 9113,
	// section 4.2).
	maxFrame = 16 << 10
)

var preface = []byte(http2.ClientPreface)

func parseFrameHeader(b []byte) http2.FrameHeader {
	return http2.FrameHeader{
		Length:   uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]),
		Type:     http2.FrameType(b[3]),
		Flags:    http2.Flags(b[4]),
		StreamID: binary.BigEndian.Uint32(b[5:]) & (1<<31 - 1),
	}
}

func isSettingsAck(h http2.FrameHeader) bool {
	return h.Type == http2.FrameSettings && h.Flags.Has(http2.FlagSettingsAck) && h.Length == 0
}

// frameWalker follows a stream of frames that arrives in pieces of any size.
type frameWalker struct {
	skip   int // bytes before the first frame
	header http2.FrameHeader
	head   [frameHeaderLen]byte
	have   int // bytes of head already read
	left   int // bytes of the payload still missing
}

// next consumes some bytes of p, at least one. header reports that a frame's header is now complete. Otherwise
// the bytes were part of a header or a payload.
func (w *frameWalker) next(p []byte) (n int, header bool) {
	switch {
	case w.skip > 0:
		n = min(w.skip, len(p))
		w.skip -= n
		return n, false
	case w.left > 0:
		n = min(w.left, len(p))
		w.left -= n
		return n, false
	}
	if w.have == frameHeaderLen {
		w.have = 0
	}
	n = copy(w.head[w.have:], p)
	if w.have += n; w.have < frameHeaderLen {
		w.header = http2.FrameHeader{}
		return n, false
	}
	w.header = parseFrameHeader(w.head[:])
	w.left = int(w.header.Length)
	return n, true
}

// ended reports whether the last consumed byte was the end of a frame.
func (w *frameWalker) ended() bool { return w.have == frameHeaderLen && w.left == 0 && w.skip == 0 }

// ackFilter removes one acknowledgement of SETTINGS from a stream of frames. It delays only incomplete frame
// headers.
type ackFilter struct {
	pending []byte // read but not yet parsed; later an incomplete frame header
	payload int    // remaining bytes of the current frame
	buf     [4096]byte
}

// read returns the next bytes to pass on. done reports that the acknowledgement was found. The bytes are valid
// until the next call.
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
		if isSettingsAck(h) {
			return append(out, in[frameHeaderLen:]...), true, nil
		}
		out, in, f.payload = append(out, in[:frameHeaderLen]...), in[frameHeaderLen:], int(h.Length)
	}
	return out, false, nil
}

// ackDropper removes the first acknowledgement of SETTINGS from a server's output, because the sniffer has
// already acknowledged them.
type ackDropper struct {
	frames frameWalker
	out    []byte
}

// filter returns the bytes to write for p, valid until the next call. done reports that the acknowledgement was
// dropped.
func (d *ackDropper) filter(p []byte) (out []byte, done bool) {
	d.out = d.out[:0]
	for len(p) > 0 {
		inPayload := d.frames.left > 0
		n, header := d.frames.next(p)
		switch {
		case header && isSettingsAck(d.frames.header):
			return append(d.out, p[n:]...), true
		case header:
			d.out = append(d.out, d.frames.head[:]...)
		case inPayload:
			d.out = append(d.out, p[:n]...)
		}
		p = p[n:]
	}
	return d.out, false
}
