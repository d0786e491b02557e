package write

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/plain"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"etude/store/block/layout"
	"etude/trace"
)

// Pages: data page v1. Tempo's own pages are v2, which never compresses levels; most columns of a block are levels
// and nothing else, so v1 saves a third of the file. A page has a checksum.
//
// The writer compresses the pages of a new block with snappy, and those of a merged block with zstd at its
// fastest level. Snappy takes a quarter of zstd's time and a fifth more bytes. New blocks are written while spans
// arrive; the compactor has time. (The default level of zstd takes 3 % fewer bytes and much more time.)
//
// Two rules make compression cheap. First, ids and times hardly shrink: the writer compresses the first page of
// a chunk, and if that saves too little it stores the whole chunk uncompressed. Second, many columns have equal
// bytes, for example columns without values and columns in which all spans agree. The packer compresses equal
// pages once.

// columnData is one column of a row group: slots, and the values that are not null.
type columnData struct {
	rep, def           []uint8
	ends               []int       // of pages, in slots
	repPages, defPages *levelPages // the encoded levels

	// Values, by the leaf's type and encoding.
	codes   []int32 // into dict
	dict    []string
	i32     []int32
	i64     []int64
	f64     []float64
	bools   []bool
	bytes   []byte // value i is from offsets[i] to offsets[i+1]
	offsets []uint32
}

func (c *columnData) reset() {
	*c = columnData{codes: c.codes[:0], dict: c.dict[:0], i32: c.i32[:0], i64: c.i64[:0], f64: c.f64[:0], bools: c.bools[:0],
		bytes: c.bytes[:0], offsets: append(c.offsets[:0], 0)}
}

func (c *columnData) of(r *rows) {
	c.rep, c.def, c.ends, c.repPages, c.defPages = r.rep, r.def, r.ends, &r.encoded.rep, &r.encoded.def
}

func (c *columnData) text(s string) {
	c.bytes = append(c.bytes, s...)
	c.offsets = append(c.offsets, uint32(len(c.bytes)))
}

// encodedLevels has the encoded levels of some slots, page by page. The columns of one owner share them.
type encodedLevels struct{ rep, def levelPages }

type levelPages struct {
	width int // of a level, in bits; 0: not encoded yet
	pages [][]byte
}

func (e *encodedLevels) reset() {
	e.rep.reset()
	e.def.reset()
}

func (p *levelPages) reset() { p.width = 0 }

// get returns the encoded levels of a page.
func (p *levelPages) get(levels []uint8, ends []int, width, page int) ([]byte, error) {
	if p.width != width {
		p.width = width
		for len(p.pages) < len(ends) {
			p.pages = append(p.pages, nil)
		}
		from := 0
		for i, to := range ends {
			e := rle.Encoding{BitWidth: width}
			var err error
			if p.pages[i], err = e.EncodeLevels(p.pages[i], levels[from:to]); err != nil {
				return nil, err
			}
			from = to
		}
	}
	return p.pages[page], nil
}

// pageWriter turns columns into the bytes of column chunks.
type pageWriter struct {
	packer packer
	thrift thrift.CompactProtocol
	raw    []byte // a page before compression
	values []byte
	out    []byte // the chunk so far
}

// chunk encodes a column. At is its offset in the file. The bytes are valid until the next call.
func (w *pageWriter) chunk(l *layout.Leaf, c *columnData, firstRows []int64, at int64) (_ []byte, meta format.ColumnChunk, index chunkIndex, err error) {
	w.out = w.out[:0]
	m := &meta.MetaData
	m.Type, m.PathInSchema, m.Codec = l.Typ, l.Path, undecided
	m.Encoding = []format.Encoding{l.Enc}
	if l.MaxDef > 0 {
		m.Encoding = append(m.Encoding, format.RLE)
	}
	if l.Enc == format.RLEDictionary {
		m.Encoding = append(m.Encoding, format.Plain)
		m.DictionaryPageOffset = at
		if err = w.dictionary(c, m); err != nil {
			return nil, meta, index, fmt.Errorf("write dictionary of %s: %w", l.Name(), err)
		}
	}
	chunkBounds := c.allBounds(l)
	from, value := 0, 0
	for page, to := range c.ends {
		present := to - from
		if l.MaxDef > 0 {
			present = bytes.Count(c.def[from:to], []byte{l.MaxDef})
		}
		begin := len(w.out)
		if page == 0 {
			m.DataPageOffset = at + int64(begin)
		}
		if err = w.page(l, c, page, to-from, value, value+present, m); err != nil {
			return nil, meta, index, fmt.Errorf("write page %d of %s: %w", page, l.Name(), err)
		}
		b := chunkBounds
		if !b.shared || present == 0 {
			b = c.bounds(l, value, value+present)
		}
		index.add(at+int64(begin), len(w.out)-begin, firstRows[page], b, to-from-present)
		m.NumValues += int64(to - from)
		m.Statistics.NullCount += int64(to - from - present)
		from, value = to, value+present
	}
	m.TotalCompressedSize = int64(len(w.out))
	m.EncodingStats = append(m.EncodingStats, format.PageEncodingStats{PageType: format.DataPage, Encoding: l.Enc, Count: int32(len(c.ends))})
	index.finish(l, m)
	return w.out, meta, index, nil
}

