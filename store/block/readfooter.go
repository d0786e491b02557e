package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"etude/store/block/layout"
	"github.com/parquet-go/parquet-go/format"
)

// footer has the fields of the footer of data.parquet that a reader needs.
type footer struct {
	leaves []fileColumn
	byPath map[string]int // index in leaves, by path
	rows   int64          // traces
	groups []rowGroup
	parts  []byte // the value of partsKey
}

// fileColumn is a column of the file's schema.
type fileColumn struct {
	path     string // with dots
	typ      format.Type
	def, rep uint8 // the maximum levels
}

// rowGroup is one row group: a part of the block.
type rowGroup struct {
	rows   int
	chunks []chunk // one per leaf
}

// chunk locates a column of a row group in the file.
type chunk struct {
	offset, size int64 // its pages, the dictionary's first
	index        int64 // offset of the offset index; 0 if there is none
	indexSize    int32
	entries      uint32
	codec        format.CompressionCodec
}

// Limits on the sizes that a footer may claim.
const (
	maxFooter  = 256 << 20
	maxEntries = 1 << 27 // of a chunk; levels take a byte each
	maxTraces  = 1 << 24 // of a row group
	maxLeaves  = 1 << 12
	maxDepth   = 24
	maxGroups  = 1 << 15
)

// readFooter reads the footer of a Parquet file; sum is its CRC-32C.
func readFooter(r io.ReaderAt, size int64) (f *footer, sum uint32, err error) {
	var tail [8]byte
	if size < 12 {
		return nil, 0, fmt.Errorf("it has %d bytes, too few for a Parquet file", size)
	}
	if _, err := r.ReadAt(tail[:], size-8); err != nil {
		return nil, 0, err
	}
	if string(tail[4:]) != "PAR1" {
		return nil, 0, errors.New("it does not end as a Parquet file does")
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	if n > size-12 || n > maxFooter {
		return nil, 0, fmt.Errorf("its footer claims %d bytes of a file of %d", n, size)
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, size-8-n); err != nil {
		return nil, 0, err
	}
	f, err = parseFooter(b, size-8-n)
	return f, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)), err
}

// parseFooter parses a footer; its pages lie within [0, end).
func parseFooter(b []byte, end int64) (*footer, error) {
	f := &footer{byPath: map[string]int{}}
	var elements []schemaElement
	t := &thriftReader{b: b}
	t.fields(func(id int64, kind byte) bool {
		switch {
		case id == 2 && kind == thriftList:
			t.list(func(byte) { elements = append(elements, readElement(t)) })
		case id == 3:
			f.rows = t.int()
		case id == 4 && kind == thriftList:
			t.list(func(byte) { f.groups = append(f.groups, readGroup(t)) })
		case id == 5 && kind == thriftList:
			t.list(func(byte) {
				if key, value := readKeyValue(t); string(key) == layout.PartsKey {
					f.parts = value
				}
			})
		default:
			return false
		}
		return true
	})
	if t.err != nil {
		return nil, fmt.Errorf("footer: %w", t.err)
	}
	if err := f.schema(elements); err != nil {
		return nil, fmt.Errorf("footer: %w", err)
	}
	if err := f.check(end); err != nil {
		return nil, fmt.Errorf("footer: %w", err)
	}
	return f, nil
}

// schemaElement is a node of the schema, in the order of a walk from the root.
type schemaElement struct {
	name     string
	typ      format.Type
	repeated int64 // 0 required, 1 optional, 2 repeated
	children int64
	leaf     bool
}

func readElement(t *thriftReader) (e schemaElement) {
	t.fields(func(id int64, _ byte) bool {
		switch id {
		case 1:
			e.typ, e.leaf = format.Type(t.int()), true
		case 3:
			e.repeated = t.int()
		case 4:
			e.name = string(t.binary())
		case 5:
			e.children = t.int()
		default:
			return false
		}
		return true
	})
	return e
}

func readKeyValue(t *thriftReader) (key, value []byte) {
	t.fields(func(id int64, kind byte) bool {
		switch {
		case id == 1 && kind == thriftBinary:
			key = t.binary()
		case id == 2 && kind == thriftBinary:
			value = t.binary()
		default:
			return false
		}
		return true
	})
	return key, value
}

