package block

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"

	"etude/internal/fs"
	"etude/store/block/layout"
)

// realBlocks are blocks that a real Tempo wrote.
var realBlocks = []string{"v4", "v5", "v5dedicated", "v5groups", "weird", "weird4"}

func realBlock(t testing.TB, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("testdata", "tempo", name, "single-tenant", "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("find block %s: %d found, %v", name, len(found), err)
	}
	return found[0]
}

func mustMeta(t testing.TB, dir string) *Meta {
	t.Helper()
	m, err := layout.ReadMeta(fs.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func openParquet(t testing.TB, dir string) *parquet.File {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, layout.DataName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	p, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return p
}
