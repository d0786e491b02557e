package block

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"

	"etude/internal/fs"
	"etude/internal/testkit"
	"etude/store/block/layout"
)

func realBlock(t testing.TB, name string) string {
	t.Helper()
	return testkit.TempoBlock(t, ".", name)
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
