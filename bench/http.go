package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// maxAnswer bounds what is read of an answer to a payload.
const maxAnswer = 1 << 20

type httpSender struct {
	client *http.Client
	url    string
	pool   *payloadPool
	gzip   *sync.Pool // of *gzip.Writer; nil: no compression
}

func newHTTPSender(target, compression string, connections int, pool *payloadPool) *httpSender {
	s := &httpSender{url: target, pool: pool, client: localClient(connections)}
	if compression == "gzip" {
		s.gzip = &sync.Pool{New: func() any {
			w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
			if err != nil {
				panic("bench: gzip level: " + err.Error())
			}
			return w
		}}
	}
	return s
}

// localClient keeps its connections, follows nobody, and knows no proxy.
func localClient(connections int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{DialContext: loopback.DialContext, MaxIdleConns: connections, MaxIdleConnsPerHost: connections,
			MaxConnsPerHost: connections, WriteBufferSize: 128 << 10, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *httpSender) send(ctx context.Context, payload *[]byte) outcome {
	if s.gzip != nil {
		payload = s.compress(payload)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, &payloadBody{payload: payload, rest: *payload, pool: s.pool})
	if err != nil {
		return failed("request cannot be made", err.Error())
	}
	req.ContentLength = int64(len(*payload))
	req.Header.Set("Content-Type", "application/x-protobuf")
	if s.gzip != nil {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return transportFailure(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return transportFailure(err)
	}
	return httpOutcome(resp, body)
}

func (s *httpSender) compress(payload *[]byte) *[]byte {
	packed := bytes.NewBuffer((*s.pool.Get(0))[:0])
	w := s.gzip.Get().(*gzip.Writer)
	w.Reset(packed)
	_, _ = w.Write(*payload) // into memory: cannot fail
	_ = w.Close()
	s.gzip.Put(w)
	s.pool.Put(payload)
	b := packed.Bytes()
	return &b
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

// acknowledgedJSON reads the answer of servers that answer protobuf with JSON.
// An int64 may be a number or a string there (protobuf's JSON mapping).
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

// transportFailure sorts errors without an answer; ports in their text would
// make each a reason of its own.
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

// payloadBody is a request's body that returns its memory when the transport
// closes it. net/http may still be reading when an answer has come already, and
// may close while it reads, hence the lock.
type payloadBody struct {
	mu      sync.Mutex
	payload *[]byte // nil when closed
	rest    []byte
	pool    *payloadPool
}

func (b *payloadBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.payload == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *payloadBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.payload != nil {
		b.pool.Put(b.payload)
		b.payload, b.rest = nil, nil
	}
	return nil
}
