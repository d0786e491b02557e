package block

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"

	"etude/internal/fs"

	"github.com/parquet-go/parquet-go/format"
)

// Block is an open block. Any goroutine may use it until Close.
type Block struct {
	Meta *Meta

	dir     string
	file    fs.File
	footer  *footer
	columns []*stored // of the layout, those that the file has
	parts   []*part
}

// stored is a leaf of the layout with its place in the file.
type stored struct {
	*leaf
	file *fileColumn
	at   int
}

// Open opens the block in a folder.
func Open(fsys fs.FS, dir string) (*Block, error) {
	meta, err := readMeta(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("open block %s: %w", filepath.Base(dir), err)
	}
	b := &Block{Meta: meta, dir: dir}
	if err := b.open(fsys); err != nil {
		return nil, fmt.Errorf("open block %s: %s: %w", filepath.Base(dir), dataName, err)
	}
	return b, nil
}

func (b *Block) open(fsys fs.FS) (err error) {
	if b.file, err = fsys.Open(filepath.Join(b.dir, dataName)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			b.file.Close()
		}
	}()
	size, err := b.file.Size()
	if err != nil {
		return err
	}
	if size != b.Meta.Size {
		return fmt.Errorf("it has %d bytes, %s says %d", size, metaName, b.Meta.Size)
	}
	if b.footer, err = readFooter(b.file, size); err != nil {
		return err
	}
	if err := b.match(); err != nil {
		return err
	}
	if len(b.footer.groups) != int(b.Meta.RowGroups) {
		return fmt.Errorf("it has %d row groups, %s says %d", len(b.footer.groups), metaName, b.Meta.RowGroups)
	}
	for i := range b.footer.groups {
		b.parts = append(b.parts, newPart(b, i))
	}
	return nil
}

// Close closes the file.
func (b *Block) Close() error { return b.file.Close() }

// match finds the columns of the layout in the file. A column that the file lacks
// is as if it were empty, unless a trace cannot be read without it.
func (b *Block) match() error {
	_, extra := b.footer.byPath[extraColumn]
	root, err := b.Meta.Format.layout(b.Meta.Dedicated, extra)
	if err != nil {
		return err
	}
	for _, l := range root.leaves() {
		at, ok := b.footer.byPath[l.name()]
		if !ok {
			if needed[fieldOf{l.of, l.field}] {
				return fmt.Errorf("column %s is not there", l.name())
			}
			continue
		}
		f := &b.footer.leaves[at]
		if f.typ != l.typ || f.def != l.maxDef || f.rep != l.maxRep {
			return fmt.Errorf("column %s has type %s and levels %d and %d: want %s, %d and %d", l.name(), f.typ, f.def, f.rep, l.typ, l.maxDef, l.maxRep)
		}
		b.columns = append(b.columns, &stored{leaf: l, file: f, at: at})
	}
	return nil
}

// fieldOf is a column by its meaning.
type fieldOf struct {
	of    owner
	field field
}

// needed are the columns without which a block cannot be read.
var needed = map[fieldOf]bool{
	{ofTrace, fieldID}: true, {ofSpan, fieldID}: true, {ofSpan, fieldParent}: true, {ofSpan, fieldName}: true, {ofSpan, fieldKind}: true,
	{ofSpan, fieldStatus}: true, {ofSpan, fieldStart}: true, {ofSpan, fieldDuration}: true, {ofResource, fieldService}: true,
}

// stored returns a column by its meaning, or nil.
func (b *Block) stored(of owner, f field) *stored {
	for _, c := range b.columns {
		if c.of == of && c.field == f {
			return c
		}
	}
	return nil
}

// own returns the columns of attributes that have one of their own, of a kind of
// row, in the order of the file.
func (b *Block) own(of owner) (own []*stored) {
	for _, c := range b.columns {
		if c.of == of && c.isOwn() {
			own = append(own, c)
		}
	}
	return own
}

// read decodes a column of a row group. A nil column has no values.
func (b *Block) read(ctx context.Context, group int, c *stored, want wants) (v *values, err error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if c == nil {
		return &values{column: &fileColumn{}}, nil
	}
	at := &b.footer.groups[group].chunks[c.at]
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v\n%s", p, debug.Stack())
		}
		if err != nil {
			v, err = nil, b.damage(group, c, err)
		}
	}()
	buffer := make([]byte, at.size)
	if _, err := b.file.ReadAt(buffer, at.offset); err != nil {
		return nil, err
	}
	return decodeChunk(buffer, c.file, at, want)
}

// damage says where an error was met.
func (b *Block) damage(group int, c *stored, err error) error {
	return fmt.Errorf("read block %s: %s: row group %d, column %s: %w", b.Meta.ID, dataName, group, c.name(), err)
}

// texts tells whether a column holds byte strings.
func (c *stored) texts() bool { return c.typ == format.ByteArray }
