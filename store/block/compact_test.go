package block

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"etude/internal/fs"
	"etude/trace"
)

// splitSpans deals the spans of a View to Tables: some to several of them.
func splitSpans(v *trace.View, n int, random *rand.Rand) []*trace.View {
	tables := make([]*trace.Table, n)
	for i := range tables {
		tables[i] = trace.NewTable()
		tables[i].Arrived(int64(i + 1))
	}
	for number := range v.TraceIDs {
		for row := range v.Rows(uint32(number)) {
			at := random.IntN(n)
			copySpan(tables[at], v, row)
			if random.IntN(10) == 0 {
				copySpan(tables[random.IntN(n)], v, row)
			}
		}
	}
	views := make([]*trace.View, n)
	for i, table := range tables {
		views[i] = table.View()
	}
	return views
}

func copyAttrs(w *trace.AttrWriter, a *trace.Attrs, row uint32) {
	for key, value := range a.Of(row) {
		switch {
		case value.Type == trace.String || value.Type == trace.Bytes || value.Type == trace.Array || value.Type == trace.KVList:
			w.AddText([]byte(key), value.Type, []byte(value.Str()))
		case value.Type == trace.Empty:
			w.AddEmpty([]byte(key))
		default:
			w.AddNum([]byte(key), value.Type, value.Bits())
		}
	}
}

func copySpan(t *trace.Table, v *trace.View, row uint32) {
	code := func(text uint32) uint32 { return t.Code([]byte(v.Text(text))) }
	scope := v.Scope[row]
	r := v.ScopeResource[scope]
	resource, ok := t.FindResource(fmt.Append(nil, r))
	if !ok {
		var w *trace.AttrWriter
		resource, w = t.AddResource(fmt.Append(nil, r), code(v.ResourceSchemaURL[r]), v.ResourceDropped[r], code(v.ResourceExtra[r]))
		copyAttrs(w, &v.ResourceAttrs, r)
		t.EndResource()
	}
	s, ok := t.FindScope(fmt.Append(nil, scope))
	if !ok {
		var w *trace.AttrWriter
		s, w = t.AddScope(fmt.Append(nil, scope), resource, code(v.ScopeName[scope]), code(v.ScopeVersion[scope]), code(v.ScopeSchemaURL[scope]), v.ScopeDropped[scope])
		copyAttrs(w, &v.ScopeAttrs, scope)
		t.EndScope()
	}
	text := func(code uint32) []byte { return []byte(v.Text(code)) }
	w := t.AddSpan(&trace.Span{TraceID: v.TraceIDs[v.Trace[row]], SpanID: v.SpanID[row], Parent: v.Parent[row], Start: v.Start[row], End: v.End[row],
		Kind: v.Kind[row], Status: v.Status[row], Scope: s, Flags: v.Flags.Get(row), Name: text(v.Name[row]), StatusMessage: text(v.StatusMessage.Get(row)), TraceState: text(v.TraceState.Get(row)),
		DroppedAttrs: v.DroppedAttrs.Get(row), DroppedEvents: v.DroppedEvents.Get(row), DroppedLinks: v.DroppedLinks.Get(row)})
	if w == nil {
		return
	}
	copyAttrs(w, &v.SpanAttrs, row)
	for e, to := v.Events(row); e < to; e++ {
		copyAttrs(t.AddEvent(v.EventTime[e], text(v.EventName[e]), v.EventDropped.Get(e)), &v.EventAttrs, e)
		t.EndEvent()
	}
	for l, to := v.Links(row); l < to; l++ {
		copyAttrs(t.AddLink(&trace.Link{TraceID: v.LinkTraceID[l], SpanID: v.LinkSpanID[l], TraceState: text(v.LinkState.Get(l)), Flags: v.LinkFlags.Get(l), Dropped: v.LinkDropped.Get(l)}), &v.LinkAttrs, l)
		t.EndLink()
	}
	t.EndSpan()
}

