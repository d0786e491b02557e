package block

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go/format"
)

// location locates a page in the file.
type location struct {
	offset, size int64
	row          int64 // of its first trace
}

// maxLocations bounds the bytes of an offset index.
const maxLocations = 1 << 20

// locations reads the offset index of a chunk: the locations of its pages without the dictionary page.
func (c *chunk) locations(file io.ReaderAt) ([]location, error) {
	if c.indexSize <= 0 || c.indexSize > maxLocations || c.index < 0 {
		return nil, fmt.Errorf("an offset index of %d bytes", c.indexSize)
	}
	b := make([]byte, c.indexSize)
	if _, err := file.ReadAt(b, c.index); err != nil {
		return nil, fmt.Errorf("offset index: %w", err)
	}
	pages, err := parseLocations(b)
	if err != nil {
		return nil, fmt.Errorf("offset index: %w", err)
	}
	for i := range pages {
		l := &pages[i]
		if l.offset < c.offset || l.size < 0 || l.size > c.size || l.offset > c.offset+c.size-l.size || i > 0 && l.offset < pages[i-1].offset {
			return nil, fmt.Errorf("offset index: page %d lies at %d: not behind the one before and in its column", i, l.offset)
		}
	}
	return pages, nil
}

func parseLocations(b []byte) (pages []location, err error) {
	t := &thriftReader{b: b}
	t.fields(func(id int64, kind byte) bool {
		if id != 1 || kind != thriftList {
			return false
		}
		t.list(func(byte) { pages = append(pages, readLocation(t)) })
		return true
	})
	return pages, t.err
}

func readLocation(t *thriftReader) (l location) {
	t.fields(func(id int64, _ byte) bool {
		switch id {
		case 1:
			l.offset = t.int()
		case 2:
			l.size = t.int()
		case 3:
			l.row = t.int()
		default:
			return false
		}
		return true
	})
	return l
}

// cutAt reports whether the pages begin at the same traces as the pages of the skeleton.
func (s *skeleton) cutAt(pages []location) bool {
	if len(pages) != len(s.pages) {
		return false
	}
	row := int64(0)
	for i, n := range s.pages {
		if pages[i].row != row {
			return false
		}
		row += int64(n)
	}
	return true
}

// scratch has the memory for decoding a page of which a reading keeps only a few values. It also has the kept
// values of each column, because several units read the same columns.
type scratch struct {
	page, body []byte
	rep, def   []uint8
	nums       []uint64
	index      []uint32
	texts      texts
	read       map[scratchKey]*values
}

type scratchKey struct {
	column *stored
	levels bool
}

// readPageOnce is readPage, but it remembers the values if they are of a few traces.
func (p *reading) readPageOnce(c *stored, at *chunk, want wants) (*values, error) {
	s := p.scratch
	if s == nil || want.raw != nil || want.dictionary != nil {
		return p.readPage(c, at, want)
	}
	key := scratchKey{c, want.rep || want.def}
	if v := s.read[key]; v != nil {
		again := *v
		again.nums = slices.Clone(v.nums) // Callers change them.
		return &again, nil
	}
	v, err := p.readPage(c, at, want)
	if err != nil {
		return nil, err
	}
	s.read[key] = v
	again := *v
	again.nums = slices.Clone(v.nums)
	return &again, nil
}

// lend gives a decoder the memory. Levels that the caller does not want stay nil.
func (s *scratch) lend(d *pageDecoder) {
	if d.want.rep && d.column.rep > 0 {
		d.rep = s.rep[:0]
	}
	if d.want.def && d.column.def > 0 {
		d.def = s.def[:0]
	}
	d.nums, d.index, d.buffer = s.nums[:0], s.index[:0], s.body
	d.texts = texts{data: s.texts.data[:0], ends: s.texts.ends[:0]}
}

