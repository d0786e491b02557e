package block

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// plainDictionary is the encoding that old writers give pages of codes, and pages of
// dictionaries (parquet-format, Encodings.md).
const plainDictionary format.Encoding = 2

// maxPage bounds the bytes of a decompressed page.
const maxPage = 256 << 20

var zstdReader = mustZstd()

func mustZstd() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxPage), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // The options are constants.
	}
	return d
}

// decompress returns the bytes of a page, in dst if they fit. The page claims the given size, but decompress
// allocates only as much as the decoder really produces.
func decompress(c format.CompressionCodec, dst, b []byte, size int) (out []byte, err error) {
	switch c {
	case format.Uncompressed:
		out = b
	case format.Snappy:
		n, err := snappy.DecodedLen(b)
		if err != nil {
			return nil, err
		}
		if n != size { // A byte of Snappy makes at most 64.
			return nil, fmt.Errorf("snappy: it has %d bytes, its header says %d", n, size)
		}
		if n > 64*len(b) {
			return nil, snappy.ErrCorrupt
		}
		if out, err = snappy.Decode(dst[:cap(dst)], b); err != nil {
			return nil, err
		}
	case format.Zstd:
		if cap(dst) < size && size <= 64*len(b)+(1<<20) {
			dst = make([]byte, 0, size)
		}
		out, err = zstdReader.DecodeAll(b, dst[:0])
	case format.Gzip:
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			out, err = io.ReadAll(io.LimitReader(z, int64(size)+1))
		}
	default:
		return nil, fmt.Errorf("compression %s is not supported; none, snappy, gzip and zstd are", c)
	}
	if err == nil && len(out) != size {
		err = fmt.Errorf("it has %d bytes, its header says %d", len(out), size)
	}
	return out, err
}

// pageHeader is the header of a page.
type pageHeader struct {
	kind               format.PageType
	size, compressed   int64
	crc                int64
	hasCRC             bool
	values             int64 // with nulls; of a dictionary page, its entries
	encoding           format.Encoding
	levelEncodings     [2]format.Encoding // v1
	repBytes, defBytes int64              // v2
	plainV2            bool               // v2: not compressed
}

// readHeader reads the page header at the beginning of b. It returns the header and the bytes after it.
func readHeader(b []byte) (h pageHeader, rest []byte, err error) {
	h.levelEncodings = [2]format.Encoding{format.RLE, format.RLE}
	t := &thriftReader{b: b}
	v1 := func(id int64, _ byte) bool {
		switch id {
		case 1:
			h.values = t.int()
		case 2:
			h.encoding = format.Encoding(t.int())
		case 3, 4:
			h.levelEncodings[id-3] = format.Encoding(t.int())
		default:
			return false
		}
		return true
	}
	v2 := func(id int64, kind byte) bool {
		switch id {
		case 1:
			h.values = t.int()
		case 4:
			h.encoding = format.Encoding(t.int())
		case 5:
			h.defBytes = t.int()
		case 6:
			h.repBytes = t.int()
		case 7:
			h.plainV2 = kind == thriftFalse
		default:
			return false
		}
		return true
	}
	t.fields(func(id int64, kind byte) bool {
		switch {
		case id == 1:
			h.kind = format.PageType(t.int())
		case id == 2:
			h.size = t.int()
		case id == 3:
			h.compressed = t.int()
		case id == 4:
			h.crc, h.hasCRC = t.int(), true
		case (id == 5 || id == 7) && kind == thriftStruct:
			t.fields(v1)
		case id == 8 && kind == thriftStruct:
			t.fields(v2)
		default:
			return false
		}
		return true
	})
	if t.err != nil {
		return h, nil, fmt.Errorf("page header: %w", t.err)
	}
	rest = b[t.at:]
	if h.size < 0 || h.size > maxPage || h.compressed < 0 || h.compressed > int64(len(rest)) || h.values < 0 || h.values > maxEntries {
		return h, nil, fmt.Errorf("page header: a page of %d values, %d bytes and %d decompressed ones is impossible here", h.values, h.compressed, h.size)
	}
	return h, rest, nil
}