// Blocks of spans that were dealt at random become one block with each span once.
func TestCompact(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"v5", "weird", "v5groups"} {
		for _, format := range []Format{VParquet5, VParquet4} {
			t.Run(fmt.Sprint(name, format), func(t *testing.T) {
				t.Parallel()
				whole := dataOf(t, name)
				o := WriteOptions{Format: format, PageSpans: 64}
				var blocks []*Block
				for _, v := range splitSpans(whole, 4, rand.New(rand.NewPCG(5, 6))) {
					blocks = append(blocks, written(t, o, v))
				}
				o.Dir = t.TempDir()
				metas, err := Compact(context.Background(), o, blocks)
				if err != nil || len(metas) != 1 {
					t.Fatal(len(metas), err)
				}
				b := opened(t, o.Dir, metas[0])
				want, got := withoutNumbers(exactly(whole)), map[string][]string{}
				for _, p := range b.parts {
					v, err := p.open(context.Background(), trace.Everything())
					if err != nil {
						t.Fatal(err)
					}
					for id, spans := range withoutNumbers(exactly(v)) {
						got[id] = spans
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-sent +compacted):\n%s", diff)
				}
				if int(b.Meta.Traces) != len(whole.TraceIDs) {
					t.Errorf("%d traces, want %d", b.Meta.Traces, len(whole.TraceIDs))
				}
				if first, last := b.parts[0].facts.FirstArrival, b.parts[0].facts.LastArrival; first != 1 || last != 4 {
					t.Errorf("arrived from %d to %d", first, last)
				}
			})
		}
	}
}

func opened(t testing.TB, tenant string, m *Meta) *Block {
	t.Helper()
	b, err := Open(context.Background(), fs.OS, Folder(tenant, m.ID), NewCache(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// withoutNumbers takes out the numbers of resources, which follow the order of spans.
func withoutNumbers(all map[string][]string) map[string][]string {
	for _, spans := range all {
		for i, s := range spans {
			spans[i] = resourceNumber.ReplaceAllString(s, "resource:")
		}
	}
	return all
}

// Blocks of a real Tempo are joined with ours; several row groups come out.
func TestCompactTempos(t *testing.T) {
	t.Parallel()
	blocks := []*Block{openBlock(t, realBlock(t, "v5groups")), openBlock(t, realBlock(t, "v4")), written(t, WriteOptions{}, manySpans(t))}
	o := WriteOptions{Dir: t.TempDir()}
	metas, err := Compact(context.Background(), o, blocks)
	if err != nil {
		t.Fatal(err)
	}
	b := opened(t, o.Dir, metas[0])
	want, got := map[trace.TraceID]int{}, map[trace.TraceID]int{} // spans
	for _, side := range []struct {
		into   map[trace.TraceID]int
		blocks []*Block
	}{{want, blocks}, {got, []*Block{b}}} {
		for _, b := range side.blocks {
			for _, p := range b.parts {
				v, err := p.open(context.Background(), &trace.Need{Columns: trace.Names})
				if err != nil {
					t.Fatal(err)
				}
				for _, number := range v.Trace {
					side.into[v.TraceIDs[number]]++
				}
			}
		}
	}
	if !maps.Equal(want, got) {
		t.Errorf("%d traces became %d, or they have other spans", len(want), len(got))
	}
	if len(b.parts) < 2 || b.Meta.CompactionLevel != 0 {
		t.Errorf("%d row groups, level %d", len(b.parts), b.Meta.CompactionLevel)
	}
}

func TestCompactFails(t *testing.T) {
	t.Parallel()
	a, b := openBlock(t, realBlock(t, "v5")), openBlock(t, realBlock(t, "v5groups"))
	b.file.Close()
	o := WriteOptions{Dir: t.TempDir()}
	if _, err := Compact(context.Background(), o, []*Block{a, b}); err == nil {
		t.Error("a block that cannot be read was compacted")
	}
	if left, _ := os.ReadDir(o.Dir); len(left) > 0 {
		t.Errorf("%v is left behind", left)
	}
}