// keep takes the memory back. It gives the values copies of the entries that remain after the cut.
func (s *scratch) keep(d *pageDecoder, whole values) {
	v := d.values
	if whole.rep != nil {
		s.rep = whole.rep
	}
	if whole.def != nil {
		s.def = whole.def
	}
	s.nums, s.index, s.body = whole.nums, whole.index, d.buffer
	v.rep, v.def, v.nums, v.index = slices.Clone(v.rep), slices.Clone(v.def), slices.Clone(v.nums), slices.Clone(v.index)
	if v.known > 0 {
		return // The texts belong to the dictionary.
	}
	s.texts = v.texts
	v.texts = texts{}
	for i, at := range v.index {
		v.texts.data = append(v.texts.data, s.texts.get(at)...)
		v.texts.ends = append(v.texts.ends, uint32(len(v.texts.data)))
		v.index[i] = uint32(i)
	}
}

// readPage reads only the dictionary and the page of p.only.
func (p *reading) readPage(c *stored, at *chunk, want wants) (*values, error) {
	pages, err := at.locations(p.b.file)
	if err != nil {
		return nil, err
	}
	if !p.only.skeleton.cutAt(pages) {
		return nil, errPages
	}
	page := pages[p.only.page]
	want.levelsToCut(c.file)
	d := pageDecoder{values: &values{column: c.file}, chunk: at, want: want, left: int(at.entries), alone: true}
	if p.scratch != nil {
		p.scratch.lend(&d)
	}
	if err := p.needDictionary(c, at, &d, pages[0].offset); err != nil {
		return nil, err
	}
	buffer := p.pageBuffer(int(page.size))
	if _, err := p.b.file.ReadAt(buffer, page.offset); err != nil {
		return nil, err
	}
	h, _, err := d.next(buffer)
	if err != nil {
		return nil, err
	}
	if h.kind != format.DataPage && h.kind != format.DataPageV2 {
		return nil, errors.New("its offset index names a page without values")
	}
	whole := *d.values
	if err := p.only.cutPage(d.values, int(h.values)); err != nil {
		return nil, err
	}
	if p.scratch != nil {
		p.scratch.keep(&d, whole)
	}
	return d.values, nil
}

// pageBuffer returns memory for the bytes of a page.
func (p *reading) pageBuffer(size int) []byte {
	if p.scratch == nil {
		return make([]byte, size)
	}
	p.scratch.page = slices.Grow(p.scratch.page[:0], size)[:size]
	return p.scratch.page
}

// needDictionary gives a decoder the dictionary, which precedes the first page. The cache keeps large
// dictionaries of texts, because all pages of a column use them.
func (p *reading) needDictionary(c *stored, at *chunk, d *pageDecoder, first int64) error {
	if first == at.offset {
		return nil
	}
	name := unitName{kind: oneDictionary, key: c.Name()}
	if u := p.b.cache.get(p, name); u != nil {
		d.useTexts(u.texts)
		return nil
	}
	buffer := p.pageBuffer(int(first - at.offset))
	if _, err := p.b.file.ReadAt(buffer, at.offset); err != nil {
		return err
	}
	for len(buffer) > 0 && !d.hasDict {
		_, rest, err := d.next(buffer)
		if err != nil {
			return err
		}
		buffer = rest
	}
	p.keepTexts(c, d.values)
	return nil
}

// keptTexts is the least number of texts for which the cache keeps a dictionary.
const keptTexts = 1 << 10

// keepTexts puts the dictionary of a column in the cache if it is large.
func (p *reading) keepTexts(c *stored, v *values) {
	if v.known < keptTexts || v.known != v.texts.len() {
		return
	}
	shared := v.texts
	p.b.cache.put(p, unitName{kind: oneDictionary, key: c.Name()}, &unit{texts: &shared, bytes: cap(shared.data) + 4*cap(shared.ends)})
}

// useTexts gives the decoder a dictionary from the cache, which other decoders use, too.
func (d *pageDecoder) useTexts(t *texts) {
	d.texts = texts{data: t.data[:len(t.data):len(t.data)], ends: t.ends[:len(t.ends):len(t.ends)], gap: t.gap}
	d.hasDict, d.dictionary, d.known = true, t.len(), t.len()
}