// values are a column of a row group, decoded. Levels and values are in separate slices: a null has levels, but
// no value.
type values struct {
	column   *fileColumn
	rep, def []uint8  // nil if the caller did not ask for them or the column has none
	nums     []uint64 // numbers: sign-extended, IEEE bits, or 0 and 1
	index    []uint32 // of byte strings: the place in texts
	texts    texts
	pages    []int    // entries of each page
	ends     []int    // values up to the end of each page that was decoded
	found    []bool   // result of wants.raw for each page
	known    int      // how many of the texts come from the dictionary
	codes    []uint32 // of each text in the dictionary of the part, plus one; 0: not asked for yet
}

// wants says which levels and pages a caller needs.
type wants struct {
	rep, def bool
	anySum   bool // Decode pages with a wrong checksum, too.
	only     *onlyTraces
	// If all values are in the dictionary, the decoder calls dictionary, unless nil, before it decodes them. If
	// dictionary returns false, the decoder skips the values.
	dictionary func(*texts) bool
	// The decoder calls raw, unless nil, with the bytes of each page whose byte strings follow each other
	// there. It does not decode these pages.
	raw func(page []byte) bool
}

// decodeChunk decodes the pages of a column chunk.
func decodeChunk(b []byte, l *fileColumn, c *chunk, want wants) (*values, error) {
	v := &values{column: l}
	want.levelsToCut(l)
	d := pageDecoder{values: v, chunk: c, want: want, left: int(c.entries)}
	for d.left > 0 {
		h, rest, err := d.next(b)
		if err != nil {
			return nil, err
		}
		b = rest
		if h.kind == format.DictionaryPage && want.dictionary != nil && allInDictionary(b, d.left) && !want.dictionary(&v.texts) {
			return &values{column: l}, nil
		}
	}
	if want.only != nil {
		return v, want.only.cut(v)
	}
	return v, nil
}

// next decodes the page at the beginning of b. It returns the page's header and the bytes after the page.
func (d *pageDecoder) next(b []byte) (h pageHeader, rest []byte, err error) {
	if h, rest, err = readHeader(b); err != nil {
		return h, nil, err
	}
	body := rest[:h.compressed]
	if h.hasCRC && !d.want.anySum && (h.kind == format.DictionaryPage || d.wanted()) && crc32.ChecksumIEEE(body) != uint32(h.crc) {
		return h, nil, errors.New("a page's checksum is wrong")
	}
	return h, rest[h.compressed:], d.page(&h, body)
}

// allInDictionary reports whether all of the given number of values are indexes of the dictionary.
func allInDictionary(b []byte, left int) bool {
	for left > 0 {
		h, rest, err := readHeader(b)
		if err != nil || h.values <= 0 || h.encoding != format.RLEDictionary && h.encoding != plainDictionary {
			return false
		}
		left -= int(h.values)
		b = rest[h.compressed:]
	}
	return true
}

// pageDecoder decodes page after page.
type pageDecoder struct {
	*values
	chunk      *chunk
	want       wants
	left       int // entries left
	alone      bool
	buffer     []byte
	dictionary int      // entries of the dictionary of byte strings
	numbers    []uint64 // dictionary of numbers
	hasDict    bool
	indexes    []uint32
	sizes      []uint64
}

