// Package write writes Views as blocks. It shreds the rows of a row group into columns (shred.go), encodes one
// column at a time (page.go), and writes the files of a block in order (write.go). join.go joins several blocks
// into one.
package write

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"time"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"etude/internal/fs"
	"etude/store/block/layout"
	"etude/store/block/sidecar"
	"etude/trace"
)

// Options say how Write makes blocks. A zero value means the default that its comment names.
type Options struct {
	FS        fs.FS              // the operating system's
	Dir       string             // of the tenant
	Tenant    string             // single-tenant
	Format    layout.Format      // VParquet5; or VParquet4
	Dedicated []layout.Dedicated // nil: chosen from the spans
	Before    []layout.Dedicated // of the previous block; Write keeps them if they are about as good as the best choice
	Level     uint32             // of compaction
	PageSpans int                // spans of a page, about; 8192
	// GroupBytes bounds the texts and rows of a row group, before compression, in bytes. 64 MiB. A page has an eighth of it.
	// A single span may be larger.
	GroupBytes int
	// The writer calls Pause between two columns, so that other work can go first.
	Pause func()
	// Write puts Origin into meta.json under "etude", for the store.
	Origin json.RawMessage

	tamper   func(*layout.Leaf, *columnData) // with it, tests write wrong blocks
	indirect bool                            // for tests: no level is direct
}

// SingleTenant is the tenant of a store without tenants, as Tempo names it.
const SingleTenant = "single-tenant"

func (o *Options) setDefaults() {
	if o.FS == nil {
		o.FS = fs.OS
	}
	if o.Tenant == "" {
		o.Tenant = SingleTenant
	}
	if o.Format == "" {
		o.Format = layout.VParquet5
	}
	if o.PageSpans <= 0 {
		o.PageSpans = layout.DefaultPageSpan
	}
	if o.GroupBytes <= 0 {
		o.GroupBytes = 64 << 20
	}
	if o.Pause == nil {
		o.Pause = func() {}
	}
}

// Write writes the spans of some Views as a block. The Views come in the order of arrival. Write writes a span
// once even if several Views have it. Spans of a trace that is too large for a row group (trace.MaxRows,
// GroupBytes) go to further blocks; the first block appears last, and names the others in its meta.json.
//
// A block appears whole or not at all: Write writes and syncs all files, and only then gives meta.json its
// name. After an error no block has appeared. In rare cases Write leaves further blocks whose first block does
// not exist (see [layout.Meta]), or a folder without a meta.json.
func Write(ctx context.Context, o Options, views []*trace.View) ([]*layout.Meta, error) {
	o.setDefaults()
	var sources []*source
	for _, v := range views {
		if v.Spans() > 0 {
			sources = append(sources, newSource(v, len(sources)))
		}
	}
	if len(sources) == 0 {
		return nil, errors.New("write block: there are no spans")
	}
	if o.Dedicated == nil {
		o.Dedicated = choose(o.Format, sources, o.Before)
	}
	o.Dedicated = o.Format.Allowed(o.Dedicated)
	p := newPlan(sources, o.GroupBytes)
	first := layout.NewID()
	metas := make([]*layout.Meta, len(p.layers))
	for layer := len(p.layers) - 1; layer >= 0; layer-- {
		id := first
		if layer > 0 {
			id = layout.NewID()
		}
		w := &blockWriter{o: o, id: id, ctx: ctx}
		m, err := w.write(p, p.layers[layer], first)
		if err != nil {
			return nil, fmt.Errorf("write block %s: %w", id, err)
		}
		metas[layer] = m
	}
	return metas, nil
}

// workshop is the memory for writing blocks, about 40 MB for a block of eight full row groups.
type workshop struct {
	shredder shredder
	pages    *pageWriter
	column   columnData
	dict     chunkDict
	facts    sidecar.Builder
}

// workshops keeps the last workshop for the next block. Rejected: a sync.Pool. Minutes
// lie between two cuts, and each garbage collection empties it, so every block would
// grow its memory again from nothing, which takes a fifth of the time.
var workshops = make(chan *workshop, 1)

// keptWorkshop bounds the buffers of texts and pages of a kept workshop, in bytes.
const keptWorkshop = 32 << 20