func (w *pageWriter) dictionary(c *columnData, m *format.ColumnMetaData) error {
	w.raw = w.raw[:0]
	for _, s := range c.dict {
		w.raw = binary.LittleEndian.AppendUint32(w.raw, uint32(len(s)))
		w.raw = append(w.raw, s...)
	}
	h := format.PageHeader{Type: format.DictionaryPage}
	h.DictionaryPageHeader.Set(format.DictionaryPageHeader{NumValues: int32(len(c.dict)), Encoding: format.Plain})
	m.EncodingStats = append(m.EncodingStats, format.PageEncodingStats{PageType: format.DictionaryPage, Encoding: format.Plain, Count: 1})
	return w.finish(&h, m)
}

// page appends a data page of slots slots with the values [from, to).
func (w *pageWriter) page(l *layout.Leaf, c *columnData, page, slots, from, to int, m *format.ColumnMetaData) error {
	w.raw = w.raw[:0]
	if l.MaxRep > 0 {
		b, err := c.repPages.get(c.rep, c.ends, bits.Len8(l.MaxRep), page)
		if err != nil {
			return err
		}
		w.raw = append(binary.LittleEndian.AppendUint32(w.raw, uint32(len(b))), b...)
	}
	if l.MaxDef > 0 {
		b, err := c.defPages.get(c.def, c.ends, bits.Len8(l.MaxDef), page)
		if err != nil {
			return err
		}
		w.raw = append(binary.LittleEndian.AppendUint32(w.raw, uint32(len(b))), b...)
	}
	if err := w.encode(l, c, from, to); err != nil {
		return err
	}
	w.raw = append(w.raw, w.values...)
	h := format.PageHeader{Type: format.DataPage}
	h.DataPageHeader.Set(format.DataPageHeader{NumValues: int32(slots), Encoding: l.Enc, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE})
	return w.finish(&h, m)
}

// encode fills w.values.
func (w *pageWriter) encode(l *layout.Leaf, c *columnData, from, to int) (err error) {
	w.values = w.values[:0]
	switch l.Enc {
	case format.RLEDictionary:
		var e rle.DictionaryEncoding
		w.values, err = e.EncodeInt32(w.values, c.codes[from:to])
	case format.DeltaLengthByteArray:
		var e delta.LengthByteArrayEncoding
		offsets := c.offsets[from : to+1]
		w.values, err = e.EncodeByteArray(w.values, c.bytes[offsets[0]:offsets[len(offsets)-1]], offsets)
	case format.DeltaBinaryPacked:
		var e delta.BinaryPackedEncoding
		if l.Typ == format.Int32 {
			w.values, err = e.EncodeInt32(w.values, c.i32[from:to])
		} else {
			w.values, err = e.EncodeInt64(w.values, c.i64[from:to])
		}
	case format.Plain:
		err = w.plain(l, c, from, to)
	default:
		err = fmt.Errorf("no encoder for %s", l.Enc)
	}
	return err
}

func (w *pageWriter) plain(l *layout.Leaf, c *columnData, from, to int) (err error) {
	var e plain.Encoding
	switch l.Typ {
	case format.Int32:
		w.values, err = e.EncodeInt32(w.values, c.i32[from:to])
	case format.Int64:
		w.values, err = e.EncodeInt64(w.values, c.i64[from:to])
	case format.Double:
		w.values, err = e.EncodeDouble(w.values, c.f64[from:to])
	case format.Boolean:
		w.values = packBools(w.values, c.bools[from:to])
	default:
		err = fmt.Errorf("no plain encoder for %s", l.Typ)
	}
	return err
}