func (d *pageDecoder) page(h *pageHeader, body []byte) error {
	switch h.kind {
	case format.DictionaryPage:
		return d.dictionaryPage(h, body)
	case format.DataPage, format.DataPageV2:
	default:
		return nil // an index page
	}
	if h.values > int64(d.left) {
		return fmt.Errorf("its pages have more than the %d values of the footer", d.chunk.entries)
	}
	d.left -= int(h.values)
	wanted := d.wanted()
	d.pages = append(d.pages, int(h.values))
	if !wanted {
		return nil
	}
	rep, def, body, err := d.split(h, body)
	if err != nil {
		return err
	}
	count, err := d.levels(rep, def, int(h.values))
	if err != nil {
		return fmt.Errorf("levels: %w", err)
	}
	if d.want.raw != nil && d.column.typ == format.ByteArray {
		whole := h.encoding == format.Plain || h.encoding == format.DeltaLengthByteArray
		if d.found = append(d.found, whole && d.want.raw(body)); whole {
			count, body = 0, nil
		}
	}
	if err := d.decode(h.encoding, body, count); err != nil {
		return err
	}
	d.ends = append(d.ends, len(d.index)+len(d.nums))
	return nil
}

// wanted reports whether the caller needs the next page.
func (d *pageDecoder) wanted() bool {
	return d.alone || d.want.only == nil || d.want.only.page == len(d.pages)
}

// split returns the levels and the values of a page.
func (d *pageDecoder) split(h *pageHeader, b []byte) (rep, def, body []byte, err error) {
	if h.kind == format.DataPageV2 {
		levels := h.repBytes + h.defBytes
		if h.repBytes < 0 || h.defBytes < 0 || levels > int64(len(b)) || levels > h.size {
			return nil, nil, nil, errShort
		}
		rep, def, body = b[:h.repBytes], b[h.repBytes:levels], b[levels:]
		if size := int(h.size - levels); !h.plainV2 && (len(body) > 0 || size > 0) {
			body, err = d.decompress(body, size)
		}
		return rep, def, body, err
	}
	if body, err = d.decompress(b, int(h.size)); err != nil {
		return nil, nil, nil, err
	}
	if h.levelEncodings != [2]format.Encoding{format.RLE, format.RLE} {
		return nil, nil, nil, fmt.Errorf("levels in encodings %v are not supported", h.levelEncodings)
	}
	for _, level := range []struct {
		greatest uint8
		to       *[]byte
	}{{d.column.rep, &rep}, {d.column.def, &def}} {
		if level.greatest == 0 {
			continue
		}
		if len(body) < 4 || uint64(binary.LittleEndian.Uint32(body)) > uint64(len(body)-4) {
			return nil, nil, nil, errShort
		}
		n := binary.LittleEndian.Uint32(body)
		*level.to, body = body[4:4+n], body[4+n:]
	}
	return rep, def, body, nil
}

func (d *pageDecoder) decompress(b []byte, size int) ([]byte, error) {
	out, err := decompress(d.chunk.codec, d.buffer, b, size)
	if err == nil && d.chunk.codec != format.Uncompressed {
		d.buffer = out
	}
	return out, err
}

// levels decodes the levels that the caller wants. It returns how many values the page has.
func (d *pageDecoder) levels(rep, def []byte, n int) (count int, err error) {
	if d.want.rep && d.column.rep > 0 {
		if d.rep, err = decodeLevels(d.rep, rep, d.column.rep, n); err != nil {
			return 0, err
		}
	}
	if d.column.def == 0 {
		return n, nil
	}
	if !d.want.def {
		return countLevels(def, d.column.def, n)
	}
	from := len(d.def)
	if d.def, err = decodeLevels(d.def, def, d.column.def, n); err != nil {
		return 0, err
	}
	return bytes.Count(d.def[from:], []byte{d.column.def}), nil
}

func (d *pageDecoder) dictionaryPage(h *pageHeader, b []byte) error {
	if d.hasDict {
		return errors.New("it has two dictionaries")
	}
	d.hasDict = true
	b, err := decompress(d.chunk.codec, nil, b, int(h.size)) // not in the buffer: the texts stay where they are
	if err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	if d.chunk.codec == format.Uncompressed {
		b = bytes.Clone(b) // The texts may be kept longer than the chunk.
	}
	if h.encoding != format.Plain && h.encoding != plainDictionary {
		return fmt.Errorf("dictionary: encoding %s is not supported", h.encoding)
	}
	if d.column.typ != format.ByteArray {
		d.numbers, err = plainNumbers(nil, b, d.column.typ, int(h.values))
		return err
	}
	d.dictionary = int(h.values)
	d.texts, err = textsIn(b, d.dictionary)
	d.known = d.texts.len()
	return err
}

