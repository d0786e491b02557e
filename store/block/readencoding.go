package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// Decoders of Parquet's encodings. Each decoder gets the number of values to expect and never makes more, even
// if the bytes claim more.

var (
	errShort = errors.New("the page ends too early")
	errRun   = errors.New("a run is damaged")
)

// hybrid walks the runs of RLE and bit-packed values.
type hybrid struct {
	b     []byte
	width uint
	left  int // values left in the run
}

// next returns a run: n times value, or the packed bytes of n values.
func (h *hybrid) next() (n int, value uint32, packed []byte, err error) {
	head, size := binary.Uvarint(h.b)
	if size <= 0 {
		return 0, 0, nil, errShort
	}
	h.b = h.b[size:]
	count := head >> 1
	if count == 0 {
		return 0, 0, nil, errRun
	}
	if head&1 == 0 {
		bytes := int(h.width+7) / 8
		if bytes > len(h.b) {
			return 0, 0, nil, errShort
		}
		for i := range bytes {
			value |= uint32(h.b[i]) << (8 * i)
		}
		h.b = h.b[bytes:]
		n = int(min(count, uint64(h.left)))
		h.left -= n
		return n, value, nil, nil
	}
	n = int(min(count, uint64(h.left)/8+1)) * 8
	bytes := n / 8 * int(h.width)
	n = min(n, h.left)
	if bytes > len(h.b) { // The last group may be cut short.
		if bytes = (n*int(h.width) + 7) / 8; bytes > len(h.b) {
			return 0, 0, nil, errShort
		}
	}
	packed, h.b = h.b[:bytes], h.b[bytes:]
	h.left -= n
	return n, 0, packed, nil
}

// bitsFor returns the bit width of levels from 0 to a maximum.
func bitsFor(greatest uint8) uint { return uint(bits.Len8(greatest)) }

// decodeLevels appends n levels.
func decodeLevels(dst, b []byte, greatest uint8, n int) ([]uint8, error) {
	h := hybrid{b: b, width: bitsFor(greatest), left: n}
	dst = slices.Grow(dst, min(n, maxGrown))
	for h.left > 0 {
		count, value, packed, err := h.next()
		if err != nil {
			return nil, err
		}
		if packed == nil {
			if value > uint32(greatest) {
				return nil, errRun
			}
			at := len(dst)
			dst = slices.Grow(dst, count)[:at+count]
			fillBytes(dst[at:], byte(value))
			continue
		}
		mask, done := byte(1)<<h.width-1, 0
		dst, done = unpackLevels(dst, packed, h.width, count)
		for _, v := range dst[len(dst)-done:] {
			if v > greatest {
				return nil, errRun
			}
		}
		for i := done; i < count; i++ {
			bit := uint(i) * h.width
			v := packed[bit/8] >> (bit % 8)
			if bit%8+h.width > 8 {
				v |= packed[bit/8+1] << (8 - bit%8)
			}
			if v &= mask; v > greatest {
				return nil, errRun
			}
			dst = append(dst, v)
		}
	}
	return dst, nil
}

// unpackLevels appends whole groups of eight of n packed levels, as long as eight bytes remain to read. It
// returns how many levels it appended.
func unpackLevels(dst, packed []byte, width uint, n int) ([]uint8, int) {
	if width == 0 {
		return dst, 0
	}
	groups := min(n/8, max(0, len(packed)-8)/int(width))
	at := len(dst)
	dst = slices.Grow(dst, 8*groups)[:at+8*groups]
	out, mask := dst[at:], uint64(1)<<width-1
	for g := range groups {
		word, eight := binary.LittleEndian.Uint64(packed[g*int(width):]), out[8*g:8*g+8]
		for k := range eight {
			eight[k] = uint8(word & mask)
			word >>= width
		}
	}
	return dst, 8 * groups
}

// maxGrown is the most values for which a decoder allocates before it has read them.
const maxGrown = 1 << 14

