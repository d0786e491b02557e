package block

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/format"
)

// location is where a page lies.
type location struct {
	offset, size int64
	row          int64 // of its first trace
}

// maxLocations bounds the bytes of an offset index.
const maxLocations = 1 << 20

// locations reads the offset index of a chunk: where its pages lie, the dictionary aside.
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

// cutAt reports whether pages begin at the same traces as those of a skeleton.
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

// readPage reads the page of p.only alone, and the dictionary.
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
	if err := p.needDictionary(c, at, &d, pages[0].offset); err != nil {
		return nil, err
	}
	buffer := make([]byte, page.size)
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
	return d.values, p.only.cutPage(d.values, int(h.values))
}

// needDictionary gives a decoder the dictionary that lies in front of the first page. Large ones of texts are kept in
// the cache: the pages of a column share them.
func (p *reading) needDictionary(c *stored, at *chunk, d *pageDecoder, first int64) error {
	if first == at.offset {
		return nil
	}
	name := unitName{kind: oneDictionary, key: c.Name()}
	if u := p.b.cache.get(p, name); u != nil {
		d.useTexts(u.texts)
		return nil
	}
	buffer := make([]byte, first-at.offset)
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

// keptTexts is from how many texts on a dictionary is kept.
const keptTexts = 1 << 10

// keepTexts keeps the dictionary of a column in the cache when it is large.
func (p *reading) keepTexts(c *stored, v *values) {
	if v.known < keptTexts || v.known != v.texts.len() {
		return
	}
	shared := v.texts
	p.b.cache.put(p, unitName{kind: oneDictionary, key: c.Name()}, &unit{texts: &shared, bytes: cap(shared.data) + 4*cap(shared.ends)})
}

// useTexts gives the decoder a dictionary that others use as well.
func (d *pageDecoder) useTexts(t *texts) {
	d.texts = texts{data: t.data[:len(t.data):len(t.data)], ends: t.ends[:len(t.ends):len(t.ends)], gap: t.gap}
	d.hasDict, d.dictionary = true, t.len()
}
