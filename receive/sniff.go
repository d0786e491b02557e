package receive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Telling gRPC from HTTP.
//
// HTTP/1.x shows in the first bytes: anything but the HTTP/2 preface. Within
// HTTP/2 (with prior knowledge, as there is no TLS here) only the content-type
// of the first request tells, so sniff reads frames up to the first HEADERS,
// and whoever gets the connection reads those bytes again. gRPC goes to grpc-go's
// own transport: its way through net/http costs several times as much.
//
// The catch: many gRPC clients, grpc-go among them, send no HEADERS before they
// have seen the server's SETTINGS. So when a client falls silent after its own
// SETTINGS, sniff sends an empty SETTINGS frame (all defaults; RFC 9113, section
// 6.5, allows any number of them). The client acknowledges it, and that
// acknowledgement must not reach the server behind, which did not send the
// frame: net/http takes it for a protocol error. sniffedConn takes it out.
//
// Rejected: always starting grpc-go's transport and passing on what it refuses
// (it answers before we could), and sorting by a pause (slow or wrong).

const (
	frameHeaderLen = 9
	// maxFrame is the largest frame a client may send before it has seen other
	// SETTINGS (RFC 9113, section 4.2).
	maxFrame = 16 << 10
	// maxSniff bounds what is kept until the first HEADERS are complete.
	maxSniff = 64 << 10
)

var (
	preface       = []byte(http2.ClientPreface)
	emptySettings = []byte{0, 0, 0, byte(http2.FrameSettings), 0, 0, 0, 0, 0}
)

// sniff finds out what a client speaks. The returned connection yields all
// bytes from the first on; c must not be used any more.
func sniff(c net.Conn, timeout time.Duration) (net.Conn, Protocol, error) {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, "", fmt.Errorf("set deadline: %w", err)
	}
	s := &sniffer{conn: c}
	spoken, err := s.protocol()
	if err != nil {
		return nil, "", err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return nil, "", fmt.Errorf("clear deadline: %w", err)
	}
	return &sniffedConn{Conn: c, replay: s.take(), filter: s.filter(), path: s.path}, spoken, nil
}

// sniffer reads ahead. buf[:pos] has been understood, buf[pos:] not yet.
type sniffer struct {
	conn     net.Conn
	buf      []byte
	pos      int
	settings bool // the client's SETTINGS were seen
	asked    bool // our SETTINGS were sent
	answered bool // and acknowledged

	contentType, path string // of the first request, in HTTP/2
}

func (s *sniffer) protocol() (Protocol, error) {
	for len(s.buf) < len(preface) {
		if err := s.more(); err != nil {
			return "", err
		}
		if s.buf[0] == 0x16 {
			return "", errors.New("client speaks TLS, this port does not: use http:// or an insecure channel")
		}
		if n := min(len(s.buf), len(preface)); !bytes.Equal(s.buf[:n], preface[:n]) {
			return OTLPHTTP, nil
		}
	}
	if !bytes.HasPrefix(s.buf, preface) {
		return OTLPHTTP, nil
	}
	s.pos = len(preface)
	err := s.firstRequest()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && s.answered:
		// It exchanged SETTINGS and waits with its first call, as only gRPC
		// channels do. From here gRPC's own idle limit counts.
		return OTLPGRPC, nil
	case err != nil:
		return "", err
	case strings.HasPrefix(s.contentType, "application/grpc"):
		return OTLPGRPC, nil
	}
	return OTLPHTTP, nil
}

// firstRequest reads frames until the first header block is complete.
func (s *sniffer) firstRequest() error {
	var block []byte
	for {
		h, payload, err := s.frame()
		if err != nil {
			return err
		}
		switch h.Type {
		case http2.FrameSettings:
			s.settings = true
		case http2.FrameHeaders:
			block, err = headerFragment(h, payload)
			if err != nil {
				return err
			}
		case http2.FrameContinuation:
			block = append(block, payload...)
		default:
			continue
		}
		if h.Type != http2.FrameSettings && h.Flags.Has(http2.FlagHeadersEndHeaders) {
			return s.readHead(block)
		}
	}
}

// frame reads one whole frame and steps over it. Our acknowledgement is taken
// out of the buffer on the way.
func (s *sniffer) frame() (http2.FrameHeader, []byte, error) {
	for {
		if err := s.need(frameHeaderLen); err != nil {
			return http2.FrameHeader{}, nil, err
		}
		h := parseFrameHeader(s.buf[s.pos:])
		if h.Length > maxFrame {
			return h, nil, fmt.Errorf("HTTP/2 frame of %d bytes, at most %d are allowed", h.Length, maxFrame)
		}
		end := frameHeaderLen + int(h.Length)
		if err := s.need(end); err != nil {
			return h, nil, err
		}
		if s.asked && isSettingsAck(h) {
			s.buf = append(s.buf[:s.pos], s.buf[s.pos+end:]...)
			s.answered = true
			continue
		}
		payload := s.buf[s.pos+frameHeaderLen : s.pos+end]
		s.pos += end
		return h, payload, nil
	}
}

func (s *sniffer) need(n int) error {
	for len(s.buf)-s.pos < n {
		if err := s.more(); err != nil {
			return err
		}
	}
	return nil
}

// more reads what is there. Before it waits for a client that has sent its
// SETTINGS it sends ours, once.
func (s *sniffer) more() error {
	if s.settings && !s.asked {
		if _, err := s.conn.Write(emptySettings); err != nil {
			return fmt.Errorf("send SETTINGS: %w", err)
		}
		s.asked = true
	}
	if len(s.buf) >= maxSniff {
		return fmt.Errorf("no complete HTTP/2 request header in %d bytes", maxSniff)
	}
	s.buf = slices.Grow(s.buf, 4096)
	n, err := s.conn.Read(s.buf[len(s.buf):cap(s.buf)])
	s.buf = s.buf[:len(s.buf)+n]
	if n > 0 {
		return nil
	}
	return fmt.Errorf("read first bytes: %w", err)
}

// take returns the bytes to be read again. A filter takes over after pos, so
// what was not understood yet passes through it.
func (s *sniffer) take() []byte {
	if s.filter() == nil {
		return s.buf
	}
	return s.buf[:s.pos]
}

func (s *sniffer) filter() *ackFilter {
	if !s.asked || s.answered {
		return nil
	}
	return &ackFilter{pending: s.buf[s.pos:]}
}

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

// headerFragment strips padding and priority off a HEADERS frame.
func headerFragment(h http2.FrameHeader, b []byte) ([]byte, error) {
	pad := 0
	if h.Flags.Has(http2.FlagHeadersPadded) && len(b) > 0 {
		pad, b = int(b[0]), b[1:]
	}
	if h.Flags.Has(http2.FlagHeadersPriority) {
		if len(b) < 5 {
			return nil, errors.New("HTTP/2 HEADERS frame is too short")
		}
		b = b[5:]
	}
	if pad > len(b) {
		return nil, errors.New("HTTP/2 HEADERS frame has more padding than content")
	}
	return b[: len(b)-pad : len(b)-pad], nil
}

func (s *sniffer) readHead(block []byte) error {
	d := hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		switch f.Name {
		case "content-type":
			s.contentType = f.Value
		case ":path":
			s.path = f.Value
		}
	})
	d.SetMaxStringLength(maxSniff)
	if _, err := d.Write(block); err != nil {
		return fmt.Errorf("decode HTTP/2 request header: %w", err)
	}
	if err := d.Close(); err != nil {
		return fmt.Errorf("decode HTTP/2 request header: %w", err)
	}
	return nil
}
