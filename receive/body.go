package receive

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// A body is read into a pooled buffer that grows with what really arrives,
// never with what a header announces. Every byte of it is held at the gate, so
// many slow large bodies together stop at Limits.InFlight.

// body is a request's content, decompressed. Close gives the buffer back.
type body struct {
	bytes []byte
	in    *intake
	held  int64
}

// keepBuffer is the largest buffer worth pooling: one giant must not stay.
const keepBuffer = 4 * mebibyte

var bufferPool = sync.Pool{New: func() any { return new([]byte) }}

func getBuffer() []byte { return *bufferPool.Get().(*[]byte) }

func putBuffer(b []byte) {
	if cap(b) <= keepBuffer {
		b = b[:0]
		bufferPool.Put(&b)
	}
}

func (b *body) Close() {
	b.in.gate.release(b.held)
	putBuffer(b.bytes)
}

// readBody reads the whole body within all limits. The client has
// RequestTimeout for it. On nil error the caller closes the body.
func (in *intake) readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	if r.ContentLength > in.limits.Body {
		// Said before the body is read. Closing tells the client to stop sending.
		w.Header().Set("Connection", "close")
		return nil, &http.MaxBytesError{Limit: in.limits.Body}
	}
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(in.limits.RequestTimeout)) // not supported: then the server's own
	src, done, err := decompress(r.Header.Get("Content-Encoding"), http.MaxBytesReader(w, r.Body, in.limits.Body), in.limits.Decompressed)
	if err != nil {
		return nil, err
	}
	b := &body{in: in, bytes: getBuffer()}
	err = b.fill(src)
	done()
	if err != nil {
		b.Close()
		return nil, err
	}
	_ = deadline.SetReadDeadline(time.Time{})
	return b, nil
}

func (b *body) fill(src io.Reader) error {
	limit := b.in.limits.Decompressed
	for {
		if len(b.bytes) == cap(b.bytes) {
			if err := b.grow(); err != nil {
				return err
			}
		}
		n, err := src.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if int64(len(b.bytes)) > limit {
			return refuse(tooLarge, "request is larger than the limit of %d bytes after decompression; send smaller batches", limit)
		}
		if errors.Is(err, io.EOF) {
			return b.holdUpTo(int64(len(b.bytes)))
		}
		if err != nil {
			return err
		}
	}
}

// grow doubles the buffer, after asking the gate for the bytes read so far.
func (b *body) grow() error {
	if err := b.holdUpTo(int64(len(b.bytes))); err != nil {
		return err
	}
	bigger := make([]byte, len(b.bytes), max(64<<10, 2*cap(b.bytes)))
	copy(bigger, b.bytes)
	b.bytes = bigger
	return nil
}

func (b *body) holdUpTo(n int64) error {
	more := n - b.held
	if more <= 0 {
		return nil
	}
	if !b.in.gate.hold(more) {
		return b.in.overload("requests in flight hold more than %d bytes", b.in.limits.InFlight)
	}
	b.held = n
	return nil
}
