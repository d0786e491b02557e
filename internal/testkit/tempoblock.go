package testkit

import (
	"path/filepath"
	"testing"
)

// TempoBlocks names the blocks below store/block/testdata/tempo. A real Tempo wrote them.
var TempoBlocks = []string{"v4", "v5", "v5dedicated", "v5groups", "weird", "weird4"}

// TempoBlock returns the directory of one of [TempoBlocks]. blockDir is the path of store/block.
func TempoBlock(t testing.TB, blockDir, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(blockDir, "testdata", "tempo", name, "single-tenant", "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("find block %s: %d found, %v", name, len(found), err)
	}
	return found[0]
}
