package spans

import (
	"slices"
	"testing"

	"etude/internal/spantest"
)

// TestSpanGroups: each resource and each scope is there once, in the order in
// which they first came, however they alternate.
func TestSpanGroups(t *testing.T) {
	t.Parallel()
	var g Groups
	defer g.Free()
	for range 2 {
		for _, key := range []string{"a", "b", "c"} {
			for _, name := range []string{"", "x", "y"} {
				g.of(key, Scope{Name: name}).Bytes(FieldSpan, []byte("\x2a\x01"+key))
			}
		}
	}
	var p Writer
	var resources []string
	if err := g.Write(&p, func(key string) error { resources = append(resources, key); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(resources, []string{"a", "b", "c"}) {
		t.Errorf("resources %v", resources)
	}
	for i, rs := range spantest.Unmarshal(t, p.B).ResourceSpans {
		var scopes []string
		for _, ss := range rs.ScopeSpans {
			scopes = append(scopes, ss.Scope.GetName())
			if len(ss.Spans) != 2 || ss.Spans[0].Name != resources[i] || ss.Spans[1].Name != resources[i] {
				t.Errorf("resource %s has %v", resources[i], ss.Spans)
			}
		}
		if !slices.Equal(scopes, []string{"", "x", "y"}) {
			t.Errorf("resource %s has scopes %q", resources[i], scopes)
		}
	}
}
