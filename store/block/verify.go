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
	"etude/trace"
)

// Verify proves that a block is as Tempo's format wants it: its files agree with each
// other, and every column that follows from others (nested sets, child counts, times
// of traces, roots, service stats, span counts, rounded times) is what follows.
//
// It decodes each row group into a View, shreds the View again as if it were to be
// written, and compares.

// Report is what Verify has found.
type Report struct {
	Meta   *Meta
	Spans  int
	Faults []string // what is wrong, in words; at most maxFaults
}

const maxFaults = 100

// Verify reads a whole block. The error is about a block that cannot be read at all.
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

// readOnly is a file system in which nothing can be made: so Open writes no sidecar.
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

// meta checks what meta.json says beside what Open has compared.
func (v *verifier) meta() error {
	m := v.b.Meta
	if name := filepath.Base(v.dir); name != m.ID.String() {
		v.fault("%s: blockID is %s, the folder is %s", metaName, m.ID, name)
	}
	if m.Replication != 1 {
		v.fault("%s: replicationFactor is %d: Tempo's metrics queries skip such a block; want 1", metaName, m.Replication)
	}
	if allowed := m.Format.allowed(m.Dedicated); len(allowed) != len(m.Dedicated) {
		v.fault("%s: %d dedicated columns, of which %s can have %d", metaName, len(m.Dedicated), m.Format, len(allowed))
	}
	var tail [8]byte
	if _, err := v.b.file.ReadAt(tail[:], m.Size-8); err != nil {
		return fmt.Errorf("read the end of %s: %w", dataName, err)
	}
	if size := binary.LittleEndian.Uint32(tail[:]); size != m.FooterSize {
		v.fault("%s: footerSize is %d, the footer has %d bytes", metaName, m.FooterSize, size)
	}
	if v.b.footer.rows != m.Traces {
		v.fault("%s: totalObjects is %d, %s has %d traces", metaName, m.Traces, dataName, v.b.footer.rows)
	}
	return nil
}

