package block

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/parquet-go/parquet-go/format"

	"etude/internal/fs"
	"etude/store/block/layout"
	"etude/store/block/write"
	"etude/trace"
)

// Verify checks that a block obeys Tempo's format: its files agree with each other, and every derived column (nested
// sets, child counts, times of traces, roots, service stats, span counts, rounded times) has the derived values.
//
// It decodes each row group into a View, shreds the View again as a writer would, and compares the columns.

// Report has the findings of Verify.
type Report struct {
	Meta   *Meta
	Spans  int
	Faults []string // faults, in words; at most maxFaults
}

const maxFaults = 100

// Verify reads a whole block. It returns an error only if it cannot read the block at all.
func Verify(ctx context.Context, fsys fs.FS, dir string) (*Report, error) {
	b, err := Open(ctx, readOnly{fsys}, dir, NewCache(0))
	if err != nil {
		return nil, err
	}
	defer b.Close()
	v := &verifier{ctx: ctx, fs: fsys, dir: dir, b: b, report: &Report{Meta: b.Meta}}
	for _, check := range []func() error{v.meta, v.columns, v.rowGroups, v.beside} {
		if err := check(); err != nil {
			v.fault("%v", err)
		}
	}
	return v.report, ctx.Err()
}

// readOnly is a file system that refuses to create files, so Open writes no sidecar.
type readOnly struct{ fs.FS }

func (readOnly) Create(name string) (fs.File, error) {
	return nil, fmt.Errorf("create %s: the block is only read", name)
}

type verifier struct {
	ctx    context.Context
	fs     fs.FS
	dir    string
	b      *Block
	report *Report

	ids        []trace.TraceID
	lastIDs    []string // of row groups
	start, end uint64
}

func (v *verifier) fault(format string, args ...any) {
	if len(v.report.Faults) < maxFaults {
		v.report.Faults = append(v.report.Faults, fmt.Sprintf(format, args...))
	}
}

// meta checks the members of meta.json that Open does not.
func (v *verifier) meta() error {
	m := v.b.Meta
	if name := filepath.Base(v.dir); name != m.ID.String() {
		v.fault("%s: blockID is %s, the folder is %s", MetaName, m.ID, name)
	}
	if m.Replication != 1 {
		v.fault("%s: replicationFactor is %d: Tempo's metrics queries skip such a block; want 1", MetaName, m.Replication)
	}
	if allowed := m.Format.Allowed(m.Dedicated); len(allowed) != len(m.Dedicated) {
		v.fault("%s: %d dedicated columns, of which %s can have %d", MetaName, len(m.Dedicated), m.Format, len(allowed))
	}
	var tail [8]byte
	if _, err := v.b.file.ReadAt(tail[:], m.Size-8); err != nil {
		return fmt.Errorf("read the end of %s: %w", layout.DataName, err)
	}
	if size := binary.LittleEndian.Uint32(tail[:]); size != m.FooterSize {
		v.fault("%s: footerSize is %d, the footer has %d bytes", MetaName, m.FooterSize, size)
	}
	if v.b.footer.rows != m.Traces {
		v.fault("%s: totalObjects is %d, %s has %d traces", MetaName, m.Traces, layout.DataName, v.b.footer.rows)
	}
	return nil
}

// columns checks that the file has the columns of its version in their order.
func (v *verifier) columns() error {
	root, err := v.b.Meta.Format.Layout(v.b.Meta.Dedicated, false)
	if err != nil {
		return err
	}
	want := root.Leaves()
	for i, l := range want {
		if i >= len(v.b.footer.leaves) || v.b.footer.leaves[i].path != l.Name() {
			v.fault("%s: column %d must be %s: traces by id are read by position", layout.DataName, i, l.Name())
			return nil
		}
	}
	for i, l := range v.b.footer.leaves {
		if i >= len(want) && l.path != layout.ExtraColumn {
			v.fault("%s: column %s is not of the format", layout.DataName, l.path)
		}
	}
	return nil
}

func (v *verifier) rowGroups() error {
	for _, p := range v.b.parts {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		if err := v.rowGroup(p); err != nil {
			return fmt.Errorf("row group %d: %w", p.number, err)
		}
	}
	return nil
}

