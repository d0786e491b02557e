package receive

import (
	"bytes"
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

// This file distinguishes gRPC from HTTP on one port.
//
// The first bytes distinguish HTTP/1.x from HTTP/2, which begins with its preface. Within HTTP/2 (with prior
// knowledge: TLS ends before the sniffer) only the content-type of the first request distinguishes gRPC from
// HTTP. So the sniffer reads frames up to the first HEADERS, and the server that gets the connection reads
// those bytes again. gRPC goes to grpc-go's own transport, because through net/http it would cost several times
// as much.
//
// Most clients send their first request at once, and the sniffer never writes a byte. But a gRPC channel may
// stay connected for minutes before its first call. Meanwhile the client needs a working HTTP/2 connection: the
// server's SETTINGS, an acknowledgement of its own SETTINGS, and answers to its PINGs. So before the sniffer
// waits for an HTTP/2 client, it sends a greeting with SETTINGS, and then answers such frames itself.
//
// Invariant: client and server each see one correct HTTP/2 conversation. But the server that takes over does
// not know of the greeting, and sends the same frames again. So three filters change the stream:
//
//   - The server gets all the client's SETTINGS as one frame, which it acknowledges once. The client has
//     already received an acknowledgement, so ackDropper removes the server's.
//   - The client acknowledges the greeting. The server did not send the greeting, and net/http would treat
//     this as a protocol error, so ackFilter removes it.
//   - The sniffer has answered the PINGs, so it does not pass them on.
//
// Locks: none. One goroutine sniffs a connection before any server has it; Shutdown closes the connection to
// stop it.
//
// Rejected: to start grpc-go's transport always and pass on the connections that it refuses, because it answers
// before they could be passed on; to decide by a pause, which is slow or wrong; to treat silence as gRPC, which
// leaves the client without answers until then.

const (
	// maxHead is the largest header block of a request.
	maxHead = 64 << 10
	// maxSniff limits the bytes kept until the first header block is complete.
	maxSniff = maxHead + 32<<10
	// maxGreeted limits the frames before the first request.
	maxGreeted = 1000
)

// sniffError is the reason why a connection is not served. The client also gets text.
type sniffError struct {
	code http2.ErrCode // for a client that uses HTTP/2
	text string
	tls  bool // the client uses TLS
	late bool // the client sent too little in time
}

func (e *sniffError) Error() string { return e.text }

// sniffer reads ahead. buf[:pos] is parsed, buf[pos:] is not yet.
type sniffer struct {
	conn    net.Conn
	limits  *Limits
	streams uint32 // number of concurrent calls that the greeting allows

	buf []byte
	pos int

	began    time.Time // of the connection
	partial  time.Time // start of the wait for the end of a frame or header block; zero: not waiting
	greeted  bool      // the greeting was sent
	answered bool      // and acknowledged
	frames   int

	seen     bool   // the client's SETTINGS have arrived
	owed     int    // number of them not yet acknowledged
	settings []byte // their payloads, in order
	kept     []byte // the other frames, for the server

	contentType string // of the first request, in HTTP/2
}

// sniff recognises a client's protocol. Afterwards c yields all bytes from the first on.
func (c *conn) sniff(limits *Limits) (Protocol, error) {
	s := &sniffer{conn: c.Conn, limits: limits, streams: limits.streams(), began: time.Now()}
	spoken, err := s.protocol()
	if err != nil {
		s.refuse(err)
		return "", err
	}
	if err := c.Conn.SetDeadline(time.Time{}); err != nil {
		return "", fmt.Errorf("clear deadline: %w", err)
	}
	c.http2 = bytes.HasPrefix(s.buf, preface)
	c.replay, c.acks, c.answer = s.handOver()
	return spoken, nil
}

func (s *sniffer) protocol() (Protocol, error) {
	for len(s.buf) < len(preface) {
		if err := s.more(); err != nil {
			return "", err
		}
		if err := checkFirst(s.buf[0]); err != nil {
			return "", err
		}
		if n := min(len(s.buf), len(preface)); !bytes.Equal(s.buf[:n], preface[:n]) {
			return OTLPHTTP, checkLine(s.buf)
		}
	}
	if !bytes.HasPrefix(s.buf, preface) {
		return OTLPHTTP, checkLine(s.buf)
	}
	s.pos = len(preface)
	if err := s.firstRequest(); err != nil {
		return "", err
	}
	if strings.HasPrefix(s.contentType, "application/grpc") {
		return OTLPGRPC, nil
	}
	return OTLPHTTP, nil
}

// checkFirst tests the first byte: every HTTP method begins with a letter.
func checkFirst(b byte) error {
	switch {
	case b == 0x16: // a TLS handshake record
		return &sniffError{tls: true, text: "this port does not speak TLS: use http:// or an insecure gRPC channel, or give etude a certificate with --tls-cert and --tls-key"}
	case b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z':
		return nil
	}
	return &sniffError{text: fmt.Sprintf("malformed: the first byte is 0x%02x, which begins neither HTTP/1.1 nor HTTP/2; this port takes OTLP over gRPC or over HTTP", b)}
}

// checkLine tests the first line, as far as it has arrived. net/http would refuse a malformed request without
// naming the protocols of this port.
func checkLine(b []byte) error {
	line, _, whole := bytes.Cut(b, []byte("\n"))
	printable := bytes.IndexFunc(bytes.TrimSuffix(line, []byte("\r")), func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
	if printable && (!whole || bytes.Contains(line, []byte(" HTTP/"))) {
		return nil
	}
	return &sniffError{text: fmt.Sprintf("malformed: the first line %q is not an HTTP request; this port takes spans over HTTP, and OTLP's ports over gRPC", line[:min(len(line), 40)])}
}

// firstRequest reads frames until the first header block is complete.
func (s *sniffer) firstRequest() error {
	var block []byte
	inBlock := false
	for {
		h, payload, err := s.frame()
		if err != nil {
			return err
		}
		switch {
		case h.Type == http2.FrameHeaders && !inBlock:
			if block, err = headerFragment(h, payload); err != nil {
				return err
			}
			block, inBlock = slices.Clone(block), true
		case h.Type == http2.FrameContinuation && inBlock:
			block = append(block, payload...)
		case inBlock:
			return &sniffError{code: http2.ErrCodeProtocol, text: "malformed: a header block is interrupted by another frame"}
		default:
			if err := s.beforeRequest(h, payload); err != nil {
				return err
			}
			s.partial = time.Time{}
			continue
		}
		s.keep(h, payload)
		if h.Flags.Has(http2.FlagHeadersEndHeaders) {
			return s.readHead(block)
		}
	}
}

// beforeRequest handles a frame before the first request.
func (s *sniffer) beforeRequest(h http2.FrameHeader, payload []byte) error {
	if s.frames++; s.frames > maxGreeted {
		return &sniffError{code: http2.ErrCodeEnhanceYourCalm, text: fmt.Sprintf("more than %d HTTP/2 frames before the first request", maxGreeted)}
	}
	switch {
	case h.Type == http2.FrameSettings && h.Flags.Has(http2.FlagSettingsAck):
		if s.greeted && !s.answered {
			s.answered = true
			return nil
		}
	case h.Type == http2.FrameSettings:
		s.seen = true
		s.settings = append(s.settings, payload...)
		if len(s.settings) > maxFrame {
			return &sniffError{code: http2.ErrCodeEnhanceYourCalm, text: "too many HTTP/2 settings before the first request"}
		}
		if s.owed++; s.greeted {
			return s.acknowledge(nil)
		}
		return nil // greet will acknowledge them
	case h.Type == http2.FramePing && !h.Flags.Has(http2.FlagPingAck) && h.Length == 8:
		if err := s.greet(); err != nil {
			return err
		}
		return s.write(append([]byte{0, 0, 8, byte(http2.FramePing), byte(http2.FlagPingAck), 0, 0, 0, 0}, payload...))
	case h.Type == http2.FrameGoAway:
		return errors.New("client went away before its first request")
	}
	s.keep(h, payload)
	return nil
}

func (s *sniffer) keep(h http2.FrameHeader, payload []byte) {
	s.kept = appendFrame(s.kept, h.Type, h.Flags, h.StreamID, payload)
}

// greet sends the SETTINGS once, and acknowledges those already received.
func (s *sniffer) greet() error {
	if s.greeted {
		return nil
	}
	s.greeted = true
	out := appendFrame(nil, http2.FrameSettings, 0, 0, []byte{0, byte(http2.SettingMaxConcurrentStreams), byte(s.streams >> 24), byte(s.streams >> 16), byte(s.streams >> 8), byte(s.streams)})
	return s.acknowledge(out)
}

// acknowledge writes out, followed by the outstanding acknowledgements.
func (s *sniffer) acknowledge(out []byte) error {
	for ; s.owed > 0; s.owed-- {
		out = append(out, settingsAck...)
	}
	return s.write(out)
}

func (s *sniffer) write(b []byte) error {
	if _, err := s.conn.Write(b); err != nil {
		return fmt.Errorf("answer before the first request: %w", err)
	}
	return nil
}

// frame reads one complete frame and skips it.
func (s *sniffer) frame() (http2.FrameHeader, []byte, error) {
	if err := s.need(frameHeaderLen); err != nil {
		return http2.FrameHeader{}, nil, err
	}
	h := parseFrameHeader(s.buf[s.pos:])
	if h.Length > maxFrame {
		return h, nil, &sniffError{code: http2.ErrCodeFrameSize, text: fmt.Sprintf("malformed: an HTTP/2 frame of %d bytes, the limit is %d", h.Length, maxFrame)}
	}
	end := frameHeaderLen + int(h.Length)
	if err := s.need(end); err != nil {
		return h, nil, err
	}
	payload := s.buf[s.pos+frameHeaderLen : s.pos+end]
	s.pos += end
	return h, payload, nil
}

func (s *sniffer) need(n int) error {
	for len(s.buf)-s.pos < n {
		if err := s.more(); err != nil {
			return err
		}
	}
	return nil
}

// more waits for bytes. An HTTP/2 client is greeted before the first wait, so later waits may discard the
// parsed bytes.
func (s *sniffer) more() error {
	if s.pos > 0 {
		if err := s.greet(); err != nil {
			return err
		}
		s.buf, s.pos = append(s.buf[:len(preface)], s.buf[s.pos:]...), len(preface)
		if s.partial.IsZero() && len(s.buf) > s.pos {
			s.partial = time.Now()
		}
	}
	if len(s.buf)+len(s.kept) >= maxSniff {
		return &sniffError{code: http2.ErrCodeEnhanceYourCalm, text: fmt.Sprintf("the request header is larger than the limit of %d bytes", maxHead)}
	}
	if err := s.conn.SetDeadline(s.until()); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	s.buf = slices.Grow(s.buf, 4096)
	n, err := s.conn.Read(s.buf[len(s.buf):cap(s.buf)])
	s.buf = s.buf[:len(s.buf)+n]
	if n > 0 {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &sniffError{code: http2.ErrCodeNo, text: "no request in time", late: true}
	}
	return fmt.Errorf("read first bytes: %w", err)
}

// until is the time up to which the client may stay silent: HeaderTimeout, or, after the SETTINGS have been
// exchanged, longer between two frames.
func (s *sniffer) until() time.Time {
	switch {
	case !s.partial.IsZero():
		return s.partial.Add(s.limits.HeaderTimeout)
	case s.seen && s.answered:
		return s.began.Add(s.limits.IdleTimeout)
	}
	return s.began.Add(s.limits.HeaderTimeout)
}

// handOver returns the bytes that the server reads again, and the two filters that hide the greeting (see
// above).
func (s *sniffer) handOver() (replay []byte, acks *ackFilter, answer *ackDropper) {
	if !s.greeted {
		return s.buf, nil, nil
	}
	replay = slices.Clone(preface)
	if s.seen {
		replay = appendFrame(replay, http2.FrameSettings, 0, 0, s.settings)
		answer = new(ackDropper)
	}
	replay = append(replay, s.kept...)
	if s.answered {
		return append(replay, s.buf[s.pos:]...), nil, answer
	}
	return replay, &ackFilter{pending: s.buf[s.pos:]}, answer
}

// refuse tells the client why it is not served, in the protocol that it seems to use.
func (s *sniffer) refuse(err error) {
	var e *sniffError
	if !errors.As(err, &e) {
		return
	}
	_ = s.conn.SetDeadline(time.Now().Add(lingerTime))
	switch {
	case s.pos > 0: // HTTP/2: GOAWAY {last stream, code, debug data}
		out := appendFrame(nil, http2.FrameGoAway, 0, 0, append([]byte{0, 0, 0, 0, 0, 0, 0, byte(e.code)}, e.text...))
		if !s.greeted {
			out = append(appendFrame(nil, http2.FrameSettings, 0, 0, nil), out...)
		}
		_, _ = s.conn.Write(out)
	case !e.late:
		_, _ = fmt.Fprintf(s.conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nContent-Length: %d\r\nConnection: close\r\n\r\n400 %s\n", len(e.text)+5, e.text)
	default:
		return
	}
	linger(s.conn)
}

// lingerTime is the time for which a connection that is about to be closed is still read.
const lingerTime = 500 * time.Millisecond

// linger reads the bytes that the client has already sent. Closing with unread bytes would reset the
// connection, and the client might never receive the answer.
func linger(c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	var buf [4096]byte
	for range maxSniff / len(buf) {
		if _, err := c.Read(buf[:]); err != nil {
			return
		}
	}
}

var settingsAck = []byte{0, 0, 0, byte(http2.FrameSettings), byte(http2.FlagSettingsAck), 0, 0, 0, 0}

func appendFrame(b []byte, t http2.FrameType, flags http2.Flags, stream uint32, payload []byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), byte(t), byte(flags), byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
	return append(b, payload...)
}

// headerFragment removes padding and priority from a HEADERS frame.
func headerFragment(h http2.FrameHeader, b []byte) ([]byte, error) {
	pad := 0
	if h.Flags.Has(http2.FlagHeadersPadded) && len(b) > 0 {
		pad, b = int(b[0]), b[1:]
	}
	if h.Flags.Has(http2.FlagHeadersPriority) {
		if len(b) < 5 {
			return nil, &sniffError{code: http2.ErrCodeFrameSize, text: "malformed: an HTTP/2 HEADERS frame is too short"}
		}
		b = b[5:]
	}
	if pad > len(b) {
		return nil, &sniffError{code: http2.ErrCodeProtocol, text: "malformed: an HTTP/2 HEADERS frame has more padding than content"}
	}
	return b[: len(b)-pad : len(b)-pad], nil
}

func (s *sniffer) readHead(block []byte) error {
	d := hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == "content-type" {
			s.contentType = f.Value
		}
	})
	d.SetMaxStringLength(maxSniff)
	if _, err := d.Write(block); err == nil {
		err = d.Close()
		if err == nil {
			return nil
		}
	}
	return &sniffError{code: http2.ErrCodeCompression, text: "malformed: the HTTP/2 request header cannot be decoded"}
}
