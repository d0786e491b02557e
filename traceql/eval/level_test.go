package eval

import (
	"testing"

	"etude/trace"
	"etude/traceql/syntax"
)

// TestScopesAndLevels: every scope but none is the scope of its level, and every
// level has one.
func TestScopesAndLevels(t *testing.T) {
	t.Parallel()
	for s := syntax.ScopeSpan; s <= syntax.ScopeInstrumentation; s++ {
		if back := ScopeOf(LevelOf(s)); back != s {
			t.Errorf("scope %s leads to level %s, which leads to scope %s", s, LevelOf(s), back)
		}
	}
	for l := range trace.Level(trace.Levels) {
		if back := LevelOf(ScopeOf(l)); back != l {
			t.Errorf("level %s leads to scope %s, which leads to level %s", l, ScopeOf(l), back)
		}
	}
}