// beside checks the other files of the folder, and the times of meta.json.
func (v *verifier) beside() error {
	m := v.b.Meta
	second := func(ns uint64) time.Time { return time.Unix(int64(ns/1e9), 0) }
	if !m.Start.Truncate(time.Second).Equal(second(v.start)) || !m.End.Truncate(time.Second).Equal(second(v.end)) {
		v.fault("%s: startTime and endTime are %s and %s, the traces run from %s to %s", MetaName, m.Start.UTC(), m.End.UTC(), second(v.start).UTC(), second(v.end).UTC())
	}
	if err := v.index(); err != nil {
		return err
	}
	return v.bloom()
}

func (v *verifier) index() error {
	data, err := fs.ReadStart(v.fs, filepath.Join(v.dir, layout.IndexName), layout.MaxIndex)
	if fs.IsNotExist(err) {
		return nil // Tempo does not need it.
	}
	var index layout.Index
	if err == nil {
		err = json.Unmarshal(data, &index)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", layout.IndexName, err)
	}
	if fmt.Sprint(index.RowGroups) != fmt.Sprint(v.lastIDs) {
		v.fault("%s: it does not have the last trace id of each row group", layout.IndexName)
	}
	return nil
}

func (v *verifier) bloom() error {
	shards := make([]layout.BloomFile, v.b.Meta.BloomShards)
	for i := range shards {
		data, err := fs.ReadStart(v.fs, filepath.Join(v.dir, layout.BloomName(i)), layout.MaxIndex)
		if err == nil {
			shards[i], err = layout.ParseBloom(data)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", layout.BloomName(i), err)
		}
	}
	for _, id := range v.ids {
		if shard := layout.ShardOf(id, len(shards)); !shards[shard].MayHave(id) {
			v.fault("%s: trace %s is missing", layout.BloomName(shard), id)
		}
	}
	return nil
}

// rowGroup checks a row group against its spans.
func (v *verifier) rowGroup(p *part) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v\n%s", r, debug.Stack())
		}
	}()
	view, err := p.open(v.ctx, trace.Everything())
	if err != nil {
		return err
	}
	v.report.Spans += view.Spans()
	if len(view.TraceIDs) == 0 {
		v.fault("row group %d has no traces", p.number)
		return nil
	}
	for _, id := range view.TraceIDs {
		if n := len(v.ids); n > 0 && bytes.Compare(v.ids[n-1][:], id[:]) >= 0 {
			v.fault("row group %d: trace %s does not follow trace %s: ids must ascend", p.number, id, v.ids[n-1])
		}
		v.ids = append(v.ids, id)
	}
	last := view.TraceIDs[len(view.TraceIDs)-1]
	v.lastIDs = append(v.lastIDs, base64.StdEncoding.EncodeToString(last[:]))
	if v.b.Meta.Format == VParquet3 {
		return nil // Its columns are not written here.
	}
	return v.derived(p, view)
}

// derived compares each derived column with the computed one.
func (v *verifier) derived(p *part, view *trace.View) error {
	d, err := write.Derive(view, v.b.Meta.Format, v.b.Meta.Dedicated)
	if err != nil {
		return err
	}
	start, end := d.Bounds()
	if len(v.lastIDs) == 1 || start < v.start {
		v.start = start
	}
	v.end = max(v.end, end)
	for _, l := range d.Columns() {
		if err := v.compare(p, d, l); err != nil {
			return err
		}
	}
	return v.encodings(p)
}

// compare compares a column of the file with the right one.
func (v *verifier) compare(p *part, d *write.Derived, l *layout.Leaf) error {
	got, err := p.column(v.ctx, l.Of, l.Field)
	if err != nil || got == nil {
		return err
	}
	switch {
	case l.Of == layout.OfStats:
		return v.stats(p, d, got)
	case l.Field == layout.FieldSpanCount:
		return v.spanCounts(p, got)
	}
	want, err := d.Values(l)
	if err != nil {
		return err
	}
	n := len(got.nums) + len(got.index)
	if n != len(want) {
		v.fault("row group %d: column %s has %d values, want %d", p.number, l.Name(), n, len(want))
		return nil
	}
	for i := range n {
		is, must := got.shown(i), want[i]
		if is == must || l.Field == layout.FieldChildCount && !d.Rooted(i) { // Tempo leaves noise in traces without a root.
			continue
		}
		v.fault("row group %d: column %s, value %d (trace %s) is %s, and must be %s", p.number, l.Name(), i, d.Trace(l, i), is, must)
		return nil
	}
	return nil
}