// decode decodes n values.
func (d *pageDecoder) decode(encoding format.Encoding, b []byte, n int) error {
	if d.column.typ == format.ByteArray {
		return d.decodeTexts(encoding, b, n)
	}
	var err error
	from := len(d.nums)
	switch encoding {
	case format.Plain:
		d.nums, err = plainNumbers(d.nums, b, d.column.typ, n)
	case format.DeltaBinaryPacked:
		d.nums, _, err = decodeDeltas(d.nums, b, n)
	case format.RLE:
		if d.column.typ != format.Boolean || len(b) < 4 {
			return errShort
		}
		var bools []uint8
		if bools, err = decodeLevels(nil, b[4:], 1, n); err == nil {
			for _, v := range bools {
				d.nums = append(d.nums, uint64(v))
			}
		}
	case format.ByteStreamSplit:
		d.nums, err = splitDoubles(d.nums, b, d.column.typ, n)
	case format.RLEDictionary, plainDictionary:
		d.indexes, err = decodeIndexes(d.indexes[:0], b, n, len(d.numbers))
		for _, i := range d.indexes {
			d.nums = append(d.nums, d.numbers[i])
		}
	default:
		return fmt.Errorf("encoding %s of numbers is not supported", encoding)
	}
	if err != nil {
		return err
	}
	if d.column.typ == format.Int32 {
		for i := from; i < len(d.nums); i++ {
			d.nums[i] = uint64(int64(int32(d.nums[i])))
		}
	}
	return nil
}

func (d *pageDecoder) decodeTexts(encoding format.Encoding, b []byte, n int) (err error) {
	add := func(text []byte) error {
		at, err := d.texts.add(text)
		d.index = append(d.index, at)
		return err
	}
	switch encoding {
	case format.RLEDictionary, plainDictionary:
		d.index, err = decodeIndexes(d.index, b, n, d.dictionary)
		return err
	case format.Plain:
		return plainTexts(b, n, add)
	case format.DeltaLengthByteArray: // Fast path: all texts at once
		from := uint32(d.texts.len())
		if d.sizes, err = d.texts.addAll(d.sizes[:0], b, n); err != nil {
			return err
		}
		for i := range uint32(n) {
			d.index = append(d.index, from+i)
		}
		return nil
	case format.DeltaByteArray:
		return deltaTexts(b, n, add)
	}
	return fmt.Errorf("encoding %s of byte strings is not supported", encoding)
}

// plainNumbers appends n numbers in PLAIN.
func plainNumbers(dst []uint64, b []byte, typ format.Type, n int) ([]uint64, error) {
	size := map[format.Type]int{format.Int32: 32, format.Int64: 64, format.Double: 64, format.Boolean: 1}[typ]
	if size == 0 {
		return nil, fmt.Errorf("numbers of type %s are not supported", typ)
	}
	if n > math.MaxInt/64 || (n*size+7)/8 > len(b) {
		return nil, errShort
	}
	for i := range n {
		switch size {
		case 64:
			dst = append(dst, binary.LittleEndian.Uint64(b[8*i:]))
		case 32:
			dst = append(dst, uint64(int64(int32(binary.LittleEndian.Uint32(b[4*i:])))))
		default:
			dst = append(dst, uint64(b[i/8]>>(i%8)&1))
		}
	}
	return dst, nil
}

// splitDoubles appends n doubles in BYTE_STREAM_SPLIT.
func splitDoubles(dst []uint64, b []byte, typ format.Type, n int) ([]uint64, error) {
	if typ != format.Double || len(b) < 8*n {
		return nil, errShort
	}
	for i := range n {
		v := uint64(0)
		for byteAt := range 8 {
			v |= uint64(b[byteAt*n+i]) << (8 * byteAt)
		}
		dst = append(dst, v)
	}
	return dst, nil
}
