package block

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"etude/internal/fs"
	"etude/internal/testkit"
	"etude/store/block/layout"
	"etude/store/block/sidecar"
	"etude/trace"
)

// written writes a View as one block and opens it.
func written(t testing.TB, o WriteOptions, views ...*trace.View) *Block {
	t.Helper()
	o.Dir = t.TempDir()
	metas, err := Write(context.Background(), o, views)
	if err != nil {
		t.Fatal(err)
	}
	if len(metas) != 1 {
		t.Fatalf("%d blocks, want 1", len(metas))
	}
	b, err := Open(context.Background(), fs.OS, Folder(o.Dir, metas[0].ID), NewCache(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// What we write is read back whole: spans in their order, attributes in the order
// in which they were sent, and what Tempo's columns have no place for.
func TestReadsBack(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"v5", "weird", "v5groups"} {
		for _, o := range []WriteOptions{{Format: VParquet5}, {Format: VParquet4}, {Format: VParquet5, Dedicated: mustMeta(t, realBlock(t, "v5dedicated")).Dedicated}} {
			t.Run(fmt.Sprint(name, o.Format, len(o.Dedicated)), func(t *testing.T) {
				t.Parallel()
				v := dataOf(t, name)
				want, got := exactly(v), map[string][]string{}
				for _, p := range written(t, o, v).parts {
					v, err := p.open(context.Background(), trace.Everything())
					if err != nil {
						t.Fatal(err)
					}
					for id, spans := range exactly(v) {
						got[id] = spans
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-table +block):\n%s", diff)
				}
			})
		}
	}
}

// exactly writes the spans of each trace in words and in order.
func exactly(v *trace.View) map[string][]string {
	all := map[string][]string{}
	attrs := func(l trace.Level, row uint32) string {
		var w strings.Builder
		for key, value := range v.Attrs(l).Of(row) {
			fmt.Fprintf(&w, "%s=%s:%q/%d ", key, value.Type, value.Str(), value.Bits())
		}
		return w.String()
	}
	for number, id := range v.TraceIDs {
		resources := map[uint32]int{}
		for row := range v.Rows(uint32(number)) {
			scope := v.Scope[row]
			resource := v.ScopeResource[scope]
			if _, ok := resources[resource]; !ok {
				resources[resource] = len(resources)
			}
			text := dumpSpan(v, row) + fmt.Sprintf("flags %d, resource %d: %q %q %s\nscope %q %s\nattributes %s\n", v.Flags.Get(row), resources[resource],
				v.Text(v.ResourceSchemaURL[resource]), v.Text(v.ResourceExtra[resource]), attrs(trace.ResourceLevel, resource),
				v.Text(v.ScopeSchemaURL[scope]), attrs(trace.ScopeLevel, scope), attrs(trace.SpanLevel, row))
			for event, to := v.Events(row); event < to; event++ {
				text += fmt.Sprintln("event", attrs(trace.EventLevel, event))
			}
			for link, to := v.Links(row); link < to; link++ {
				text += fmt.Sprintln("link", v.LinkFlags.Get(link), attrs(trace.LinkLevel, link))
			}
			all[id.String()] = append(all[id.String()], text)
		}
		slices.Sort(all[id.String()])
	}
	return all
}

// A sidecar rules out nothing that is there, and nearly all that is not.
func TestSidecar(t *testing.T) {
	t.Parallel()
	for _, name := range testkit.TempoBlocks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openBlock(t, realBlock(t, name))
			wrong, asked := 0, 0
			for _, p := range b.parts {
				v, err := p.open(context.Background(), trace.Everything())
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range conditionsOf(v) {
					if p.facts.Excludes(&c) {
						t.Errorf("row group %d has %+v, and is ruled out by it", p.number, c)
					}
					if len(c.Texts) > 0 {
						c.Texts = []string{c.Texts[0] + " that is not there"}
						asked++
						if !p.facts.Excludes(&c) {
							wrong++
						}
					}
				}
				for _, id := range v.TraceIDs {
					if !p.facts.Has(id) {
						t.Errorf("row group %d lacks trace %s", p.number, id)
					}
				}
			}
			if wrong > 5+asked/50 {
				t.Errorf("%d of %d values that are not there may be there", wrong, asked)
			}
		})
	}
}

