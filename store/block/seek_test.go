package block

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"etude/internal/testkit"
	"etude/internal/wire"
	"etude/otlp"
	"etude/trace"
)

// pagedBlocks are blocks with many pages of few spans.
func pagedBlocks(t *testing.T) map[string]*Block {
	return map[string]*Block{
		"v5":            written(t, WriteOptions{PageSpans: 50}, dataOf(t, "v5groups")),
		"v4":            written(t, WriteOptions{PageSpans: 40, Format: VParquet4}, dataOf(t, "v5groups")),
		"one column":    written(t, WriteOptions{PageSpans: 40, Dedicated: []Dedicated{{Name: "http.method"}}}, dataOf(t, "v5groups")),
		"weird":         written(t, WriteOptions{PageSpans: 9}, dataOf(t, "weird")),
		"weird as v4":   written(t, WriteOptions{PageSpans: 9, Format: VParquet4}, dataOf(t, "weird")),
		"sent twice":    written(t, WriteOptions{PageSpans: 20}, dataOf(t, "v5"), dataOf(t, "v5")),
		"several views": written(t, WriteOptions{PageSpans: 30}, dataOf(t, "v5"), dataOf(t, "weird")),
	}
}

// A page that has something is found by it.
func TestSeekLeavesNothingOut(t *testing.T) {
	t.Parallel()
	for name, b := range pagedBlocks(t) {
		spared := 0
		for _, p := range b.parts {
			whole, pages := wholeView(t, p, trace.Everything()), pagesOf(t, p)
			asked := map[string]bool{}
			for _, c := range append(conditionsOf(whole), otherConditions(whole)...) {
				what := fmt.Sprint(c.Of, c.Level, spell(&c))
				if asked[what] {
					continue
				}
				asked[what] = true
				found, err := p.seek(t.Context(), &c)
				if err != nil {
					t.Fatalf("%s: %+v: %v", name, c, err)
				}
				if again, err := p.seek(t.Context(), &c); err != nil || cmp.Diff(found, again) != "" {
					t.Fatalf("%s: %+v: asked again it is %v, %v", name, c, again, err)
				}
				if found == nil {
					continue
				}
				for page, v := range pages {
					switch {
					case found[page]:
					case has(v, &c):
						t.Errorf("%s: row group %d, page %d has %+v and is not found", name, p.number, page, c)
					default:
						spared++
					}
				}
			}
		}
		if spared == 0 {
			t.Errorf("%s: no condition spares a page", name)
		}
	}
}

