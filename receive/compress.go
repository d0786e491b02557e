package receive

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Decompressors are pooled: a gzip reader is 40 KiB, a zstd one more. None of
// them trusts a size it read; whoever reads from one stops at the limit.

// maxZstdWindow bounds the memory that a zstd frame can ask for. 8 MiB is what
// every decoder must offer (RFC 8878, section 3.1.1.1.2).
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

// emptyZlib is the zlib stream of nothing: a reader cannot be made without one.
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
	// Concurrency 1 decodes in the caller's goroutine, so a forgotten reader is
	// only memory.
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		panic("receive: zstd options: " + err.Error())
	}
	return r
}

// decompress wraps src by an HTTP Content-Encoding. done must be called when
// nothing reads from it any more. limit bounds formats that decode at one go.
func decompress(encoding string, src io.Reader, limit int64) (_ io.Reader, done func(), err error) {
	switch encoding {
	case "", "identity":
		return src, func() {}, nil
	case "gzip", "x-gzip":
		return pooled(&gzipPool, encoding, src)
	case "zstd":
		return pooled(&zstdPool, encoding, src)
	case "zlib":
		return pooled(&zlibPool, encoding, src)
	case "deflate":
		return deflate(src)
	case "snappy", "x-snappy-framed":
		return snappy(src, limit)
	}
	return nil, nil, refuse(unsupported, "Content-Encoding %q is not supported; use gzip, zstd, zlib, deflate, snappy or none", encoding)
}

func pooled(pool *sync.Pool, name string, src io.Reader) (io.Reader, func(), error) {
	r := pool.Get().(resetter)
	if err := r.Reset(src); err != nil {
		pool.Put(r)
		return nil, nil, badStream(name, err)
	}
	return naming{r, name}, func() { pool.Put(r) }, nil
}

// naming says in its errors which encoding the bytes broke.
type naming struct {
	io.Reader
	name string
}

func (n naming) Read(p []byte) (int, error) {
	k, err := n.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = badStream(n.name, err)
	}
	return k, err
}

// badStream keeps errors that have nothing to do with the encoding.
func badStream(name string, err error) error {
	if r := readRefusal(err); r.reason != malformed {
		return r
	}
	return refuse(malformed, "body is not %s, though Content-Encoding says so: %v", name, err)
}

// deflate is a zlib stream (RFC 9110, section 8.4.1.2), but some clients send
// the bare one. The first two bytes of zlib are a multiple of 31.
func deflate(src io.Reader) (io.Reader, func(), error) {
	var head [2]byte
	n, err := io.ReadFull(src, head[:])
	if err != nil {
		return nil, nil, badStream("deflate", err)
	}
	src = io.MultiReader(bytes.NewReader(head[:n]), src)
	if head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return pooled(&zlibPool, "deflate", src)
	}
	return pooled(&flatePool, "deflate", src)
}

// snappyMagic opens the framed format; without it the body is one block.
var snappyMagic = []byte("\xff\x06\x00\x00sNaPpY")

func snappy(src io.Reader, limit int64) (io.Reader, func(), error) {
	head := make([]byte, len(snappyMagic))
	n, err := io.ReadFull(src, head)
	if err != nil && err != io.ErrUnexpectedEOF {
		return nil, nil, badStream("snappy", err)
	}
	src = io.MultiReader(bytes.NewReader(head[:n]), src)
	if bytes.Equal(head, snappyMagic) {
		return pooled(&snappyPool, "snappy", src)
	}
	block, err := io.ReadAll(src)
	if err != nil {
		return nil, nil, badStream("snappy", err)
	}
	plain, err := snappyBlock(block, limit)
	return bytes.NewReader(plain), func() {}, err
}

// snappyBlock believes the announced length only within the limit, and within
// what a block of this size can hold: a copy of 64 bytes costs at least 2.
func snappyBlock(block []byte, limit int64) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return nil, badStream("snappy", err)
	}
	if int64(n) > limit {
		return nil, refuse(tooLarge, "request is larger than the limit of %d bytes after decompression; send smaller batches", limit)
	}
	if n > 64*len(block) {
		return nil, refuse(malformed, "body is not snappy, though Content-Encoding says so: %d bytes cannot hold %d", len(block), n)
	}
	plain, err := s2.Decode(nil, block)
	if err != nil {
		return nil, badStream("snappy", err)
	}
	return plain, nil
}