func openWorkshop() *workshop {
	select {
	case w := <-workshops:
		return w
	default:
		return &workshop{pages: &pageWriter{packer: newPacker()}}
	}
}

// close keeps the workshop for the next block, unless one is already kept or large values have made it large.
func (w *workshop) close() {
	p := w.pages
	if cap(w.column.bytes)+cap(p.raw)+cap(p.values)+cap(p.out)+cap(p.packer.out) > keptWorkshop {
		return
	}
	select {
	case workshops <- w:
	default:
	}
}

// blockWriter writes one block.
type blockWriter struct {
	o      Options
	id     layout.ID
	ctx    context.Context
	root   *layout.Node
	leaves []*layout.Leaf
	tools  *workshop
	thrift thrift.CompactProtocol

	file       fs.File
	at         int64 // bytes written
	buf        []byte
	footer     format.FileMetaData
	columns    []byte // column indexes, offset indexes: encoded
	offsets    []byte
	parts      []layout.PartInfo
	facts      []sidecar.Facts // for the sidecar
	footerSum  uint32          // CRC-32C
	lastIDs    []string        // of row groups, in base64
	footerSize uint32
	bloom      *layout.BloomShards
	traces     int64
	start      uint64 // least and greatest of the traces
	end        uint64
}

func (w *blockWriter) write(p *plan, groups []planGroup, first layout.ID) (m *layout.Meta, err error) {
	dir := layout.Folder(w.o.Dir, w.id)
	if err := w.o.FS.Mkdir(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, layout.RemoveFolder(w.o.FS, dir))
		}
	}()
	if err := w.data(p, groups, dir); err != nil {
		return nil, err
	}
	m = w.meta()
	if w.id != first {
		m.First = &first
	}
	return m, w.beside(m, dir)
}

// data writes data.parquet.
func (w *blockWriter) data(p *plan, groups []planGroup, dir string) (err error) {
	traces := 0
	for _, g := range groups {
		traces += len(g.traces)
	}
	if err := w.create(dir, traces); err != nil {
		return err
	}
	defer func() { err = w.seal(err) }()
	g := w.shredder(p, groups)
	defer g.begin(nil, 0, 0)
	w.sources(p)
	defer w.tools.facts.End()
	for i := range groups {
		if err := w.group(g, &groups[i]); err != nil {
			return err
		}
	}
	return w.summed()
}

// create begins data.parquet of so many traces; seal ends it.
func (w *blockWriter) create(dir string, traces int) (err error) {
	if w.root, err = w.o.Format.Layout(w.o.Dedicated, true); err != nil {
		return err
	}
	w.leaves = w.root.Leaves()
	w.bloom = layout.NewBloomShards(traces)
	if w.file, err = w.o.FS.Create(filepath.Join(dir, layout.DataName)); err != nil {
		return err
	}
	w.tools = openWorkshop()
	return w.put([]byte("PAR1"))
}

// seal makes the file whole, unless there was an error before.
func (w *blockWriter) seal(err error) error {
	w.tools.close()
	w.tools = nil
	if err == nil {
		err = w.finish()
	}
	if err == nil {
		err = w.flush()
	}
	if err == nil {
		err = w.file.Sync()
	}
	return errors.Join(err, w.file.Close())
}

// put appends to the file through a buffer, because most columns are small.
func (w *blockWriter) put(b []byte) error {
	w.at += int64(len(b))
	if len(b) >= writeBytes { // It needs no copy.
		if err := w.flush(); err != nil {
			return err
		}
		_, err := w.file.Write(b)
		return err
	}
	w.buf = append(w.buf, b...)
	if len(w.buf) < writeBytes {
		return nil
	}
	return w.flush()
}

