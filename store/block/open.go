package block

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"runtime/debug"
	"sync"

	"github.com/parquet-go/parquet-go/format"

	"etude/internal/fs"
	"etude/store/block/layout"
	"etude/store/block/sidecar"
	"etude/trace"
)

// Block is an open block. Any goroutine may use it until Close.
type Block struct {
	Meta *Meta

	dir     string
	file    fs.File
	sidecar fs.File // nil if Open could not write it
	stamp   sidecar.Stamp
	footer  *footer
	columns []*stored // the columns of the layout that the file has
	parts   []*part
	cache   *Cache
	listed  func() []bool // by part; see listedParts
	bare    bool          // without the facts of a sidecar
	old     bool          // the sidecar lacks facts that this version writes
	anySum  bool          // for tests: decode pages whose checksum is wrong
	users   int           // snapshots, and the Set; guarded by the Set
	gone    func()
}

// stored is a leaf of the layout with its place in the file.
type stored struct {
	*layout.Leaf
	file *fileColumn
	at   int
}

// Open opens the block in a folder. Columns that are read stay in the cache. If the
// sidecar cannot be used, Open reads the whole block and writes a new one.
func Open(ctx context.Context, fsys fs.FS, dir string, cache *Cache) (*Block, error) {
	b, err := OpenBare(fsys, dir, cache)
	if err != nil || !b.Bare() {
		return b, err
	}
	facts, err := b.survey(ctx, func() {})
	if err != nil {
		b.Close()
		return nil, err
	}
	b.complete(fsys, facts)
	return b, nil
}

// OpenBare is Open without the survey: if the sidecar is missing or stale, the block is Bare. A query then
// reads the block unless the block's times rule it out.
func OpenBare(fsys fs.FS, dir string, cache *Cache) (*Block, error) {
	meta, err := layout.ReadMeta(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("open block %s: %w", filepath.Base(dir), err)
	}
	b := &Block{Meta: meta, dir: dir, cache: cache}
	if err := b.open(fsys); err != nil {
		return nil, fmt.Errorf("open block %s: %s: %w", filepath.Base(dir), layout.DataName, err)
	}
	if b.openSidecar(fsys) == nil {
		return b, nil
	}
	if err := b.estimate(); err != nil {
		b.Close()
		return nil, fmt.Errorf("open block %s: %s: %w", filepath.Base(dir), layout.DataName, err)
	}
	return b, nil
}

// Bare reports whether the block was opened without a sidecar.
func (b *Block) Bare() bool { return b.bare }

// Outdated reports whether the block has no sidecar, or that of an earlier version. Surveyed mends it.
func (b *Block) Outdated() bool { return b.bare || b.old }

// Surveyed reads all of an Outdated block, writes its sidecar, and returns the block opened again. Surveyed calls
// pause between two row groups, so that the caller can let other work go first. If no sidecar can be written,
// the block that it returns has the facts in memory.
func (b *Block) Surveyed(ctx context.Context, fsys fs.FS, pause func()) (*Block, error) {
	again, err := OpenBare(fsys, b.dir, b.cache)
	if err != nil || !again.Outdated() {
		return again, err
	}
	facts, err := again.survey(ctx, pause)
	if err != nil {
		again.Close()
		return nil, err
	}
	again.complete(fsys, facts)
	return again, nil
}

func (b *Block) open(fsys fs.FS) (err error) {
	if b.file, err = fsys.Open(filepath.Join(b.dir, layout.DataName)); err != nil {
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
		return fmt.Errorf("it has %d bytes, %s says %d", size, MetaName, b.Meta.Size)
	}
	b.stamp.Size = size
	if b.footer, b.stamp.Footer, err = readFooter(b.file, size); err != nil {
		return err
	}
	if err := b.match(); err != nil {
		return err
	}
	if len(b.footer.groups) != int(b.Meta.RowGroups) {
		return fmt.Errorf("it has %d row groups, %s says %d", len(b.footer.groups), MetaName, b.Meta.RowGroups)
	}
	for i := range b.footer.groups {
		b.parts = append(b.parts, newPart(b, i))
	}
	b.listed = sync.OnceValue(b.listedParts)
	return nil
}

