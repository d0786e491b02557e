package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxAnswer limits how much of an answer is read.
const maxAnswer = 1 << 20

// httpSender sends over a fixed number of connections. Each worker writes its requests and reads the answers
// itself. http.Transport, with two more goroutines per connection, would use as much CPU for small batches as
// the server.
type httpSender struct {
	target  target
	head    []byte // of a request, up to the value of Content-Length
	request *http.Request
	timeout time.Duration
	pool    *payloadPool
	packer  *packer        // nil: no compression
	conns   chan *httpConn // idle connections; nil for one that is not open
}

// httpConn is an open connection.
type httpConn struct {
	net.Conn
	r    *bufio.Reader
	used bool        // has served a request
	stop func() bool // stops watching the context
	head []byte
}

func newHTTPSender(o *IngestOptions, t target, connections int, pool *payloadPool) (*httpSender, error) {
	u, err := url.Parse(t.url)
	if err != nil {
		return nil, fmt.Errorf("read target: %w", err)
	}
	s := &httpSender{target: t, timeout: o.Timeout, pool: pool, conns: make(chan *httpConn, connections),
		request: &http.Request{Method: http.MethodPost}}
	s.head = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: etude-bench\r\nContent-Type: application/x-protobuf\r\n", u.RequestURI(), u.Host)
	if s.packer = newPacker(o.Compression, pool); s.packer != nil {
		s.head = append(s.head, "Content-Encoding: gzip\r\n"...)
	}
	if t.access.Authorization != "" {
		s.head = fmt.Appendf(s.head, "Authorization: %s\r\n", t.access.Authorization)
	}
	s.head = append(s.head, "Content-Length: "...)
	for range connections {
		s.conns <- nil
	}
	return s, nil
}

func (s *httpSender) close() {
	for range cap(s.conns) {
		if c := <-s.conns; c != nil {
			c.end()
		}
	}
}

func (s *httpSender) send(ctx context.Context, payload *[]byte) outcome {
	if s.packer != nil {
		payload = s.packer.pack(payload)
	}
	defer s.pool.Put(payload)
	c := <-s.conns
	defer func() { s.conns <- c }()
	for {
		again := c != nil && c.used
		out, err := s.exchange(ctx, &c, *payload)
		switch {
		case err == nil:
			return out
		case c != nil:
			c.end()
			c = nil
		}
		if !again || !isHangUp(err) {
			return transportFailure(err)
		}
		// The server may have closed an idle connection: retry on a new one.
	}
}

// isHangUp reports whether the peer closed the connection before it answered.
func isHangUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// exchange sends one request and reads its answer. It opens a connection if there is none. After an error the
// connection is unusable.
func (s *httpSender) exchange(ctx context.Context, conn **httpConn, payload []byte) (outcome, error) {
	c := *conn
	if c == nil {
		dialled, err := s.target.dial(ctx, "http/1.1")
		if err != nil {
			return outcome{}, err
		}
		c = &httpConn{Conn: dialled, r: bufio.NewReader(dialled)}
		c.stop = context.AfterFunc(ctx, func() { _ = dialled.Close() })
		*conn = c
	}
	if err := c.SetDeadline(time.Now().Add(s.timeout)); err != nil {
		return outcome{}, err
	}
	c.used = true
	c.head = strconv.AppendInt(append(c.head[:0], s.head...), int64(len(payload)), 10)
	c.head = append(c.head, "\r\n\r\n"...)
	parts := net.Buffers{c.head, payload}
	if _, err := parts.WriteTo(c.Conn); err != nil {
		return outcome{}, err
	}
	resp, err := http.ReadResponse(c.r, s.request)
	if err != nil {
		return outcome{}, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return outcome{}, err
	}
	_ = resp.Body.Close()
	if resp.Close || len(body) == maxAnswer {
		c.end()
		*conn = nil
	}
	return httpOutcome(resp, body), nil
}

func (c *httpConn) end() {
	c.stop()
	_ = c.Close()
}

func httpOutcome(resp *http.Response, body []byte) outcome {
	if resp.StatusCode/100 != 2 {
		text, _, _ := strings.Cut(string(body), "\n")
		return refused("HTTP "+resp.Status, text)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && len(body) > 0 {
		return acknowledgedJSON(body)
	}
	return acknowledged(body)
}

// acknowledgedJSON parses the answer of servers that answer protobuf with JSON. An int64 may be a number or a
// string there (protobuf's JSON mapping).
func acknowledgedJSON(body []byte) outcome {
	var answer struct {
		PartialSuccess struct {
			RejectedSpans json.Number
			ErrorMessage  string
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return failed("answer cannot be read", err.Error())
	}
	if answer.PartialSuccess.RejectedSpans == "" {
		return outcome{}
	}
	rejected, err := answer.PartialSuccess.RejectedSpans.Int64()
	if err != nil || rejected < 0 {
		return failed("answer cannot be read", fmt.Sprintf("rejectedSpans is %s", answer.PartialSuccess.RejectedSpans))
	}
	return partial(rejected, answer.PartialSuccess.ErrorMessage)
}

// transportFailure classifies errors without an answer. It leaves out ports, which would make each error a
// separate reason.
func transportFailure(err error) outcome {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return failed("timed out", err.Error())
	case errors.Is(err, context.Canceled):
		return failed("canceled", err.Error())
	case errors.As(err, &op):
		return failed(op.Op+": "+op.Err.Error(), err.Error())
	}
	return failed(err.Error(), err.Error())
}
