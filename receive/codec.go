package receive

import (
	"io"
	"math/bits"
	"sync"

	kgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip"  // first, so that ours replaces it
	_ "google.golang.org/grpc/encoding/proto" // for the health service
	"google.golang.org/grpc/mem"
)

// message is a gRPC message as bytes. They live in a pooled buffer until free.
type message struct {
	payload []byte
	buffer  mem.Buffer
}

func (m *message) free() {
	if m.buffer != nil {
		m.buffer.Free()
	}
	m.buffer, m.payload = nil, nil
}

// rawCodec passes payloads through untouched. It stands in for the protobuf
// codec on the whole server, so messages of other services go to that one.
type rawCodec struct {
	pool mem.BufferPool
	rest encoding.CodecV2
}

func newRawCodec(pool mem.BufferPool) rawCodec {
	return rawCodec{pool: pool, rest: encoding.GetCodecV2("proto")}
}

func (rawCodec) Name() string { return "proto" }

// Unmarshal takes a reference of data, or one copy if it came in pieces. gRPC
// frees its own reference afterwards.
func (c rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return c.rest.Unmarshal(data, v)
	}
	m.free()
	m.buffer = data.MaterializeToBuffer(c.pool)
	m.payload = m.buffer.ReadOnlyData()
	return nil
}

// Marshal writes an answer. Nearly all of ours are empty messages.
func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(*message); ok {
		if len(m.payload) == 0 { // Fast path
			return nil, nil
		}
		return mem.BufferSlice{mem.SliceBuffer(m.payload)}, nil
	}
	return c.rest.Marshal(v)
}

// tieredPool holds buffers by powers of two. gRPC's own pool has nothing
// between 32 KiB and 1 MiB and wipes a buffer each time: for a batch of 200
// spans that is a megabyte of zeroes per request. Our buffers are always
// written over their full length before they are read.
type tieredPool struct {
	tiers [maxTier - minTier + 1]sync.Pool
}

const (
	minTier = 8  // 256 B
	maxTier = 22 // 4 MiB; larger ones are left to the garbage collector
)

func (p *tieredPool) Get(n int) *[]byte {
	tier := max(bits.Len(uint(max(n, 1)-1)), minTier)
	if tier > maxTier {
		b := make([]byte, n)
		return &b
	}
	if b, ok := p.tiers[tier-minTier].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, 1<<tier)
	return &b
}

func (p *tieredPool) Put(b *[]byte) {
	tier := bits.Len(uint(cap(*b))) - 1
	if tier < minTier || tier > maxTier || cap(*b) != 1<<tier {
		return
	}
	p.tiers[tier-minTier].Put(b)
}

// compressor is a gRPC message compression with pooled readers. gRPC bounds
// what it reads from them by its message size.
type compressor struct {
	name    string
	readers *sync.Pool
	writers *sync.Pool
}

// Registration is for the whole process and allowed only in init.
func init() {
	encoding.RegisterCompressor(compressor{"gzip", &gzipPool, writerPool(func() resetWriter { return kgzip.NewWriter(nil) })})
	encoding.RegisterCompressor(compressor{"snappy", &snappyPool, writerPool(func() resetWriter {
		return s2.NewWriter(nil, s2.WriterSnappyCompat(), s2.WriterConcurrency(1))
	})})
	encoding.RegisterCompressor(compressor{"zstd", &zstdPool, writerPool(newZstdWriter)})
}

type resetWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

func writerPool(make func() resetWriter) *sync.Pool {
	return &sync.Pool{New: func() any { return make() }}
}

func newZstdWriter() resetWriter {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic("receive: zstd options: " + err.Error())
	}
	return w
}

func (c compressor) Name() string { return c.name }

func (c compressor) Compress(w io.Writer) (io.WriteCloser, error) {
	z := c.writers.Get().(resetWriter)
	z.Reset(w)
	return &pooledWriter{z, c.writers}, nil
}

type pooledWriter struct {
	resetWriter
	pool *sync.Pool
}

func (w *pooledWriter) Close() error {
	defer w.pool.Put(w.resetWriter)
	return w.resetWriter.Close()
}

func (c compressor) Decompress(r io.Reader) (io.Reader, error) {
	z := c.readers.Get().(resetter)
	if err := z.Reset(r); err != nil {
		c.readers.Put(z)
		return nil, err
	}
	return &pooledReader{z, c.readers}, nil
}

// pooledReader goes back to its pool at the end of the stream; after an error
// it is left to the garbage collector.
type pooledReader struct {
	resetter
	pool *sync.Pool
}

func (r *pooledReader) Read(p []byte) (int, error) {
	if r.resetter == nil {
		return 0, io.EOF
	}
	n, err := r.resetter.Read(p)
	if err == io.EOF {
		r.pool.Put(r.resetter)
		r.resetter = nil
	}
	return n, err
}