func fillBytes(b []byte, v byte) {
	if len(b) == 0 {
		return
	}
	b[0] = v
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

// countLevels returns how many of n levels equal the maximum.
func countLevels(b []byte, greatest uint8, n int) (count int, err error) {
	h := hybrid{b: b, width: bitsFor(greatest), left: n}
	var levels []byte
	for h.left > 0 {
		run, value, packed, err := h.next()
		if err != nil {
			return 0, err
		}
		if packed == nil {
			if value == uint32(greatest) {
				count += run
			}
			continue
		}
		one := hybrid{width: h.width}
		levels = levels[:0]
		for i := range run {
			levels = append(levels, byte(one.at(packed, i)))
		}
		for _, level := range levels {
			if level == greatest {
				count++
			}
		}
	}
	return count, nil
}

// at returns value i of packed ones.
func (h *hybrid) at(packed []byte, i int) uint32 {
	return uint32(unpack(packed, uint(i)*h.width, h.width))
}

// unpack returns width bits from a bit on, at most 64.
func unpack(b []byte, bit, width uint) uint64 {
	at, shift := int(bit/8), bit%8
	var v, high uint64
	if at+9 <= len(b) { // Fast path
		v, high = binary.LittleEndian.Uint64(b[at:]), uint64(b[at+8])
	} else {
		var tail [9]byte
		copy(tail[:], b[min(at, len(b)):])
		v, high = binary.LittleEndian.Uint64(tail[:]), uint64(tail[8])
	}
	v >>= shift
	if shift != 0 {
		v |= high << (64 - shift)
	}
	if width < 64 {
		v &= 1<<width - 1
	}
	return v
}

// decodeIndexes appends n indexes of a dictionary of size entries.
func decodeIndexes(dst []uint32, b []byte, n, size int) ([]uint32, error) {
	if n == 0 {
		return dst, nil
	}
	if len(b) == 0 {
		return nil, errShort
	}
	h := hybrid{b: b[1:], width: uint(b[0]), left: n}
	if h.width > 32 {
		return nil, errRun
	}
	for h.left > 0 {
		run, value, packed, err := h.next()
		if err != nil {
			return nil, err
		}
		for i := range run {
			if packed != nil {
				value = h.at(packed, i)
			}
			if int(value) >= size {
				return nil, fmt.Errorf("entry %d of a dictionary of %d", value, size)
			}
			dst = append(dst, value)
		}
	}
	return dst, nil
}

// deltaReader reads DELTA_BINARY_PACKED.
type deltaReader struct {
	b            []byte
	block, minis int
	total        int
	first        uint64
}

func newDeltaReader(b []byte) (d deltaReader, err error) {
	var header [3]uint64
	for i := range header {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return d, errShort
		}
		header[i], b = v, b[n:]
	}
	first, n := binary.Varint(b)
	if n <= 0 {
		return d, errShort
	}
	if header[0] == 0 || header[0] > 1<<16 || header[1] == 0 || header[1] > header[0] || header[0]%header[1] != 0 || header[0]/header[1]%8 != 0 || header[2] > maxEntries {
		return d, errors.New("the header of deltas is damaged")
	}
	return deltaReader{b: b[n:], block: int(header[0]), minis: int(header[1]), total: int(header[2]), first: uint64(first)}, nil
}

// decodeDeltas appends n numbers and returns the bytes after them.
func decodeDeltas(dst []uint64, b []byte, n int) (values []uint64, rest []byte, err error) {
	if n == 0 && len(b) == 0 {
		return dst, nil, nil
	}
	d, err := newDeltaReader(b)
	if err != nil {
		return nil, nil, err
	}
	if d.total != n {
		return nil, nil, fmt.Errorf("%d deltas for %d values", d.total, n)
	}
	if n == 0 {
		return dst, d.b, nil
	}
	value := d.first
	dst = append(slices.Grow(dst, min(n, 8*len(b)+1)), value)
	mini := d.block / d.minis
	for left := n - 1; left > 0; {
		least, size := binary.Varint(d.b)
		if size <= 0 || len(d.b)-size < d.minis {
			return nil, nil, errShort
		}
		widths := d.b[size : size+d.minis]
		d.b = d.b[size+d.minis:]
		for _, w := range widths {
			if left == 0 {
				break
			}
			width := uint(w)
			bytes := mini * int(width) / 8
			if width > 64 {
				return nil, nil, errRun
			}
			count := min(mini, left)
			if bytes > len(d.b) { // The last one may be cut short.
				if bytes = (count*int(width) + 7) / 8; bytes > len(d.b) {
					return nil, nil, errShort
				}
			}
			dst, value = d.mini(dst, value, uint64(least), width, count)
			d.b = d.b[bytes:]
			left -= count
		}
	}
	return dst, d.b, nil
}

// mini decodes a miniblock: it appends count values that follow value. Each packed delta has width bits and is
// relative to the least delta.
func (d *deltaReader) mini(dst []uint64, value, least uint64, width uint, count int) ([]uint64, uint64) {
	b, bit := d.b, uint(0)
	if width <= 57 && len(b) >= (count*int(width)+7)/8+8 { // Fast path: each delta lies in eight bytes.
		mask := uint64(1)<<width - 1
		for range count {
			value += least + binary.LittleEndian.Uint64(b[bit/8:])>>(bit%8)&mask
			dst = append(dst, value)
			bit += width
		}
		return dst, value
	}
	for range count {
		value += least
		if width != 0 {
			value += unpack(b, bit, width)
		}
		dst = append(dst, value)
		bit += width
	}
	return dst, value
}

