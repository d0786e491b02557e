package block

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"etude/internal/fs"
	"etude/trace"
)

// A block that is taken out stays readable until the last snapshot that has it is
// closed, and is gone then.
func TestSnapshotKeepsBlocks(t *testing.T) {
	t.Parallel()
	a, b := openBlock(t, realBlock(t, "v5")), openBlock(t, realBlock(t, "v5groups"))
	var s Set
	s.Swap(nil, []*Block{a, b}, nil)
	first, second := s.Snapshot(), s.Snapshot()
	var gone []ID
	s.Swap([]ID{a.Meta.ID}, nil, func(id ID) { gone = append(gone, id) })
	if n := len(s.Snapshot().Parts()); n != len(b.parts) {
		t.Errorf("a new snapshot has %d parts, want %d", n, len(b.parts))
	}
	first.Close()
	first.Close()
	for i, part := range second.Parts() {
		v, err := second.Open(context.Background(), i, &trace.Need{Columns: trace.Names})
		if err != nil || v.Spans() != part.Spans || len(v.Name) != part.Spans {
			t.Errorf("part %v: %v", part.ID, err)
		}
	}
	if len(gone) > 0 {
		t.Error("the block is gone while a snapshot has it")
	}
	second.Close()
	if !slices.Equal(gone, []ID{a.Meta.ID}) {
		t.Errorf("gone are %v", gone)
	}
	at := slices.IndexFunc(second.Parts(), func(p trace.Part) bool { return p.ID.Of == a.Meta.ID })
	if _, err := second.Open(context.Background(), at, trace.Everything()); err == nil {
		t.Error("a closed block was read")
	}
}

func TestSnapshotFinds(t *testing.T) {
	t.Parallel()
	a, b := openBlock(t, realBlock(t, "v5")), openBlock(t, realBlock(t, "v5groups"))
	var s Set
	s.Swap(nil, []*Block{a, b}, nil)
	n := s.Snapshot()
	defer n.Close()
	parts := n.Parts()
	if !slices.IsSortedFunc(parts, func(a, b trace.Part) int { return int(a.FirstArrival - b.FirstArrival) }) {
		t.Error("the parts are not in the order of arrival")
	}
	for i := range parts {
		v, err := n.Open(context.Background(), i, &trace.Need{})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range v.TraceIDs {
			found, err := n.Find(context.Background(), id)
			if err != nil || !slices.Contains(found, i) || len(found) > 2 {
				t.Errorf("trace %s of part %d was found in %v, %v", id, i, found, err)
			}
		}
	}
	if found, _ := n.Find(context.Background(), trace.TraceID{0xff, 1, 2}); len(found) > 1 {
		t.Errorf("a trace that is not there was found in %v", found)
	}
}

// A query that reads everything once does not drive out what is read again and again.
func TestCacheIsFair(t *testing.T) {
	t.Parallel()
	b := openBlock(t, realBlock(t, "v5groups"))
	ctx := context.Background()
	need := &trace.Need{Columns: trace.Names}
	read := func(p *part, need *trace.Need) (misses int64) {
		before := b.cache.Stats()
		if _, err := p.open(ctx, need); err != nil {
			t.Fatal(err)
		}
		return b.cache.Stats().Misses - before.Misses
	}
	for range 3 {
		read(b.parts[0], need)
	}
	b.cache.limit = int(b.cache.Stats().Bytes) * 3
	for _, p := range b.parts[1:] {
		read(p, trace.Everything())
	}
	if s := b.cache.Stats(); s.Bytes > s.Limit || s.Evicted == 0 {
		t.Errorf("%+v", s)
	}
	if misses := read(b.parts[0], need); misses > 0 {
		t.Errorf("%d units had to be read again", misses)
	}
}

func TestOpenHonoursContext(t *testing.T) {
	t.Parallel()
	b := openBlock(t, realBlock(t, "v5"))
	ctx, cancel := context.WithCancelCause(context.Background())
	why := fmt.Errorf("no more time")
	cancel(why)
	if _, err := b.parts[0].open(ctx, trace.Everything()); err != why {
		t.Errorf("%v, want %v", err, why)
	}
}

// Many queries read the same parts at a time, while the cache lets them go.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	b := openBlock(t, realBlock(t, "v5groups"))
	b.cache.limit = 1 << 16
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, p := range b.parts {
				need := &trace.Need{Columns: trace.Names | trace.EventNames}
				need.Key(trace.SpanLevel, "http.method")
				v, err := p.open(context.Background(), need)
				if err != nil {
					t.Error(err)
					return
				}
				for row := range uint32(v.Spans()) {
					v.Text(v.Name[row])
					v.SpanAttrs.Value(row, "http.method")
				}
			}
		})
	}
	all.Wait()
}

func benchmarkBlock(b *testing.B) *Block {
	b.Helper()
	o := WriteOptions{Dir: b.TempDir()}
	metas, err := Write(context.Background(), o, []*trace.View{manySpans(b)})
	if err != nil {
		b.Fatal(err)
	}
	block, err := Open(context.Background(), fs.OS, Folder(o.Dir, metas[0].ID), NewCache(1<<30))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { block.Close() })
	return block
}

func BenchmarkOpen(b *testing.B) {
	block := benchmarkBlock(b)
	p := block.parts[0]
	key := &trace.Need{}
	key.Key(trace.SpanLevel, "http.target")
	for _, need := range []struct {
		name string
		*trace.Need
	}{{"frame", &trace.Need{}}, {"times", &trace.Need{Columns: trace.Times}}, {"names", &trace.Need{Columns: trace.Names}}, {"key", key}, {"everything", trace.Everything()}} {
		for _, cold := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/cold=%v", need.name, cold), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if cold {
						block.cache.drop(block)
					}
					if _, err := p.open(context.Background(), need.Need); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*p.facts.Spans), "ns/span")
			})
		}
	}
}

func BenchmarkExcludes(b *testing.B) {
	p := benchmarkBlock(b).parts[0]
	c := trace.Condition{Key: "http.target", Texts: []string{"absent"}}
	b.ReportAllocs()
	for b.Loop() {
		p.facts.Excludes(&c)
	}
}

func BenchmarkFind(b *testing.B) {
	block := benchmarkBlock(b)
	var s Set
	s.Swap(nil, []*Block{block}, nil)
	n := s.Snapshot()
	defer n.Close()
	b.ReportAllocs()
	for b.Loop() {
		n.Find(context.Background(), trace.TraceID{7})
	}
}

func BenchmarkSurvey(b *testing.B) {
	block := benchmarkBlock(b)
	for b.Loop() {
		if _, err := block.survey(context.Background(), func() {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*block.parts[0].facts.Spans), "ns/span")
}

func BenchmarkOpenTrace(b *testing.B) {
	block := benchmarkBlock(b)
	p := block.parts[0]
	v, err := p.open(context.Background(), &trace.Need{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := p.openTrace(context.Background(), v.TraceIDs[n%len(v.TraceIDs)], trace.Everything()); err != nil {
			b.Fatal(err)
		}
	}
}