func (w *blockWriter) flush() error {
	_, err := w.file.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

const writeBytes = 256 << 10

// shredder returns the shredder of the workshop, ready for some row groups of a plan.
func (w *blockWriter) shredder(p *plan, groups []planGroup) *shredder {
	g := &w.tools.shredder
	g.begin(p, w.o.PageSpans, w.o.GroupBytes/8)
	for l := range trace.Levels {
		g.own[l] = newOwnColumns(w.o.Format, w.leaves, layout.OwnerOf[l])
	}
	g.indirect = w.o.indirect
	g.arrange(groups, w.o.Pause)
	return g
}

// group writes a row group.
func (w *blockWriter) group(g *shredder, group *planGroup) error {
	ordinal := len(w.parts)
	g.load(group)
	w.remember(g, group)
	w.summarize(g)
	if err := w.rowGroup(g, int16(ordinal)); err != nil {
		return fmt.Errorf("row group %d: %w", ordinal, err)
	}
	return nil
}

// sources begins the sidecar's facts about the row groups of a plan.
func (w *blockWriter) sources(p *plan) {
	sources := make([]*sidecar.Source, len(p.sources))
	for i, s := range p.sources {
		sources[i] = s.all
	}
	w.tools.facts.Begin(sources)
}

// summarize says which spans are in a row group. The sidecar's facts come from the columns of the sources, which have
// the values as codes.
func (w *blockWriter) summarize(g *shredder) {
	b, spans, scopes := &w.tools.facts, g.rows[layout.OfSpan].at, g.rows[layout.OfScope].at
	span, scope := 0, 0
	for i := range g.traces {
		for ; scope < g.scopeEnds[i]; scope++ {
			b.Run(int(scopes[scope].src), scopes[scope].row, int(g.scopeSpans[scope]))
		}
		for ; span < g.traces[i].spans; span++ {
			b.Row(int(spans[span].src), spans[span].row)
		}
		b.EndTrace()
	}
	b.EndGroup()
}

// summed ends what sources began.
func (w *blockWriter) summed() error {
	facts, err := w.tools.facts.Facts(w.parts[len(w.facts):], w.o.Pause)
	w.facts = append(w.facts, facts...)
	return err
}

// remember keeps the facts about a row group for the other files of the block.
func (w *blockWriter) remember(g *shredder, group *planGroup) {
	for i := range g.traces {
		t := &g.traces[i]
		w.bloom.Add(t.id)
		if len(w.parts) == 0 && i == 0 || t.start < w.start {
			w.start = t.start
		}
		w.end = max(w.end, t.end)
	}
	w.traces += int64(len(g.traces))
	last := g.traces[len(g.traces)-1].id
	w.lastIDs = append(w.lastIDs, base64.StdEncoding.EncodeToString(last[:]))
	part := layout.PartInfo{Spans: group.spans, MinStart: g.minStart, MaxEnd: g.maxEnd, Listed: true}
	for l := range g.attrs {
		part.Listed = part.Listed && len(g.attrs[l].whole) == 0
	}
	for _, s := range g.plan.sources {
		first, last := s.v.Arrivals()
		if part.FirstArrival == 0 || first != 0 && first < part.FirstArrival {
			part.FirstArrival = first
		}
		part.LastArrival = max(part.LastArrival, last)
	}
	w.parts = append(w.parts, part)
}

func (w *blockWriter) rowGroup(g *shredder, ordinal int16) error {
	c, d := &w.tools.column, &w.tools.dict
	w.tools.pages.packer.begin(w.codec())
	rg := format.RowGroup{NumRows: int64(len(g.traces)), FileOffset: w.at, Ordinal: ordinal}
	firstRows := make([]int64, g.pages)
	for i, end := range g.rows[layout.OfTrace].ends[:g.pages-1] {
		firstRows[i+1] = int64(end)
	}
	for _, l := range w.leaves {
		w.o.Pause()
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if err := g.fill(l, c, d); err != nil {
			return err
		}
		if w.o.tamper != nil {
			w.o.tamper(l, c)
		}
		b, chunk, index, err := w.tools.pages.chunk(l, c, firstRows, w.at)
		if err != nil {
			return err
		}
		chunk.FileOffset = w.at
		if err := w.index(&chunk, &index); err != nil {
			return err
		}
		if err := w.put(b); err != nil {
			return err
		}
		rg.TotalByteSize += chunk.MetaData.TotalUncompressedSize
		rg.TotalCompressedSize += chunk.MetaData.TotalCompressedSize
		rg.Columns = append(rg.Columns, chunk)
	}
	w.footer.NumRows += rg.NumRows
	w.footer.RowGroups = append(w.footer.RowGroups, rg)
	return nil
}

// codec returns the compression of pages.
func (w *blockWriter) codec() format.CompressionCodec {
	if w.o.Level > 0 {
		return format.Zstd
	}
	return format.Snappy
}

// index encodes the indexes of a chunk. Their offsets are relative to the first index, whose place is not known yet.
func (w *blockWriter) index(chunk *format.ColumnChunk, x *chunkIndex) error {
	columns, err := thrift.Marshal(&w.thrift, &x.columns)
	if err != nil {
		return err
	}
	offsets, err := thrift.Marshal(&w.thrift, &x.offsets)
	if err != nil {
		return err
	}
	chunk.ColumnIndexOffset, chunk.ColumnIndexLength = int64(len(w.columns)), int32(len(columns))
	chunk.OffsetIndexOffset, chunk.OffsetIndexLength = int64(len(w.offsets)), int32(len(offsets))
	w.columns, w.offsets = append(w.columns, columns...), append(w.offsets, offsets...)
	return nil
}

// finish writes indexes and footer.
func (w *blockWriter) finish() error {
	for i := range w.footer.RowGroups {
		for j := range w.footer.RowGroups[i].Columns {
			chunk := &w.footer.RowGroups[i].Columns[j]
			chunk.ColumnIndexOffset += w.at
			chunk.OffsetIndexOffset += w.at + int64(len(w.columns))
		}
	}
	if err := errors.Join(w.put(w.columns), w.put(w.offsets)); err != nil {
		return err
	}
	parts, err := json.Marshal(w.parts)
	if err != nil {
		return err
	}
	w.footer.Version, w.footer.CreatedBy = 2, "etude"
	w.footer.Schema = layout.Elements(w.root)
	w.footer.KeyValueMetadata = []format.KeyValue{{Key: layout.PartsKey, Value: string(parts)}}
	for range w.leaves {
		w.footer.ColumnOrders = append(w.footer.ColumnOrders, format.ColumnOrder{Value: &format.TypeDefinedOrder{}})
	}
	footer, err := thrift.Marshal(&w.thrift, &w.footer)
	if err != nil {
		return err
	}
	w.footerSum = crc32.Checksum(footer, crc32.MakeTable(crc32.Castagnoli))
	size := len(footer)
	footer = binary.LittleEndian.AppendUint32(footer, uint32(size))
	w.footerSize = uint32(size)
	return w.put(append(footer, "PAR1"...))
}

func (w *blockWriter) meta() *layout.Meta {
	second := func(ns uint64) time.Time { return time.Unix(int64(ns/1e9), 0).UTC() }
	return &layout.Meta{Format: w.o.Format, ID: w.id, Tenant: w.o.Tenant, Start: second(w.start), End: second(w.end),
		Traces: w.traces, Size: w.at, CompactionLevel: w.o.Level, RowGroups: uint32(len(w.footer.RowGroups)),
		BloomShards: uint32(len(w.bloom.Words)), FooterSize: w.footerSize, Dedicated: w.o.Dedicated, Replication: 1, Origin: w.o.Origin}
}

// beside writes the other files of the block. It syncs all of them and the folder's name before meta.json makes
// the block exist.
func (w *blockWriter) beside(m *layout.Meta, dir string) error {
	for i := range w.bloom.Words {
		if err := writeSynced(w.o.FS, filepath.Join(dir, layout.BloomName(i)), w.bloom.File(i)); err != nil {
			return err
		}
	}
	index, err := json.Marshal(layout.Index{RowGroups: w.lastIDs})
	if err == nil {
		err = writeSynced(w.o.FS, filepath.Join(dir, layout.IndexName), index)
	}
	if err == nil {
		err = writeSynced(w.o.FS, filepath.Join(dir, layout.SidecarName), sidecar.Encode(sidecar.Stamp{Size: w.at, Footer: w.footerSum}, w.facts))
	}
	if err == nil {
		err = w.o.FS.SyncDir(dir)
	}
	if err == nil {
		err = w.o.FS.SyncDir(w.o.Dir)
	}
	if err != nil {
		return err
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	name := filepath.Join(dir, layout.MetaName)
	return fs.WriteFile(w.o.FS, dir, name+layout.TempSuffix, name, b)
}

func writeSynced(fsys fs.FS, name string, data []byte) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