// packBools packs eight bools into a byte, the first in the lowest bit.
func packBools(dst []byte, all []bool) []byte {
	for from := 0; from < len(all); from += 8 {
		b := byte(0)
		for i, v := range all[from:min(from+8, len(all))] {
			if v {
				b |= 1 << i
			}
		}
		dst = append(dst, b)
	}
	return dst
}

// finish compresses w.raw and appends it with its header.
func (w *pageWriter) finish(h *format.PageHeader, m *format.ColumnMetaData) error {
	if len(w.raw) > math.MaxInt32 {
		return fmt.Errorf("page has %d bytes: at most %d", len(w.raw), math.MaxInt32)
	}
	body := w.raw
	if m.Codec != format.Uncompressed {
		body = w.packer.pack(w.raw)
	}
	if m.Codec == undecided {
		if m.Codec = w.packer.codec; len(w.raw) > tinyPage && len(body) > len(w.raw)/4*3 {
			m.Codec, body = format.Uncompressed, w.raw
		}
	}
	h.UncompressedPageSize, h.CompressedPageSize = int32(len(w.raw)), int32(len(body))
	h.CRC = int32(crc32.ChecksumIEEE(body))
	header, err := thrift.Marshal(&w.thrift, h)
	if err != nil {
		return err
	}
	m.TotalUncompressedSize += int64(len(header) + len(w.raw))
	w.out = append(append(w.out, header...), body...)
	return nil
}

const (
	undecided = format.CompressionCodec(-1) // whether the pages of a chunk are compressed
	tinyPage  = 256                         // too small to predict the following pages
)

// bound is the least and the greatest value of a page, in plain encoding. Neither has to be a value of the page.
type bound struct {
	min, max []byte
	shared   bool // valid for every page of the chunk
	none     bool // there is no value
}

// boundBytes is the most bytes of a text that a bound keeps.
const boundBytes = 32

// allBounds returns bounds for the whole chunk where bounds per page cost more than they save: for texts in a dictionary.
func (c *columnData) allBounds(l *layout.Leaf) bound {
	switch {
	case l.Enc == format.RLEDictionary:
		return textBounds(c.dict)
	case l.Field == layout.FieldEtude:
		return bound{max: []byte{0xff}, shared: true}
	}
	return bound{}
}

// textBounds returns the bounds of some texts.
func textBounds(all []string) bound {
	b := bound{shared: true, none: len(all) == 0}
	if b.none {
		return b
	}
	least, most := all[0], all[0]
	for _, s := range all[1:] {
		least, most = min(least, s), max(most, s)
	}
	b.min, b.max = lower(least), upper(most)
	return b
}

// lower and upper cut a text to a bound below or above it.
func lower(s string) []byte { return []byte(s[:min(len(s), boundBytes)]) }

func upper(s string) []byte {
	if len(s) <= boundBytes {
		return []byte(s)
	}
	b := []byte(s[:boundBytes])
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b[:i+1]
		}
	}
	return []byte(s) // all 0xff
}

// bounds returns the bounds of the values [from, to).
func (c *columnData) bounds(l *layout.Leaf, from, to int) bound {
	if from == to {
		return bound{none: true}
	}
	switch l.Typ {
	case format.Int32:
		if l.Logical == layout.Unsigned32 {
			return bounds32(c.i32[from:to], math.MinInt32)
		}
		return bounds32(c.i32[from:to], 0)
	case format.Int64:
		if l.Logical == layout.Unsigned64 {
			return bounds64(c.i64[from:to], math.MinInt64)
		}
		return bounds64(c.i64[from:to], 0)
	case format.Double:
		return doubleBounds(c.f64[from:to])
	case format.Boolean:
		return boolBounds(c.bools[from:to])
	}
	return c.idBounds(from, to)
}

// bounds32 orders signed numbers with the sign 0. With the sign math.MinInt32 it orders them as unsigned ones, whose
// order is that of signed numbers with the first bit flipped.
func bounds32(all []int32, sign int32) bound {
	least, most := all[0]^sign, all[0]^sign
	for _, v := range all[1:] {
		v ^= sign
		least, most = min(least, v), max(most, v)
	}
	return bound{min: binary.LittleEndian.AppendUint32(nil, uint32(least^sign)), max: binary.LittleEndian.AppendUint32(nil, uint32(most^sign))}
}