// pagesOf returns Views of all pages.
func pagesOf(t *testing.T, p *part) (all []*trace.View) {
	t.Helper()
	first, err := p.pages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for page := range max(0, len(first)-1) {
		v, err := p.openKept(t.Context(), page, trace.Everything())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

func wholeView(t *testing.T, p *part, need *trace.Need) *trace.View {
	t.Helper()
	v, err := p.open(context.Background(), need)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// otherConditions want keys, several values, and values that are not there.
func otherConditions(v *trace.View) (all []trace.Condition) {
	for level := range trace.Level(trace.Levels) {
		for c := range v.Attrs(level).All() {
			all = append(all, trace.Condition{Level: level, Key: c.Key}, trace.Condition{Level: level, Key: c.Key, Texts: []string{"nobody", ""}})
			for i := range min(len(c.Rows), 3) {
				for _, text := range spelled(v.Attrs(level).At(c, i)) {
					all = append(all, trace.Condition{Level: level, Key: c.Key, Texts: []string{"nobody", text}})
				}
			}
		}
	}
	return append(all, trace.Condition{Of: trace.Names, Texts: []string{"nobody"}}, trace.Condition{Level: trace.SpanLevel, Key: "no such key"})
}

// spelled writes a value as conditions have it, or the elements of an array.
func spelled(v trace.Value) (texts []string) {
	switch v.Type {
	case trace.String:
		return []string{v.Str()}
	case trace.Int:
		return []string{strconv.FormatInt(v.Int(), 10)}
	case trace.Double:
		return []string{strconv.FormatFloat(v.Double(), 'g', -1, 64)}
	case trace.Bool:
		return []string{strconv.FormatBool(v.Bool())}
	case trace.Array:
		for array := (wire.Reader{Rest: []byte(v.Str())}); array.Next(); {
			if !array.IsBytes(5) {
				continue
			}
			for element := (wire.Reader{Rest: array.Data}); element.Next(); {
				if kind, content, number, err := otlp.ReadValue(element.Data); err == nil && element.IsBytes(1) && kind != trace.Array {
					value := trace.Number(kind, number)
					if kind == trace.String {
						value = trace.Text(kind, string(content))
					}
					texts = append(texts, spelled(value)...)
				}
			}
		}
	}
	return texts
}

// has reports whether some row meets a condition.
func has(v *trace.View, c *trace.Condition) bool {
	wanted := map[string]bool{}
	for _, text := range c.Texts {
		wanted[text] = true
	}
	switch {
	case c.Of == trace.Names:
		for _, code := range v.Name {
			if wanted[v.Text(code)] {
				return true
			}
		}
		return false
	case c.Of != 0:
		return false
	}
	used := map[uint32]bool{} // resources of the spans, of which a page has all
	for row := range uint32(v.Spans()) {
		used[v.Resource(row)] = true
	}
	for column := range v.Attrs(c.Level).OfKey(c.Key) {
		for i, row := range column.Rows {
			if c.Level == trace.ResourceLevel && !used[row] {
				continue
			}
			if c.Texts == nil || slices.ContainsFunc(spelled(v.Attrs(c.Level).At(column, i)), func(text string) bool { return wanted[text] }) {
				return true
			}
		}
	}
	return false
}

// The pages of a part have its traces, each once and in order, and their rows are those of the part; whatever was
// declared before, and when the cache keeps nothing.
func TestPagesAreThePart(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	for name, b := range pagedBlocks(t) {
		for _, p := range b.parts {
			first, err := p.pages(t.Context())
			if err != nil || len(first) < 4 {
				t.Fatalf("%s: pages begin at %v, %v", name, first, err)
			}
			whole := wholeView(t, p, trace.Everything())
			want := exactly(whole)
			for range 12 {
				if random.IntN(8) == 0 {
					b.cache = NewCache(int64(random.IntN(1 << 16)))
					p.state = nil
				}
				page := random.IntN(len(first) - 1)
				if _, err := p.openKept(t.Context(), page, randomNeed(random, whole)); err != nil {
					t.Fatalf("%s: page %d: %v", name, page, err)
				}
				v, err := p.openKept(t.Context(), page, trace.Everything())
				if err != nil {
					t.Fatalf("%s: page %d: %v", name, page, err)
				}
				if diff := cmp.Diff(whole.TraceIDs[first[page]:first[page+1]], v.TraceIDs); diff != "" {
					t.Fatalf("%s: page %d has other traces (-part +page):\n%s", name, page, diff)
				}
				for id, got := range exactly(v) {
					if diff := cmp.Diff(want[id], got); diff != "" {
						t.Fatalf("%s: page %d, trace %s (-part +page):\n%s", name, page, id, diff)
					}
				}
			}
		}
	}
}

// Each column of a page is the same whether it is read alone or with all others.
func TestNeedsOfPages(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(8, 8))
	for name, b := range pagedBlocks(t) {
		p := b.parts[0]
		whole, err := p.openKept(t.Context(), 1, trace.Everything())
		if err != nil {
			t.Fatal(err)
		}
		want := describeNeed(whole, trace.Everything())
		for range 15 {
			b.cache.drop(b)
			need := randomNeed(random, whole)
			v, err := p.openKept(t.Context(), 1, need)
			if err != nil {
				t.Fatal(err)
			}
			for what, got := range describeNeed(v, need) {
				if diff := cmp.Diff(want[what], got); diff != "" {
					t.Fatalf("%s, %s (-everything +%v):\n%s", name, what, need, diff)
				}
			}
		}
	}
}

// A file whose columns have their pages cut at other traces, as a real Tempo writes them, is read whole.
func TestOthersPagesAreNotMistaken(t *testing.T) {
	t.Parallel()
	for _, name := range testkit.TempoBlocks {
		b := openBlock(t, realBlock(t, name))
		for _, p := range b.parts {
			whole := wholeView(t, p, trace.Everything())
			first, err := p.pages(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for page := range max(len(first)-1, 0) {
				v, err := p.openKept(t.Context(), page, trace.Everything())
				if errors.Is(err, trace.ErrUnpaged) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				want := exactly(whole)
				for id, got := range exactly(v) {
					if diff := cmp.Diff(want[id], got); diff != "" {
						t.Fatalf("%s: page %d, trace %s (-part +page):\n%s", name, page, id, diff)
					}
				}
			}
			for _, c := range conditionsOf(whole) {
				if found, err := p.seek(t.Context(), &c); err != nil || found != nil && len(found) != len(first)-1 {
					t.Fatalf("%s: %+v is found in %v, %v", name, c, found, err)
				}
			}
		}
	}
}

// BenchmarkSeek looks for a value of high cardinality in a row group, for the first time and again; open is what it
// costs to read the column instead.
func BenchmarkSeek(b *testing.B) {
	views := benchViews(b, 1)
	block := written(b, WriteOptions{}, views...)
	p := block.parts[0]
	value, _ := views[0].SpanAttrs.Value(12_345, "app.request.id")
	c := trace.Condition{Level: trace.SpanLevel, Key: "app.request.id", Texts: []string{value.Str()}}
	for _, first := range []bool{true, false} {
		b.Run(fmt.Sprintf("first=%v", first), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if first {
					block.cache.drop(block)
				}
				if found, err := p.seek(b.Context(), &c); err != nil || found == nil {
					b.Fatal(found, err)
				}
			}
		})
	}
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		need := &trace.Need{}
		need.Key(trace.SpanLevel, "app.request.id")
		for b.Loop() {
			block.cache.drop(block)
			if _, err := p.open(b.Context(), need); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("page", func(b *testing.B) {
		b.ReportAllocs()
		need := &trace.Need{Columns: trace.Times | trace.SpanIDs | trace.Kinds | trace.Names | trace.Statuses | trace.Parents}
		for b.Loop() {
			block.cache.drop(block)
			if _, err := p.openKept(b.Context(), 3, need); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A block says which row groups keep no attribute list whole, so that a reader need not look; that of another program does not.
func TestListed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		b    *Block
		want bool
	}{
		"plain":   {written(t, WriteOptions{}, dataOf(t, "v5groups")), true},
		"odd":     {written(t, WriteOptions{}, dataOf(t, "weird")), false},
		"Tempo's": {openBlock(t, realBlock(t, "v5groups")), false},
	} {
		for number, listed := range c.b.listed() {
			if listed != c.want {
				t.Errorf("%s: row group %d: listed is %t", name, number, listed)
			}
		}
	}
}
