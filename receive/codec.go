package receive

import (
	"io"
	"math/bits"
	"sync"

	kgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip"  // first, so that this package's codec replaces it
	_ "google.golang.org/grpc/encoding/proto" // for the health service
	"google.golang.org/grpc/mem"
)

// message is a gRPC message as bytes. They stay in pooled buffers until free.
type message struct {
	pieces mem.BufferSlice // as received
	buffer mem.Buffer      // all pieces joined, after join
}

func (m *message) size() int64 { return int64(m.pieces.Len()) }

// join returns the message in one piece. It copies a message of several pieces.
func (m *message) join(pool mem.BufferPool) []byte {
	m.buffer = m.pieces.MaterializeToBuffer(pool)
	m.pieces.Free()
	m.pieces = nil
	return m.buffer.ReadOnlyData()
}

func (m *message) free() {
	m.pieces.Free()
	if m.buffer != nil {
		m.buffer.Free()
	}
	m.pieces, m.buffer = nil, nil
}

// rawCodec passes OTLP payloads through unchanged. It replaces the protobuf codec of the whole server, so it
// passes the messages of other services to that codec.
type rawCodec struct{ other encoding.CodecV2 }

func newRawCodec() rawCodec { return rawCodec{encoding.GetCodecV2("proto")} }

func (rawCodec) Name() string { return "proto" }

// Unmarshal keeps a reference to data. gRPC releases its own reference afterwards.
func (c rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return c.other.Unmarshal(data, v)
	}
	m.free()
	data.Ref()
	m.pieces = append(m.pieces, data...) // gRPC reuses its slice
	return nil
}

// Marshal encodes an answer, usually the empty message.
func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case answer:
		if len(m) == 0 {
			return nil, nil
		}
		return mem.BufferSlice{mem.SliceBuffer(m)}, nil
	}
	return c.other.Marshal(v)
}

// answer is an encoded message to a client.
type answer []byte

// tieredPool has buffers by powers of two. gRPC's own pool has no sizes between 32 KiB and 1 MiB, and clears a
// buffer each time: for a batch of 200 spans this is a megabyte of zeroes per request. Buffers of tieredPool
// need no clearing, because they are overwritten completely before they are read.
type tieredPool struct {
	tiers [maxTier - minTier + 1]sync.Pool
}

const (
	minTier = 8  // 256 B
	maxTier = 20 // 1 MiB; no limit counts pooled buffers, so larger ones are not pooled
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

// compressor is a gRPC message compression with pooled readers. gRPC limits its reads by its message size, and
// closes each reader.
type compressor struct {
	name    string
	readers *sync.Pool
	writers *sync.Pool
}

// gRPC allows registration only in init, for the whole process.
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
	inflating <- struct{}{}
	z := c.readers.Get().(resetter)
	if err := z.Reset(r); err != nil {
		c.readers.Put(z)
		<-inflating
		return nil, err
	}
	return &pooledReader{z, c.readers}, nil
}

// pooledReader returns its decompressor and its slot in inflating when gRPC closes it. gRPC closes every
// reader.
type pooledReader struct {
	resetter
	pool *sync.Pool
}

func (r *pooledReader) Close() error {
	if r.resetter != nil {
		r.pool.Put(r.resetter)
		r.resetter = nil
		<-inflating
	}
	return nil
}
