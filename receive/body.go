package receive

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// A body is read into a pooled buffer. The buffer grows with the bytes that arrive, never with the length that
// a header announces. A body is decompressed when it is complete. The registry counts memory before it is
// allocated, so both many slow large bodies and many small ones that decompress to large ones stop at
// Limits.Arriving. A slow client uses only memory for the bytes that it has sent.

// body is the content of a request. Close returns the buffer.
type body struct {
	bytes   []byte
	in      *intake
	conn    *conn
	counted int64 // bytes counted as arriving
	other   int64 // bytes counted as arriving for the compressed form
}

// keepBuffer is the largest buffer that is pooled. No limit counts pooled buffers, so large ones must not stay.
const keepBuffer = mebibyte

var bufferPool = sync.Pool{New: func() any { return new([]byte) }}

func getBuffer() []byte { return *bufferPool.Get().(*[]byte) }

func putBuffer(b []byte) {
	if cap(b) <= keepBuffer {
		b = b[:0]
		bufferPool.Put(&b)
	}
}

func (in *intake) newBody(c *conn) *body { return &body{in: in, conn: c, bytes: getBuffer()} }

func (b *body) Close() {
	b.conn.depart(b.counted)
	b.counted = 0
	putBuffer(b.bytes)
	b.bytes = nil
}

// whole moves the body's bytes from the count of arriving requests to that of requests being handled. After
// nil, the caller must leave the gate with the same number of bytes.
func (b *body) whole() (n int64, err error) {
	b.conn.depart(b.counted)
	b.counted = 0
	n = int64(len(b.bytes))
	return n, b.in.gate.enter(b.conn, n)
}

// readBody reads the whole body within all limits, and decompresses it. Without an error, the caller closes the
// body. The server's ReadTimeout is the deadline.
func (in *intake) readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	unpack, err := inflater(r.Header.Get("Content-Encoding"))
	if err != nil {
		return nil, err
	}
	if r.ContentLength > in.limits.Body {
		// Sent before the body is read. Closing tells the client to stop sending.
		w.Header().Set("Connection", "close")
		return nil, &http.MaxBytesError{Limit: in.limits.Body}
	}
	b := in.newBody(connOf(r.Context()))
	if err = b.count(int64(cap(b.bytes))); err == nil {
		err = b.fill(http.MaxBytesReader(w, r.Body, in.limits.Body), max(in.limits.Body, in.limits.Decompressed))
	}
	if err == nil {
		b, err = b.inflate(unpack)
	}
	if err != nil {
		if b.conn.wasCut() {
			w.Header().Set("Connection", "close")
			if r := readRefusal(err); r.reason != tooLarge { // usually an error of the connection, which says less
				err = in.cutOff(b.conn)
			}
		}
		b.Close()
		return nil, err
	}
	return b, nil
}

// inflate returns the decompressed body and closes b. With an error it returns b.
func (b *body) inflate(unpack *inflation) (*body, error) {
	limit := b.in.limits.Decompressed
	if unpack == nil {
		if int64(len(b.bytes)) > limit {
			return b, refuse(tooLarge, "request is larger than the limit of %d bytes; send smaller batches", limit)
		}
		return b, nil
	}
	select {
	case inflating <- struct{}{}:
	case <-b.conn.gone(): // A connection that was cut must not keep its bytes until its turn.
		return b, b.in.cutOff(b.conn)
	}
	defer func() { <-inflating }()
	plain := b.in.newBody(b.conn)
	plain.other = b.counted
	if err := unpack.into(plain, b.bytes, limit); err != nil {
		plain.Close()
		return b, err
	}
	b.Close()
	return plain, nil
}

// fill reads src to its end, at most limit bytes.
func (b *body) fill(src io.Reader, limit int64) error {
	for {
		if len(b.bytes) == cap(b.bytes) {
			if err := b.grow(int(min(2*int64(cap(b.bytes)), limit+1))); err != nil {
				return err
			}
		}
		n, err := src.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if int64(len(b.bytes)) > limit {
			return refuse(tooLarge, "request is larger than the limit of %d bytes after decompression; send smaller batches", limit)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// grow makes room for size bytes, and counts them before. During the copy there are two buffers.
func (b *body) grow(size int) error {
	size = max(64<<10, size, len(b.bytes)+512)
	if err := b.count(int64(size)); err != nil {
		return err
	}
	bigger := make([]byte, len(b.bytes), size)
	copy(bigger, b.bytes)
	b.bytes = bigger
	b.conn.depart(b.counted - int64(size))
	b.counted = int64(size)
	return nil
}

// count counts n more bytes as arriving. A request that is too large by itself would be refused each time, so
// its client must not retry.
func (b *body) count(n int64) error {
	b.counted += n
	switch arriving := b.in.limits.Arriving; {
	case b.conn.arrive(n):
		return nil
	case b.counted+b.other > arriving:
		return refuse(tooLarge, "reading the request needs more than %d bytes, the limit for all arriving requests together (half of --max-in-flight); send smaller batches", arriving)
	}
	return b.in.cutOff(b.conn)
}

// cutOff returns the refusal of an unfinished request whose connection was cut.
func (in *intake) cutOff(c *conn) *refusal {
	if !c.overfull.Load() {
		return refuse(canceled, "connection was closed")
	}
	return in.gate.overload("requests that are still arriving use more than %d bytes", in.limits.Arriving)
}
