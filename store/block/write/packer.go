package write

import (
	"bytes"
	"hash/maphash"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// packer compresses pages. It remembers the pages of the current row group, up to rememberBytes each and
// rememberMost in total, and compresses equal pages once.
type packer struct {
	codec format.CompressionCodec
	zstd  *zstd.Encoder
	out   []byte
	known map[uint64]remembered // by hash
	bytes []byte                // of the known pages
}

// remembered locates a page and its compressed form.
type remembered struct{ from, raw, packed int }

const (
	rememberBytes = 16 << 10
	rememberMost  = 4 << 20
)

var packerSeed = maphash.MakeSeed()

func newPacker() packer { return packer{known: map[uint64]remembered{}} }

// begin prepares for a row group whose pages are compressed with a codec: Snappy or Zstd.
func (p *packer) begin(codec format.CompressionCodec) {
	p.codec = codec
	if codec == format.Zstd && p.zstd == nil {
		p.zstd = newZstd()
	}
	clear(p.known)
	p.bytes = p.bytes[:0]
}

func newZstd() *zstd.Encoder {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // The options above are fixed.
	}
	return z
}

// pack returns a page compressed. The bytes are valid until the next call.
func (p *packer) pack(raw []byte) []byte {
	if len(raw) > rememberBytes {
		return p.encode(raw)
	}
	hash := maphash.Bytes(packerSeed, raw)
	if k, ok := p.known[hash]; ok { // Fast path
		end := k.from + k.raw
		if bytes.Equal(p.bytes[k.from:end], raw) {
			return p.bytes[end : end+k.packed]
		}
	}
	p.encode(raw)
	if len(p.bytes) < rememberMost {
		p.known[hash] = remembered{len(p.bytes), len(raw), len(p.out)}
		p.bytes = append(append(p.bytes, raw...), p.out...)
	}
	return p.out
}

// encode compresses a page into p.out.
func (p *packer) encode(raw []byte) []byte {
	if p.codec == format.Zstd {
		p.out = p.zstd.EncodeAll(raw, p.out[:0])
		return p.out
	}
	if most := s2.MaxEncodedLen(len(raw)); cap(p.out) < most {
		p.out = make([]byte, most+most/4)
	}
	p.out = s2.EncodeSnappy(p.out[:cap(p.out)], raw)
	return p.out
}