// conditionsOf lists what a View meets.
func conditionsOf(v *trace.View) (all []trace.Condition) {
	for row := range uint32(v.Spans()) {
		d := v.Duration(row)
		all = append(all, trace.Condition{Of: trace.Names, Texts: []string{v.Text(v.Name[row])}},
			trace.Condition{Of: trace.Kinds, Bounded: true, Min: int64(v.Kind[row]), Max: int64(v.Kind[row])},
			trace.Condition{Of: trace.Statuses, Bounded: true, Min: int64(v.Status[row]), Max: int64(v.Status[row])},
			trace.Condition{Of: trace.Times, Bounded: true, Min: d, Max: d},
			trace.Condition{Of: trace.ScopeNames, Level: trace.ScopeLevel, Texts: []string{v.Text(v.ScopeName[v.Scope[row]])}})
	}
	for l := range trace.Level(trace.Levels) {
		for c := range v.Attrs(l).All() {
			all = append(all, trace.Condition{Level: l, Key: c.Key})
			for i := range c.Rows {
				switch value := v.Attrs(l).At(c, i); c.Type {
				case trace.String:
					all = append(all, trace.Condition{Level: l, Key: c.Key, Texts: []string{value.Str()}})
				case trace.Int:
					all = append(all, trace.Condition{Level: l, Key: c.Key, Texts: []string{fmt.Sprint(value.Int())}})
				case trace.Bool:
					all = append(all, trace.Condition{Level: l, Key: c.Key, Texts: []string{fmt.Sprint(value.Bool())}})
				}
			}
		}
	}
	return all
}

