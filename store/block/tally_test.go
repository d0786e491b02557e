package block

import (
	"fmt"
	"testing"

	"etude/trace"
)

// TestTallyIsThePart compares what tallies say of scopes with whole parts, before and after they are in the cache, and
// after they have left it.
func TestTallyIsThePart(t *testing.T) {
	t.Parallel()
	for name, b := range pagedBlocks(t) {
		counted := 0
		for round := range 3 {
			for _, p := range b.parts {
				v, spans, err := p.tally(t.Context())
				if err != nil {
					t.Fatal(name, err)
				}
				if v == nil {
					continue
				}
				counted++
				got := map[string]int{}
				for row, n := range spans {
					got[scopeText(v, uint32(row))] += int(n)
				}
				want := map[string]int{}
				whole := wholeView(t, p, trace.Everything())
				for row := range uint32(whole.Spans()) {
					want[scopeText(whole, row)]++
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s, round %d: got %v, want %v", name, round, got, want)
				}
			}
			if round == 1 {
				b.cache.drop(b)
			}
		}
		if counted == 0 {
			t.Errorf("%s has no tally", name)
		}
	}
}

// scopeText writes the scope and the resource of a row.
func scopeText(v *trace.View, row uint32) string {
	scope, resource := v.Scope[row], v.Resource(row)
	text := v.Text(v.ScopeName[scope]) + "|" + v.Text(v.ScopeVersion[scope]) + "|" + v.Text(v.ScopeSchemaURL[scope])
	for key, value := range v.ScopeAttrs.Of(scope) {
		text += fmt.Sprint("|", key, "=", value)
	}
	for key, value := range v.ResourceAttrs.Of(resource) {
		text += fmt.Sprint("|", key, "=", value)
	}
	return text
}

// TestTalliesLeaveTheCache reads them with a cache that keeps next to nothing.
func TestTalliesLeaveTheCache(t *testing.T) {
	t.Parallel()
	b := written(t, WriteOptions{}, dataOf(t, "v5groups"))
	b.cache = NewCache(1)
	for range 2 {
		for _, p := range b.parts {
			if v, _, err := p.tally(t.Context()); v == nil || err != nil {
				t.Fatal(err)
			}
			if p.tallied != nil {
				t.Error("a tally is in a cache that has no room for it")
			}
		}
	}
	if s := b.cache.Stats(); s.Bytes != 0 {
		t.Errorf("the cache counts %d bytes", s.Bytes)
	}
}
