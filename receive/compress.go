package receive

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Decompressors are pooled: a gzip reader takes 40 KiB, a zstd reader more. None trusts an announced size; the
// code that reads from one stops at the limit.
//
// A request is decompressed after it has arrived completely, and only as many requests at once as there are
// processors. Decompression keeps a processor busy and never waits for a client, so more at once would not be
// faster. But each could reach the size limit of one request before the first is counted. HTTP and gRPC
// (codec.go) share these slots.

// inflating has one slot for each request that may be decompressed at once.
var inflating = make(chan struct{}, runtime.GOMAXPROCS(0))

// maxZstdWindow limits the memory that a zstd frame can request. Every decoder must support 8 MiB (RFC 8878,
// section 3.1.1.1.2).
const maxZstdWindow = 8 * mebibyte

// resetter is a pooled decompressor.
type resetter interface {
	io.Reader
	Reset(io.Reader) error
}

type zlibReader struct{ io.ReadCloser }

func (z zlibReader) Reset(r io.Reader) error { return z.ReadCloser.(zlib.Resetter).Reset(r, nil) }

type flateReader struct{ io.ReadCloser }

func (f flateReader) Reset(r io.Reader) error { return f.ReadCloser.(flate.Resetter).Reset(r, nil) }

type snappyReader struct{ *s2.Reader }

func (s snappyReader) Reset(r io.Reader) error { s.Reader.Reset(r); return nil }

// emptyZlib is the zlib stream of empty data, which is needed to make a reader.
var emptyZlib = []byte{0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01}

var (
	gzipPool  = sync.Pool{New: func() any { return resetter(new(gzip.Reader)) }}
	zlibPool  = sync.Pool{New: func() any { return newZlib() }}
	flatePool = sync.Pool{New: func() any { return resetter(flateReader{flate.NewReader(nil)}) }}
	zstdPool  = sync.Pool{New: func() any { return newZstd() }}
	// Snappy frames hold at most 64 KiB.
	snappyPool = sync.Pool{New: func() any { return resetter(snappyReader{s2.NewReader(nil, s2.ReaderMaxBlockSize(64<<10))}) }}
)

func newZlib() resetter {
	r, err := zlib.NewReader(bytes.NewReader(emptyZlib))
	if err != nil {
		panic("receive: zlib rejects the empty stream: " + err.Error())
	}
	return zlibReader{r}
}

func newZstd() resetter {
	// Concurrency 1 decodes in the caller's goroutine, so a reader that is never closed leaks only memory.
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		panic("receive: zstd options: " + err.Error())
	}
	return r
}

// inflation decodes one HTTP Content-Encoding.
type inflation struct {
	name string
	into func(b *body, packed []byte, limit int64) error
}

// inflater returns the inflation for a Content-Encoding, ignoring case (RFC 9110, section 8.4.1), or nil when
// the body is not compressed.
func inflater(encoding string) (*inflation, error) {
	name := strings.ToLower(strings.TrimSpace(encoding))
	if rest, ok := strings.CutSuffix(name, ", identity"); ok {
		name = rest
	}
	switch name {
	case "", "identity":
		return nil, nil
	case "gzip", "x-gzip":
		return &inflation{name, streamOf(&gzipPool, name)}, nil
	case "zstd":
		return &inflation{name, streamOf(&zstdPool, name)}, nil
	case "zlib":
		return &inflation{name, streamOf(&zlibPool, name)}, nil
	case "deflate":
		return &inflation{name, inflateDeflate}, nil
	case "snappy", "x-snappy-framed":
		return &inflation{name, inflateSnappy}, nil
	}
	return nil, refuse(unsupported, "Content-Encoding %q is not supported; use gzip, zstd, zlib, deflate, snappy or none", encoding)
}

// streamOf decompresses with a pooled decompressor.
func streamOf(pool *sync.Pool, name string) func(*body, []byte, int64) error {
	return func(b *body, packed []byte, limit int64) error {
		r := pool.Get().(resetter)
		defer pool.Put(r)
		if err := r.Reset(bytes.NewReader(packed)); err != nil {
			return badStream(name, err)
		}
		if err := b.fill(r, limit); err != nil {
			return badStream(name, err)
		}
		return nil
	}
}

// badStream names the encoding that the bytes violate. It returns refusals unchanged.
func badStream(name string, err error) error {
	if r := readRefusal(err); r.reason != malformed {
		return r
	}
	return refuse(malformed, "body is not %s, though Content-Encoding says so: %v", name, err)
}

// inflateDeflate decompresses deflate, which is a zlib stream (RFC 9110, section 8.4.1.2). Some clients send
// raw deflate data instead. The first two bytes of zlib are a multiple of 31.
func inflateDeflate(b *body, packed []byte, limit int64) error {
	pool := &flatePool
	if len(packed) >= 2 && packed[0]&0x0f == 8 && (int(packed[0])<<8|int(packed[1]))%31 == 0 {
		pool = &zlibPool
	}
	return streamOf(pool, "deflate")(b, packed, limit)
}

// snappyMagic begins the framed format. Without it the body is one block.
var snappyMagic = []byte("\xff\x06\x00\x00sNaPpY")

func inflateSnappy(b *body, packed []byte, limit int64) error {
	if bytes.HasPrefix(packed, snappyMagic) {
		return streamOf(&snappyPool, "snappy")(b, packed, limit)
	}
	n, err := snappyLen(packed, limit)
	if err == nil {
		err = b.grow(n)
	}
	if err != nil {
		return err
	}
	plain, err := s2.Decode(b.bytes[:cap(b.bytes)], packed)
	if err != nil {
		return badStream("snappy", err)
	}
	b.bytes = plain
	return nil
}

// snappyLen accepts the announced length only within the limit, and only if a block of this size can contain
// that much: a copy of 64 bytes takes at least 2.
func snappyLen(block []byte, limit int64) (int, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return 0, badStream("snappy", err)
	}
	if int64(n) > limit {
		return 0, refuse(tooLarge, "request is larger than the limit of %d bytes after decompression; send smaller batches", limit)
	}
	if n > 64*len(block) {
		return 0, refuse(malformed, "body is not snappy, though Content-Encoding says so: %d bytes cannot hold %d", len(block), n)
	}
	return n, nil
}
