package write

import (
	"bytes"
	"hash/maphash"

	"github.com/klauspost/compress/zstd"
)

// packer compresses pages. It remembers the pages of the current row group, up to rememberBytes each and
// rememberMost in total, and compresses equal pages once.
type packer struct {
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

func newPacker() packer {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // The options above are fixed.
	}
	return packer{zstd: z, known: map[uint64]remembered{}}
}

// forget prepares for another row group.
func (p *packer) forget() {
	clear(p.known)
	p.bytes = p.bytes[:0]
}

// pack returns a page compressed. The bytes are valid until the next call.
func (p *packer) pack(raw []byte) []byte {
	if len(raw) > rememberBytes {
		p.out = p.zstd.EncodeAll(raw, p.out[:0])
		return p.out
	}
	hash := maphash.Bytes(packerSeed, raw)
	if k, ok := p.known[hash]; ok { // Fast path
		end := k.from + k.raw
		if bytes.Equal(p.bytes[k.from:end], raw) {
			return p.bytes[end : end+k.packed]
		}
	}
	p.out = p.zstd.EncodeAll(raw, p.out[:0])
	if len(p.bytes) < rememberMost {
		p.known[hash] = remembered{len(p.bytes), len(raw), len(p.out)}
		p.bytes = append(append(p.bytes, raw...), p.out...)
	}
	return p.out
}