// Close closes the files. The block only reads them, so an error loses no data.
func (b *Block) Close() {
	b.cache.drop(b)
	b.file.Close()
	if b.sidecar != nil {
		b.sidecar.Close()
	}
}

// openSidecar reads the facts about the parts from the sidecar.
func (b *Block) openSidecar(fsys fs.FS) error {
	name := filepath.Join(b.dir, layout.SidecarName)
	data, err := fs.ReadStart(fsys, name, b.maxSidecar())
	if err != nil {
		return err
	}
	facts, err := sidecar.Parse(data, b.stamp, len(b.parts))
	if err != nil {
		return err
	}
	file, err := fsys.Open(name)
	if err != nil {
		return err
	}
	b.know(facts)
	b.sidecar, b.old = file, sidecar.Old(data)
	return nil
}

// know stores the facts of a sidecar in the block.
func (b *Block) know(facts []sidecar.Facts) {
	for i := range b.parts {
		b.parts[i].facts = facts[i]
	}
	b.bare = false
}

// complete stores the facts of a survey. If the folder is read-only, the block has its facts in memory and no sidecar.
func (b *Block) complete(fsys fs.FS, facts []sidecar.Facts) {
	err := sidecar.Write(fsys, b.dir, b.stamp, facts)
	b.know(facts)
	if b.old = false; b.sidecar != nil {
		b.sidecar.Close()
		b.sidecar = nil // Its frames are at other places.
	}
	if err == nil {
		b.sidecar, _ = fsys.Open(filepath.Join(b.dir, layout.SidecarName))
	}
}

// estimate fills in the facts of a Bare block. Another program's block has no parts of ours in its footer;
// estimate then takes the times of meta.json, as Tempo does.
func (b *Block) estimate() error {
	infos, err := b.infos()
	if err != nil {
		return err
	}
	at := b.stored(layout.OfSpan, layout.FieldID).at
	from, to := max(0, b.Meta.Start.Unix())*1e9, max(0, b.Meta.End.Unix()+1)*1e9
	for i := range b.parts {
		info := layout.PartInfo{Spans: int(b.footer.groups[i].chunks[at].entries), MinStart: uint64(from), MaxEnd: uint64(to), FirstArrival: from, LastArrival: to}
		if infos != nil {
			info = infos[i]
		}
		b.parts[i].facts = sidecar.Unknown(info)
	}
	b.bare = true
	return nil
}

// maxSidecar bounds the bytes of a sidecar: an honest one is a tenth of its block.
func (b *Block) maxSidecar() int64 {
	return 1<<20 + 2*min(b.stamp.Size, 1<<30)
}

// survey reads the whole block to compute the facts of a sidecar, one row group at a time.
func (b *Block) survey(ctx context.Context, pause func()) ([]sidecar.Facts, error) {
	infos, err := b.infos()
	if err != nil {
		return nil, err
	}
	own := *b // with a cache of its own
	own.cache = NewCache(0)
	facts := make([]sidecar.Facts, len(b.parts))
	var s sidecar.Builder
	defer s.End()
	for i := range b.parts {
		pause()
		p := newPart(&own, i)
		p.facts = b.parts[i].facts
		v, err := p.open(ctx, trace.Everything())
		if err != nil {
			return nil, err
		}
		s.Begin([]*sidecar.Source{sidecar.NewSource(v)})
		for number := range v.TraceIDs {
			for row := range v.Rows(uint32(number)) {
				s.Span(0, row)
			}
			s.EndTrace()
		}
		s.EndGroup()
		info := infoOf(v)
		if infos != nil {
			info.FirstArrival, info.LastArrival = infos[i].FirstArrival, infos[i].LastArrival
		}
		one, err := s.Facts([]layout.PartInfo{info}, pause)
		if err != nil {
			return nil, err
		}
		facts[i] = one[0]
	}
	return facts, nil
}

// infos returns the file's facts about its parts; nil for none.
func (b *Block) infos() ([]layout.PartInfo, error) {
	if b.footer.parts == nil {
		return nil, nil
	}
	return layout.ParseParts(b.footer.parts, len(b.parts))
}

// listedParts says for each part whether the file says that no trace keeps an attribute list whole.
func (b *Block) listedParts() []bool {
	listed := make([]bool, len(b.parts))
	infos, err := b.infos()
	if err != nil {
		return listed
	}
	for i := range infos {
		listed[i] = infos[i].Listed
	}
	return listed
}

