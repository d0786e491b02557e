package layout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"etude/trace"
)

// The bloom filters of a block say which traces it may have. They use the encoding of the Go module
// bits-and-blooms/bloom, as Tempo does. Section 5 of Tempo's format describes the choice of shard, the hashes
// and the file.

// bloomShape returns the number of shards of a block with the given number of traces, the bits of a shard, and
// the bits that an id sets. Unlike Tempo's, a small block has a small shard: readers take its size from the
// file.
func bloomShape(traces int) (shards int, m, k uint64) {
	n := float64(max(1, traces))
	total := math.Ceil(-n * math.Log(bloomFalseRate) / (math.Ln2 * math.Ln2))
	k = max(1, uint64(math.Ceil(math.Ln2*total/n)))
	shards = min(maxShards, int(math.Ceil(total/shardBits)))
	if shards == 1 {
		return 1, (uint64(total) + 63) / 64 * 64, k
	}
	return shards, shardBits, k
}

// BloomShards are the filters of a block being written.
type BloomShards struct {
	m, k  uint64
	Words [][]uint64
}

func NewBloomShards(traces int) *BloomShards {
	shards, m, k := bloomShape(traces)
	b := &BloomShards{m: m, k: k, Words: make([][]uint64, shards)}
	for i := range b.Words {
		b.Words[i] = make([]uint64, m/64)
	}
	return b
}

func (b *BloomShards) Add(id trace.TraceID) {
	words := b.Words[ShardOf(id, len(b.Words))]
	h := bloomHashes(id)
	for j := range b.k {
		bit := bloomBit(&h, j, b.m)
		words[bit/64] |= 1 << (bit % 64)
	}
}

// File returns the bytes of a shard.
func (b *BloomShards) File(shard int) []byte {
	out := make([]byte, 0, bloomHeader+8*len(b.Words[shard]))
	out = binary.BigEndian.AppendUint64(out, b.m)
	out = binary.BigEndian.AppendUint64(out, b.k)
	out = binary.BigEndian.AppendUint64(out, b.m)
	for _, word := range b.Words[shard] {
		out = binary.BigEndian.AppendUint64(out, word)
	}
	return out
}

// bloomHeader is the number of bytes before the words in a shard's file.
const bloomHeader = 24

// maxBloomHashes bounds the work for a file with an absurd header.
const maxBloomHashes = 1024

// BloomFile is a shard that a reader has loaded.
type BloomFile struct {
	m, k  uint64
	words []byte
}

// ParseBloom parses the bytes of a shard. The result refers to b.
func ParseBloom(b []byte) (BloomFile, error) {
	if len(b) < bloomHeader {
		return BloomFile{}, fmt.Errorf("read bloom filter: %d bytes are no header", len(b))
	}
	f := BloomFile{m: binary.BigEndian.Uint64(b), k: binary.BigEndian.Uint64(b[8:]), words: b[bloomHeader:]}
	switch {
	case f.m == 0 || f.k == 0 || f.k > maxBloomHashes:
		return BloomFile{}, fmt.Errorf("read bloom filter: %d bits and %d hashes", f.m, f.k)
	case binary.BigEndian.Uint64(b[16:]) != f.m:
		return BloomFile{}, errors.New("read bloom filter: it states two sizes")
	case uint64(len(f.words))/8 != f.m/64+(f.m%64+63)/64 || len(f.words)%8 != 0:
		return BloomFile{}, fmt.Errorf("read bloom filter: %d bytes of words for %d bits", len(f.words), f.m)
	}
	return f, nil
}

// MayHave is false only for traces that the block does not have. The caller must pass an id that belongs to
// this shard; see [ShardOf].
func (f BloomFile) MayHave(id trace.TraceID) bool {
	h := bloomHashes(id)
	for j := range f.k {
		bit := bloomBit(&h, j, f.m)
		if binary.BigEndian.Uint64(f.words[bit/64*8:])>>(bit%64)&1 == 0 {
			return false
		}
	}
	return true
}

// ShardOf returns the shard of an id: FNV-1 of its bytes.
func ShardOf(id trace.TraceID, shards int) int {
	h := uint32(2166136261)
	for _, c := range id {
		h = h*16777619 ^ uint32(c)
	}
	return int(h % uint32(shards))
}

func bloomBit(h *[4]uint64, j, m uint64) uint64 {
	return (h[j%2] + j*h[2+((j+j%2)%4)/2]) % m
}

// bloomHashes returns the murmur3-x64-128 hashes, seed 0, of the id and of the id followed by a byte 1.
func bloomHashes(id trace.TraceID) (h [4]uint64) {
	h1, h2 := uint64(0), uint64(0)
	h1 ^= bits.RotateLeft64(binary.LittleEndian.Uint64(id[:])*murmur1, 31) * murmur2
	h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52dce729
	h2 ^= bits.RotateLeft64(binary.LittleEndian.Uint64(id[8:])*murmur2, 33) * murmur1
	h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495ab5
	h[0], h[1] = murmurEnd(h1, h2, 16)
	h1 ^= bits.RotateLeft64(murmur1, 31) * murmur2 // the tail: one byte, 1
	h[2], h[3] = murmurEnd(h1, h2, 17)
	return h
}

const (
	murmur1 = 0x87c37b91114253d5
	murmur2 = 0x4cf5ad432745937f
)

func murmurEnd(h1, h2, size uint64) (uint64, uint64) {
	h1, h2 = h1^size, h2^size
	h1 += h2
	h2 += h1
	h1, h2 = murmurMix(h1), murmurMix(h2)
	h1 += h2
	h2 += h1
	return h1, h2
}

func murmurMix(k uint64) uint64 {
	k = (k ^ k>>33) * 0xff51afd7ed558ccd
	k = (k ^ k>>33) * 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}