// bounds64 is bounds32 for larger numbers.
func bounds64(all []int64, sign int64) bound {
	least, most := all[0]^sign, all[0]^sign
	for _, v := range all[1:] {
		v ^= sign
		least, most = min(least, v), max(most, v)
	}
	return bound{min: binary.LittleEndian.AppendUint64(nil, uint64(least^sign)), max: binary.LittleEndian.AppendUint64(nil, uint64(most^sign))}
}

// doubleBounds leaves out NaN, which has no order, and orders -0 before 0, as Parquet requires.
func doubleBounds(all []float64) bound {
	least, most := math.Inf(1), math.Inf(-1)
	for _, v := range all {
		if v < least {
			least = v
		}
		if v > most {
			most = v
		}
	}
	if least > most { // nothing but NaN
		least, most = most, least
	}
	if least == 0 {
		least = math.Copysign(0, -1)
	}
	if most == 0 {
		most = 0
	}
	return bound{min: binary.LittleEndian.AppendUint64(nil, math.Float64bits(least)), max: binary.LittleEndian.AppendUint64(nil, math.Float64bits(most))}
}

func boolBounds(all []bool) bound {
	b := bound{min: []byte{1}, max: []byte{0}}
	for _, v := range all {
		if v {
			b.max[0] = 1
		} else {
			b.min[0] = 0
		}
	}
	return b
}

// idBounds compares ids and texts, most of them by their first eight bytes.
func (c *columnData) idBounds(from, to int) bound {
	all, offsets := c.bytes, c.offsets
	least, most := all[offsets[from]:offsets[from+1]], all[offsets[from]:offsets[from+1]]
	low, high := firstBytes(least), firstBytes(most)
	if offsets[from] == offsets[to] { // Fast path: all are empty.
		to = from + 1
	}
	for i := from + 1; i < to; i++ {
		v := all[offsets[i]:offsets[i+1]]
		var n uint64
		if len(v) >= 8 { // Fast path
			n = binary.BigEndian.Uint64(v)
		} else if len(v) > 0 {
			n = firstBytes(v)
		}
		if n <= low && (n < low || bytes.Compare(v, least) < 0) {
			least, low = v, n
		}
		if n >= high && (n > high || bytes.Compare(v, most) > 0) {
			most, high = v, n
		}
	}
	return bound{min: lower(string(least)), max: upper(string(most))}
}

// firstBytes returns the first eight bytes as a number that orders as they do; missing bytes are 0.
func firstBytes(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var padded [8]byte
	copy(padded[:], b)
	return binary.BigEndian.Uint64(padded[:])
}

// chunkDict gives the texts of one chunk codes in order of appearance.
type chunkDict struct {
	slots []uint64 // by number of the text: round and code
	round uint64
}

// numbered are texts with numbers.
type numbered interface {
	same(uint32) uint32
	get(uint32) string
	len() int
}

func (d *chunkDict) begin(texts int) {
	d.grow(texts)
	d.round++
}

func (d *chunkDict) grow(texts int) {
	if len(d.slots) < texts {
		d.slots = append(d.slots, make([]uint64, texts-len(d.slots)+texts/8)...)
	}
}

// add appends the code of a text to a column.
func (d *chunkDict) add(c *columnData, t numbered, number uint32) {
	c.codes = append(c.codes, d.code(c, t, number))
}

// code returns the code of a text, which it adds to the dictionary of the column if it is new.
func (d *chunkDict) code(c *columnData, t numbered, number uint32) int32 {
	if int(number) < len(d.slots) && d.slots[number]>>32 == d.round { // Fast path
		return int32(uint32(d.slots[number]))
	}
	d.grow(t.len())
	one := t.same(number)
	if d.slots[one]>>32 != d.round {
		d.slots[one] = d.round<<32 | uint64(len(c.dict))
		c.dict = append(c.dict, t.get(one))
	}
	d.slots[number] = d.slots[one]
	return int32(uint32(d.slots[number]))
}

// spanID appends an id, but nothing for an absent one.
func (c *columnData) spanID(id trace.SpanID) {
	if !id.IsZero() {
		c.bytes = append(c.bytes, id[:]...)
	}
	c.offsets = append(c.offsets, uint32(len(c.bytes)))
}

func (c *columnData) spanIDs(ids []trace.SpanID) {
	for _, id := range ids {
		c.spanID(id)
	}
}