// shown returns a value as text.
func (v *values) shown(i int) string {
	if len(v.index) > 0 {
		return string(v.text(i))
	}
	return fmt.Sprint(int64(v.nums[i]))
}

// spanCounts compares SpanCount with the spans that each scope has.
func (v *verifier) spanCounts(p *part, got *values) error {
	spans, err := p.column(v.ctx, layout.OfSpan, layout.FieldID)
	if err != nil || spans == nil {
		return err
	}
	var counts []uint64
	for i, rep := range spans.rep {
		if rep < layout.MaxLevel[layout.OfSpan] || i == 0 {
			counts = append(counts, 0)
		}
		if spans.def[i] == layout.MaxLevel[layout.OfSpan] {
			counts[len(counts)-1]++
		}
	}
	if fmt.Sprint(counts) != fmt.Sprint(got.nums) {
		v.fault("row group %d: SpanCount is not the number of spans of each scope", p.number)
	}
	return nil
}

// stats compares ServiceStats, which may be in any order.
func (v *verifier) stats(p *part, d *write.Derived, services *values) error {
	spans, err := p.column(v.ctx, layout.OfStats, layout.FieldSpanCount)
	if err != nil {
		return err
	}
	errs, err := p.column(v.ctx, layout.OfStats, layout.FieldErrorCount)
	if err != nil || spans == nil || errs == nil {
		return err
	}
	type key struct {
		trace   int
		service string
	}
	count := map[key][2]uint64{}
	at, row := 0, -1
	for i, rep := range services.rep {
		if rep == 0 {
			row++
		}
		if services.def[i] == layout.MaxLevel[layout.OfStats] {
			count[key{row, services.shown(at)}] = [2]uint64{spans.nums[at], errs.nums[at]}
			at++
		}
	}
	for _, s := range d.Services() {
		k := key{s.Number, s.Name}
		if count[k] != [2]uint64{uint64(s.Spans), uint64(s.Errors)} {
			v.fault("row group %d: ServiceStats of trace %s, service %q is %v, and must be %d spans and %d errors", p.number, s.Trace, k.service, count[k], s.Spans, s.Errors)
			return nil
		}
		delete(count, k)
	}
	if len(count) > 0 {
		v.fault("row group %d: ServiceStats has %d services without spans", p.number, len(count))
	}
	return nil
}

// encodings checks the two rules about encodings that Tempo's answers depend on.
func (v *verifier) encodings(p *part) error {
	for _, c := range v.b.columns {
		nested := c.Of == layout.OfSpan && (c.Field == layout.FieldParentLeft || c.Field == layout.FieldLeft || c.Field == layout.FieldRight)
		if !nested && c.Field != layout.FieldKey {
			continue
		}
		at := &v.b.footer.groups[p.number].chunks[c.at]
		data := make([]byte, at.size)
		if _, err := v.b.file.ReadAt(data, at.offset); err != nil {
			return err
		}
		for len(data) > 0 {
			h, rest, err := readHeader(data)
			if err != nil {
				return err
			}
			data = rest[h.compressed:]
			coded := h.encoding == format.RLEDictionary || h.encoding == plainDictionary
			if h.kind != format.DictionaryPage && coded == nested {
				v.fault("row group %d: column %s is encoded as %s, which Tempo does not read right", p.number, c.Name(), h.encoding)
				break
			}
		}
	}
	return nil
}

// column reads a column of the part with its levels. It returns nil if the file lacks the column.
func (p *part) column(ctx context.Context, of layout.Owner, f layout.Field) (*values, error) {
	c := p.b.stored(of, f)
	if c == nil {
		return nil, nil
	}
	if err := p.hold(ctx); err != nil {
		return nil, err
	}
	defer p.release()
	r, err := p.begin(ctx)
	if err != nil {
		return nil, err
	}
	return r.read(ctx, c, wants{rep: true, def: true})
}
