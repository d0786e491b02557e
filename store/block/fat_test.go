package block

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"etude/internal/fs"
	"etude/trace"
)

// fatSpans returns spans with values of up to 8 KB: n in traces of five, and one trace of 300 spans.
func fatSpans(seed uint64, n int) *trace.View {
	random, table := rand.New(rand.NewPCG(seed, 1)), trace.NewTable()
	table.Arrived(1)
	resource, w := table.AddResource([]byte("r"), 0, 0, 0)
	w.AddText([]byte("service.name"), trace.String, []byte("fat"))
	table.EndResource()
	scope, _ := table.AddScope([]byte("s"), resource, 0, 0, 0, 0)
	table.EndScope()
	add := func(id trace.TraceID) {
		s := trace.Span{TraceID: id, Scope: scope, Start: 1_700_000_000_000_000_000, End: 1_700_000_000_000_001_000, Name: []byte("fat")}
		binary.BigEndian.PutUint64(s.SpanID[:], random.Uint64())
		w := table.AddSpan(&s)
		w.AddText([]byte("own"), trace.String, noise(random, random.IntN(8<<10)))
		e := table.AddEvent(s.Start, []byte("e"), 0)
		e.AddText([]byte("of.event"), trace.String, noise(random, random.IntN(4<<10)))
		table.EndEvent()
		table.EndSpan()
	}
	var id trace.TraceID
	for i := range n {
		if i%5 == 0 {
			binary.BigEndian.PutUint64(id[:], random.Uint64())
		}
		add(id)
	}
	binary.BigEndian.PutUint64(id[:], 1<<63)
	for range 300 {
		add(id)
	}
	return table.View()
}

// Row groups and pages are bounded in bytes, whatever the spans are like: those that a cut writes, and those of a merge.
func TestFatSpans(t *testing.T) {
	t.Parallel()
	const most = 128 << 10
	want := map[string][]string{}
	var views []*trace.View
	for seed := range uint64(3) {
		views = append(views, fatSpans(seed, 200))
		for id, spans := range exactly(views[seed]) {
			want[id] = append(want[id], spans...)
		}
	}
	o := WriteOptions{Dir: t.TempDir(), GroupBytes: most}
	var single []*Block
	for _, v := range views {
		metas, err := Write(t.Context(), o, []*trace.View{v})
		if err != nil {
			t.Fatal(err)
		}
		single = append(single, openAll(t, metas, o.Dir)...)
	}
	mergedTo := t.TempDir()
	merged, err := Compact(t.Context(), WriteOptions{Dir: mergedTo, GroupBytes: most}, single)
	if err != nil {
		t.Fatal(err)
	}
	joined, err := Write(t.Context(), o, views)
	if err != nil {
		t.Fatal(err)
	}
	for name, blocks := range map[string][]*Block{"cut": single, "of several": openAll(t, joined, o.Dir), "merged": openAll(t, merged, mergedTo)} {
		got := map[string][]string{}
		for _, b := range blocks {
			bounded(t, name, b, most)
			for _, p := range b.parts {
				for id, spans := range exactly(wholeView(t, p, trace.Everything())) {
					got[id] = append(got[id], spans...)
				}
			}
		}
		if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
			t.Errorf("%s (-sent +read): %.2000s", name, diff)
		}
	}
}

// noise returns a text that no codec shrinks much.
func noise(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(' ' + random.IntN(95))
	}
	return b
}

func openAll(t *testing.T, metas []*Meta, dir string) (all []*Block) {
	t.Helper()
	for _, m := range metas {
		b, err := Open(t.Context(), fs.OS, Folder(dir, m.ID), NewCache(64<<20))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		all = append(all, b)
		if r, err := Verify(t.Context(), fs.OS, Folder(dir, m.ID)); err != nil || len(r.Faults) > 0 {
			t.Errorf("%v, %v", err, r)
		}
	}
	return all
}

// bounded checks the sizes of row groups and pages.
func bounded(t *testing.T, name string, b *Block, most int) {
	t.Helper()
	for _, p := range b.parts {
		bytes := 0
		for _, chunk := range b.footer.groups[p.number].chunks {
			bytes += int(chunk.size)
		}
		if v := wholeView(t, p, trace.Everything()); v.Spans() > 1 && bytes > most*5/4 {
			t.Errorf("%s: a row group of %d spans has %d bytes", name, v.Spans(), bytes)
		}
		first, err := p.pages(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(p.state.skeleton.ids) > 20 && len(first) < 5 {
			t.Errorf("%s: a row group of %d traces and %d bytes has %d pages", name, len(p.state.skeleton.ids), bytes, len(first)-1)
		}
	}
}

func sorted(all map[string][]string) map[string][]string {
	for _, spans := range all {
		slices.Sort(spans)
	}
	return all
}