// Whatever is wrong with a sidecar, the block opens and writes a new one.
func TestSidecarIsMadeAnew(t *testing.T) {
	t.Parallel()
	b := openBlock(t, realBlock(t, "v5groups"))
	name := filepath.Join(b.dir, layout.SidecarName)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string]func() []byte{
		"missing": func() []byte { return nil },
		"empty":   func() []byte { return []byte{} },
		"short":   func() []byte { return good[:len(good)/2] },
		"longer":  func() []byte { return append(slices.Clone(good), 0) },
		"damaged": func() []byte { bad := slices.Clone(good); bad[len(bad)/2] ^= 1; return bad },
		"newer":   func() []byte { bad := slices.Clone(good); bad[7]++; return bad },
		"stale":   func() []byte { return sidecar.Encode(sidecar.Stamp{Size: 1, Footer: 2}, nil) },
	}
	for what, made := range damage {
		os.Remove(name)
		if bad := made(); bad != nil {
			if err := os.WriteFile(name, bad, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		again, err := Open(context.Background(), fs.OS, b.dir, NewCache(0))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		again.Close()
		if now, err := os.ReadFile(name); err != nil || !slices.Equal(now, good) {
			t.Errorf("%s: the new sidecar is another: %v", what, err)
		}
	}
}

// A block without its sidecar answers as with it, but rules nothing out.
func TestBareBlock(t *testing.T) {
	t.Parallel()
	for _, name := range testkit.TempoBlocks {
		whole := openBlock(t, realBlock(t, name))
		if err := os.Remove(filepath.Join(whole.dir, layout.SidecarName)); err != nil {
			t.Fatal(err)
		}
		bare, err := OpenBare(fs.OS, whole.dir, NewCache(64<<20))
		if err != nil {
			t.Fatal(err)
		}
		defer bare.Close()
		if !bare.Bare() || whole.Bare() {
			t.Errorf("%s: bare %t, and %t with a sidecar", name, bare.Bare(), whole.Bare())
		}
		for i, p := range bare.parts {
			known, said := whole.parts[i].describe(), p.describe()
			if said.Spans != known.Spans || said.MinStart > known.MinStart || said.MaxEnd < known.MaxEnd {
				t.Errorf("%s, row group %d: %+v, with a sidecar %+v", name, i, said, known)
			}
			if p.facts.Excludes(&trace.Condition{Key: "no.such.key"}) || !p.facts.Has(trace.TraceID{1}) {
				t.Errorf("%s, row group %d rules something out", name, i)
			}
			need := trace.Everything()
			need.Columns &^= trace.TraceTimes // A View of a bare block has none: whether they may be used is not known.
			got, err := p.open(context.Background(), need)
			if err != nil {
				t.Fatal(err)
			}
			want, err := whole.parts[i].open(context.Background(), need)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(describeNeed(want, need), describeNeed(got, need)); diff != "" {
				t.Errorf("%s, row group %d (-whole +bare):\n%s", name, i, diff)
			}
		}
	}
}

// The frame in the sidecar says what the file says.
func TestFrame(t *testing.T) {
	t.Parallel()
	blocks := []*Block{written(t, WriteOptions{}, dataOf(t, "weird")), written(t, WriteOptions{Format: VParquet4}, dataOf(t, "v5groups"))}
	for _, name := range testkit.TempoBlocks {
		blocks = append(blocks, openBlock(t, realBlock(t, name)))
	}
	for _, b := range blocks {
		for _, p := range b.parts {
			if _, err := (&reading{part: p, dict: trace.NewDict()}).readSidecarFrame(); err != nil {
				t.Errorf("block %s, row group %d: %v", b.Meta.ID, p.number, err)
			}
			fast, err := p.open(context.Background(), trace.Everything())
			if err != nil {
				t.Fatal(err)
			}
			b.cache.drop(b)
			file := b.sidecar
			b.sidecar = nil
			slow, err := p.open(context.Background(), trace.Everything())
			b.sidecar = file
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(describeNeed(slow, trace.Everything()), describeNeed(fast, trace.Everything())); diff != "" {
				t.Errorf("block %s, row group %d (-file +sidecar):\n%s", b.Meta.ID, p.number, diff)
			}
		}
	}
}

// A row group is not ruled out by anything that occurs in it.
func TestWritersSidecar(t *testing.T) {
	t.Parallel()
	whole := dataOf(t, "v5groups")
	for name, views := range map[string][]*trace.View{"one": {whole}, "several": {dataOf(t, "v5"), whole, dataOf(t, "v5")}} {
		for i, p := range written(t, WriteOptions{}, views...).parts {
			v, err := p.open(context.Background(), trace.Everything())
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range conditionsOf(v) {
				if p.facts.Excludes(&c) {
					t.Errorf("%s: row group %d has %+v, and is ruled out by it", name, i, c)
				}
			}
		}
	}
}

// One trace is read from its page alone, and is the same.
func TestOpenTrace(t *testing.T) {
	t.Parallel()
	blocks := map[string]*Block{"small pages": written(t, WriteOptions{PageSpans: 50}, dataOf(t, "v5groups")), "weird": written(t, WriteOptions{PageSpans: 9, Format: VParquet4}, dataOf(t, "weird")),
		"Tempo's": openBlock(t, realBlock(t, "v5groups"))}
	for name, b := range blocks {
		for _, p := range b.parts {
			whole, err := p.open(context.Background(), trace.Everything())
			if err != nil {
				t.Fatal(err)
			}
			want := exactly(whole)
			for n, id := range whole.TraceIDs {
				if n%3 != 0 && name != "weird" {
					continue
				}
				v, err := p.openTrace(context.Background(), id, trace.Everything())
				if err != nil {
					t.Fatal(err)
				}
				before := b.cache.Stats()
				if again, err := p.openTrace(context.Background(), id, trace.Everything()); err != nil || name != "Tempo's" && again != v {
					t.Errorf("%s: trace %s was read again: %v", name, id, err)
				}
				if after := b.cache.Stats(); name != "Tempo's" && after.Misses != before.Misses {
					t.Errorf("%s: trace %s: %d units were read again", name, id, after.Misses-before.Misses)
				}
				times, err := p.openTrace(context.Background(), id, &trace.Need{Columns: trace.Times})
				if err != nil || times.SpanID != nil && times == v {
					t.Errorf("%s: a trace with only its times: %v, %v", name, times, err)
				}
				if name != "Tempo's" && len(v.TraceIDs) != 1 {
					t.Errorf("%s: %d traces were read for one", name, len(v.TraceIDs))
				}
				if diff := cmp.Diff(want[id.String()], exactly(v)[id.String()]); diff != "" {
					t.Errorf("%s: trace %s (-whole +alone):\n%s", name, id, diff)
				}
			}
			if v, err := p.openTrace(context.Background(), trace.TraceID{1, 2, 3}, trace.Everything()); v != nil && len(v.TraceIDs) == 1 || err != nil {
				t.Errorf("a trace that is not there: %v, %v", v, err)
			}
		}
	}
}