func readGroup(t *thriftReader) (g rowGroup) {
	t.fields(func(id int64, kind byte) bool {
		switch {
		case id == 1 && kind == thriftList:
			t.list(func(byte) { g.chunks = append(g.chunks, readChunk(t)) })
		case id == 3:
			rows := t.int()
			if g.rows = int(rows); rows < 0 || rows > maxTraces {
				t.fail(fmt.Errorf("a row group claims %d traces", rows))
			}
		default:
			return false
		}
		return true
	})
	g.chunks = slices.Clip(g.chunks)
	return g
}

func readChunk(t *thriftReader) (c chunk) {
	data, dictionary, entries := int64(-1), int64(0), int64(0)
	meta := func(id int64, _ byte) bool {
		switch id {
		case 4:
			c.codec = format.CompressionCodec(t.int())
		case 5:
			entries = t.int()
		case 7:
			c.size = t.int()
		case 9:
			data = t.int()
		case 11:
			dictionary = t.int()
		default:
			return false
		}
		return true
	}
	t.fields(func(id int64, kind byte) bool {
		switch {
		case id == 3 && kind == thriftStruct:
			t.fields(meta)
		case id == 4:
			c.index = t.int()
		case id == 5:
			c.indexSize = int32(t.int())
		default:
			return false
		}
		return true
	})
	if entries < 0 || entries > maxEntries {
		t.fail(fmt.Errorf("a column chunk claims %d values", entries))
	}
	c.entries = uint32(entries)
	if c.offset = data; dictionary > 0 && dictionary < data {
		c.offset = dictionary
	}
	return c
}

// schema builds the leaves from the elements.
func (f *footer) schema(elements []schemaElement) error {
	if len(elements) == 0 || len(elements) > 4*maxLeaves {
		return fmt.Errorf("a schema of %d elements", len(elements))
	}
	next := 1
	var walk func(path []string, n int64, def, rep uint8, depth int) error
	walk = func(path []string, n int64, def, rep uint8, depth int) error {
		if depth > maxDepth {
			return errors.New("the schema is nested too deeply")
		}
		for ; n > 0; n-- {
			if next >= len(elements) {
				return errors.New("the schema lacks elements")
			}
			e := &elements[next]
			next++
			def, rep := def, rep
			if e.repeated != 0 {
				def++
			}
			if e.repeated == 2 {
				rep++
			}
			under := append(slices.Clip(path), e.name)
			if !e.leaf {
				if err := walk(under, e.children, def, rep, depth+1); err != nil {
					return err
				}
				continue
			}
			name := strings.Join(under, ".")
			if _, twice := f.byPath[name]; twice {
				return fmt.Errorf("column %q is there twice", name)
			}
			f.byPath[name] = len(f.leaves)
			f.leaves = append(f.leaves, fileColumn{path: name, typ: e.typ, def: def, rep: rep})
		}
		return nil
	}
	return walk(nil, elements[0].children, 0, 0, 0)
}

// check reports whether row groups fit the schema and the file.
func (f *footer) check(end int64) error {
	if len(f.leaves) > maxLeaves || len(f.groups) > maxGroups {
		return fmt.Errorf("%d columns and %d row groups are too many", len(f.leaves), len(f.groups))
	}
	rows := int64(0)
	for i := range f.groups {
		g := &f.groups[i]
		rows += int64(g.rows)
		if len(g.chunks) != len(f.leaves) {
			return fmt.Errorf("row group %d has %d columns, the schema has %d", i, len(g.chunks), len(f.leaves))
		}
		for n, c := range g.chunks {
			if c.offset < 4 || c.size < 0 || c.size > end || c.offset > end-c.size {
				return fmt.Errorf("row group %d, column %q: bytes %d to %d lie outside of the file", i, f.leaves[n].path, c.offset, c.offset+c.size)
			}
		}
	}
	if rows != f.rows {
		return fmt.Errorf("the row groups have %d traces, the footer says %d", rows, f.rows)
	}
	return nil
}