// infoOf returns the bounds of a View. The file does not record when spans arrived, so the bounds assume that
// each arrived when it ended.
func infoOf(v *trace.View) layout.PartInfo {
	info := layout.PartInfo{Spans: v.Spans()}
	for row := range uint32(v.Spans()) {
		began := v.Began(row)
		if row == 0 || began < info.MinStart {
			info.MinStart = began
		}
		info.MaxEnd = max(info.MaxEnd, v.End[row], began)
	}
	info.FirstArrival, info.LastArrival = int64(min(info.MinStart, math.MaxInt64)), int64(min(info.MaxEnd, math.MaxInt64))
	return info
}

// match finds the columns of the layout in the file. A missing column counts as empty, but a missing needed
// column is an error.
func (b *Block) match() error {
	_, extra := b.footer.byPath[layout.ExtraColumn]
	root, err := b.Meta.Format.Layout(b.Meta.Dedicated, extra)
	if err != nil {
		return err
	}
	for _, l := range root.Leaves() {
		at, ok := b.footer.byPath[l.Name()]
		if !ok {
			if needed[fieldOf{l.Of, l.Field}] {
				return fmt.Errorf("column %s is not there", l.Name())
			}
			continue
		}
		f := &b.footer.leaves[at]
		if f.typ != l.Typ || f.def != l.MaxDef || f.rep != l.MaxRep {
			return fmt.Errorf("column %s has type %s and levels %d and %d: want %s, %d and %d", l.Name(), f.typ, f.def, f.rep, l.Typ, l.MaxDef, l.MaxRep)
		}
		b.columns = append(b.columns, &stored{Leaf: l, file: f, at: at})
	}
	return nil
}

// fieldOf names a column by its meaning.
type fieldOf struct {
	of    layout.Owner
	field layout.Field
}

// needed are the columns without which a block cannot be read.
var needed = map[fieldOf]bool{
	{layout.OfTrace, layout.FieldID}: true, {layout.OfTrace, layout.FieldStart}: true, {layout.OfTrace, layout.FieldEnd}: true, {layout.OfSpan, layout.FieldID}: true, {layout.OfSpan, layout.FieldParent}: true, {layout.OfSpan, layout.FieldName}: true, {layout.OfSpan, layout.FieldKind}: true,
	{layout.OfSpan, layout.FieldStatus}: true, {layout.OfSpan, layout.FieldStart}: true, {layout.OfSpan, layout.FieldDuration}: true, {layout.OfResource, layout.FieldService}: true,
}

// stored returns the column with a meaning, or nil.
func (b *Block) stored(of layout.Owner, f layout.Field) *stored {
	for _, c := range b.columns {
		if c.Of == of && c.Field == f {
			return c
		}
	}
	return nil
}

// own returns the dedicated and static attribute columns of an owner, in the order of the file.
func (b *Block) own(of layout.Owner) (own []*stored) {
	for _, c := range b.columns {
		if c.Of == of && c.IsOwn() {
			own = append(own, c)
		}
	}
	return own
}

// read decodes a column of the row group. A nil column has no values.
func (p *reading) read(ctx context.Context, c *stored, want wants) (v *values, err error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if c == nil {
		return &values{column: &fileColumn{}}, nil
	}
	b, at := p.b, &p.b.footer.groups[p.number].chunks[c.at]
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%v\n%s", cause, debug.Stack())
		}
		if err != nil {
			v, err = nil, b.damage(p.number, c, err)
		}
	}()
	want.anySum, want.only = b.anySum, p.only
	if p.only != nil && at.index != 0 {
		return p.readPageOnce(c, at, want)
	}
	buffer := make([]byte, at.size)
	if _, err := b.file.ReadAt(buffer, at.offset); err != nil {
		return nil, err
	}
	return decodeChunk(buffer, c.file, at, want)
}

// damage adds the file, row group and column to an error.
func (b *Block) damage(group int, c *stored, err error) error {
	return fmt.Errorf("read block %s: %s: row group %d, column %s: %w", b.Meta.ID, layout.DataName, group, c.Name(), err)
}

// texts reports whether a column holds byte strings.
func (c *stored) texts() bool { return c.Typ == format.ByteArray }