// texts are byte strings, one after the other.
type texts struct {
	data []byte
	ends []uint32
	gap  uint32 // bytes before each
}

func (t *texts) len() int { return len(t.ends) }

func (t *texts) get(i uint32) []byte {
	begin := t.gap
	if i > 0 {
		begin += t.ends[i-1]
	}
	return t.data[begin:t.ends[i]]
}

var noText [4]byte

// textsIn returns the n texts in b, which is in PLAIN. The result refers to b.
func textsIn(b []byte, n int) (texts, error) {
	if len(b) > maxTexts || n > len(b)/4 {
		return texts{}, errShort
	}
	t := texts{data: b, ends: make([]uint32, n), gap: 4}
	at := 0
	for i := range t.ends {
		if len(b)-at < 4 {
			return texts{}, errShort
		}
		size := binary.LittleEndian.Uint32(b[at:])
		if uint64(size) > uint64(len(b)-at-4) {
			return texts{}, errShort
		}
		at += 4 + int(size)
		t.ends[i] = uint32(at)
	}
	return t, nil
}

// add appends a text, and returns its place. It does not store a text twice if the text equals the previous one.
func (t *texts) add(b []byte) (uint32, error) {
	if n := len(t.ends); n > 0 && string(t.get(uint32(n-1))) == string(b) {
		return uint32(n - 1), nil
	}
	if len(t.data)+len(b) > maxTexts {
		return 0, fmt.Errorf("more than %d bytes of text", maxTexts)
	}
	t.data = append(append(t.data, noText[:t.gap]...), b...)
	t.ends = append(t.ends, uint32(len(t.data)))
	return uint32(len(t.ends) - 1), nil
}

// addAll appends n texts in DELTA_LENGTH_BYTE_ARRAY. It returns their sizes in the
// memory of sizes.
func (t *texts) addAll(sizes []uint64, b []byte, n int) ([]uint64, error) {
	sizes, b, err := decodeDeltas(sizes, b, n)
	if err != nil {
		return nil, err
	}
	total := 0
	for _, size := range sizes {
		if total += int(uint32(size)); total > len(b) {
			return nil, errShort
		}
	}
	if len(t.data)+total > maxTexts {
		return nil, fmt.Errorf("more than %d bytes of text", maxTexts)
	}
	if t.gap > 0 { // Slow path: a dictionary precedes the texts
		t.addEach(sizes, b)
		return sizes, nil
	}
	end := uint32(len(t.data))
	t.data = append(t.data, b[:total]...)
	t.ends = slices.Grow(t.ends, n)
	for _, size := range sizes {
		end += uint32(size)
		t.ends = append(t.ends, end)
	}
	return sizes, nil
}

// addEach appends texts of the given sizes, which follow each other in b. It does not merge equal neighbours.
func (t *texts) addEach(sizes []uint64, b []byte) {
	for _, size := range sizes {
		t.data = append(append(t.data, noText[:t.gap]...), b[:uint32(size)]...)
		t.ends = append(t.ends, uint32(len(t.data)))
		b = b[uint32(size):]
	}
}

// maxTexts is how many bytes of text one column of a row group may have.
const maxTexts = 1 << 30

// plainTexts calls yield for n texts in PLAIN.
func plainTexts(b []byte, n int, yield func([]byte) error) error {
	for range n {
		if len(b) < 4 {
			return errShort
		}
		size := binary.LittleEndian.Uint32(b)
		if uint64(size) > uint64(len(b)-4) {
			return errShort
		}
		if err := yield(b[4 : 4+size]); err != nil {
			return err
		}
		b = b[4+size:]
	}
	return nil
}

// deltaLengthTexts calls yield for n texts in DELTA_LENGTH_BYTE_ARRAY.
func deltaLengthTexts(b []byte, n int, yield func([]byte) error) error {
	sizes, b, err := decodeDeltas(nil, b, n)
	if err != nil {
		return err
	}
	for _, size := range sizes {
		if size := uint64(uint32(size)); size > uint64(len(b)) {
			return errShort
		} else if err := yield(b[:size]); err != nil {
			return err
		} else {
			b = b[size:]
		}
	}
	return nil
}

// deltaTexts calls yield for n texts in DELTA_BYTE_ARRAY.
func deltaTexts(b []byte, n int, yield func([]byte) error) error {
	shared, b, err := decodeDeltas(nil, b, n)
	if err != nil {
		return err
	}
	var text []byte
	i, total := 0, 0
	return deltaLengthTexts(b, n, func(suffix []byte) error {
		if shared[i] > uint64(len(text)) {
			return errShort
		}
		text = append(text[:shared[i]], suffix...)
		i++
		if total += len(text); total > maxTexts {
			return fmt.Errorf("more than %d bytes of text", maxTexts)
		}
		return yield(text)
	})
}