// columns checks that the file has the columns of its version in their order.
func (v *verifier) columns() error {
	root, err := v.b.Meta.Format.layout(v.b.Meta.Dedicated, false)
	if err != nil {
		return err
	}
	want := root.leaves()
	for i, l := range want {
		if i >= len(v.b.footer.leaves) || v.b.footer.leaves[i].path != l.name() {
			v.fault("%s: column %d must be %s: traces by id are read by position", dataName, i, l.name())
			return nil
		}
	}
	for i, l := range v.b.footer.leaves {
		if i >= len(want) && l.path != extraColumn {
			v.fault("%s: column %s is not of the format", dataName, l.path)
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

// beside checks the files beside data.parquet, and the times of meta.json.
func (v *verifier) beside() error {
	m := v.b.Meta
	second := func(ns uint64) time.Time { return time.Unix(int64(ns/1e9), 0) }
	if !m.Start.Truncate(time.Second).Equal(second(v.start)) || !m.End.Truncate(time.Second).Equal(second(v.end)) {
		v.fault("%s: startTime and endTime are %s and %s, the traces run from %s to %s", metaName, m.Start.UTC(), m.End.UTC(), second(v.start).UTC(), second(v.end).UTC())
	}
	if err := v.index(); err != nil {
		return err
	}
	return v.bloom()
}

func (v *verifier) index() error {
	data, err := fs.ReadStart(v.fs, filepath.Join(v.dir, indexName), maxIndex)
	if fs.IsNotExist(err) {
		return nil // Tempo does not need it.
	}
	var index blockIndex
	if err == nil {
		err = json.Unmarshal(data, &index)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", indexName, err)
	}
	if fmt.Sprint(index.RowGroups) != fmt.Sprint(v.lastIDs) {
		v.fault("%s: it does not have the last trace id of each row group", indexName)
	}
	return nil
}

func (v *verifier) bloom() error {
	shards := make([]bloomFile, v.b.Meta.BloomShards)
	for i := range shards {
		data, err := fs.ReadStart(v.fs, filepath.Join(v.dir, bloomName(i)), maxIndex)
		if err == nil {
			shards[i], err = parseBloom(data)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", bloomName(i), err)
		}
	}
	for _, id := range v.ids {
		if shard := shardOf(id, len(shards)); !shards[shard].mayHave(id) {
			v.fault("%s: trace %s is missing", bloomName(shard), id)
		}
	}
	return nil
}

// rowGroup checks a row group against what its spans say.
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

// derived shreds the View again and compares the columns that follow from others.
func (v *verifier) derived(p *part, view *trace.View) error {
	plan := &plan{sources: []*source{newSource(view)}}
	group := planGroup{spans: view.Spans()}
	for number, id := range view.TraceIDs {
		t := planTrace{id: id, number: uint32(number)}
		for range view.Rows(uint32(number)) {
			t.spans++
		}
		group.traces = append(group.traces, t)
	}
	g := &shredder{}
	g.begin(plan, trace.MaxRows)
	root, err := v.b.Meta.Format.layout(v.b.Meta.Dedicated, true)
	if err != nil {
		return err
	}
	leaves := root.leaves()
	for l := range trace.Levels {
		g.own[l] = newOwnColumns(v.b.Meta.Format, leaves, ownerOf[l])
	}
	g.load(&group)
	for _, t := range g.traces {
		if len(v.ids) == len(g.traces) && t.id == v.ids[0] || t.start < v.start {
			v.start = t.start
		}
		v.end = max(v.end, t.end)
	}
	c := &columnData{}
	for _, l := range leaves {
		if !follows(l) {
			continue
		}
		if err := g.fill(l, c, &chunkDict{}); err != nil {
			return err
		}
		if err := v.compare(p, g, l, c); err != nil {
			return err
		}
	}
	return v.encodings(p)
}

// follows tells whether a column follows from others.
func follows(l *leaf) bool {
	switch l.of {
	case ofTrace:
		return l.field != fieldIDText && l.field != fieldEtude
	case ofSpan:
		switch l.field {
		case fieldParentLeft, fieldLeft, fieldRight, fieldChildCount, fieldRounded15, fieldRounded60, fieldRounded300, fieldRounded3600:
			return true
		}
	}
	return l.of == ofScope && l.field == fieldSpanCount || l.of == ofStats && l.field == fieldService
}

// compare compares a column of the file with what it must be.
func (v *verifier) compare(p *part, g *shredder, l *leaf, want *columnData) error {
	got, err := p.column(v.ctx, l.of, l.field)
	if err != nil || got == nil {
		return err
	}
	switch {
	case l.of == ofStats:
		return v.stats(p, g, got)
	case l.field == fieldSpanCount:
		return v.spanCounts(p, got)
	}
	n := len(got.nums) + len(got.index)
	if n != want.values(l) {
		v.fault("row group %d: column %s has %d values, want %d", p.number, l.name(), n, want.values(l))
		return nil
	}
	for i := range n {
		is, must := got.shown(i), want.shown(l, i)
		if is == must || l.field == fieldChildCount && !g.rootedAt(i) { // Tempo leaves noise in traces without a root.
			continue
		}
		v.fault("row group %d: column %s, value %d (trace %s) is %s, and must be %s", p.number, l.name(), i, g.traceAt(l, i), is, must)
		return nil
	}
	return nil
}

// shown is a value as text.
func (v *values) shown(i int) string {
	if len(v.index) > 0 {
		return string(v.text(i))
	}
	return fmt.Sprint(int64(v.nums[i]))
}

func (c *columnData) shown(l *leaf, i int) string {
	switch {
	case l.enc == format.RLEDictionary:
		return c.dict[c.codes[i]]
	case l.typ == format.ByteArray:
		return string(c.bytes[c.offsets[i]:c.offsets[i+1]])
	case l.typ == format.Int32:
		return fmt.Sprint(int64(c.i32[i]))
	}
	return fmt.Sprint(c.i64[i])
}

// traceAt returns the trace that a value of a column belongs to.
func (g *shredder) traceAt(l *leaf, i int) trace.TraceID {
	if l.of == ofTrace {
		return g.traces[i].id
	}
	return g.traces[g.traceOfSpan(i)].id
}

func (g *shredder) traceOfSpan(span int) int {
	low, high := 0, len(g.traces)
	for low < high {
		if mid := (low + high) / 2; g.traces[mid].spans <= span {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// rootedAt tells whether the trace of a span has a root.
func (g *shredder) rootedAt(span int) bool {
	t := g.traceOfSpan(span)
	from := 0
	if t > 0 {
		from = g.traces[t-1].spans
	}
	for _, p := range g.rows[ofSpan].at[from:g.traces[t].spans] {
		if g.plan.sources[p.src].v.Parent[p.row].IsZero() {
			return true
		}
	}
	return false
}

// spanCounts compares SpanCount with the spans that each scope has.
func (v *verifier) spanCounts(p *part, got *values) error {
	spans, err := p.column(v.ctx, ofSpan, fieldID)
	if err != nil || spans == nil {
		return err
	}
	var counts []uint64
	for i, rep := range spans.rep {
		if rep < maxLevel[ofSpan] || i == 0 {
			counts = append(counts, 0)
		}
		if spans.def[i] == maxLevel[ofSpan] {
			counts[len(counts)-1]++
		}
	}
	if fmt.Sprint(counts) != fmt.Sprint(got.nums) {
		v.fault("row group %d: SpanCount is not the number of spans of each scope", p.number)
	}
	return nil
}

// stats compares ServiceStats, whose order is free.
func (v *verifier) stats(p *part, g *shredder, services *values) error {
	spans, err := p.column(v.ctx, ofStats, fieldSpanCount)
	if err != nil {
		return err
	}
	errs, err := p.column(v.ctx, ofStats, fieldErrorCount)
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
		if services.def[i] == maxLevel[ofStats] {
			count[key{row, services.shown(at)}] = [2]uint64{spans.nums[at], errs.nums[at]}
			at++
		}
	}
	row = -1
	for i, s := range g.stats {
		if g.rows[ofStats].rep[i] == 0 {
			row++
		}
		k := key{row, g.texts.get(s.service)}
		if count[k] != [2]uint64{uint64(s.spans), uint64(s.errors)} {
			v.fault("row group %d: ServiceStats of trace %s, service %q is %v, and must be %d spans and %d errors", p.number, g.traces[row].id, k.service, count[k], s.spans, s.errors)
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
		nested := c.of == ofSpan && (c.field == fieldParentLeft || c.field == fieldLeft || c.field == fieldRight)
		if !nested && c.field != fieldKey {
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
				v.fault("row group %d: column %s is encoded as %s, which Tempo does not read right", p.number, c.name(), h.encoding)
				break
			}
		}
	}
	return nil
}

// column reads a column of the part with its levels; nil when the file lacks it.
func (p *part) column(ctx context.Context, of owner, f field) (*values, error) {
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
