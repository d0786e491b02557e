package layout

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"etude/internal/fs"
	"etude/internal/testkit"
)

func realBlock(t testing.TB, name string) string {
	t.Helper()
	return testkit.TempoBlock(t, "..", name)
}

func mustMeta(t testing.TB, dir string) *Meta {
	t.Helper()
	m, err := ReadMeta(fs.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func openParquet(t testing.TB, dir string) *parquet.File {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, DataName))
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

func TestLayoutIsTempos(t *testing.T) {
	t.Parallel()
	for _, name := range testkit.TempoBlocks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := realBlock(t, name)
			m, f := mustMeta(t, dir), openParquet(t, dir)
			root, err := m.Format.Layout(m.Dedicated, false)
			if err != nil {
				t.Fatal(err)
			}
			leaves := root.Leaves()
			var got, want []format.SchemaElement
			got, want = Elements(root), f.Metadata().Schema
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("schema (-Tempo's +ours):\n%s", diff)
			}
			for i, chunk := range f.Metadata().RowGroups[0].Columns {
				l := leaves[i]
				if got, want := l.Name(), strings.Join(chunk.MetaData.PathInSchema, "."); got != want {
					t.Errorf("column %d is %s, want %s", i, got, want)
				}
				if !hasEncoding(chunk.MetaData.Encoding, l.Enc) {
					t.Errorf("%s: encoding %s, Tempo has %v", l.Name(), l.Enc, chunk.MetaData.Encoding)
				}
				if plain := chunk.MetaData.Codec == format.Uncompressed; plain != l.plainOld {
					t.Errorf("%s: uncompressed %t, Tempo has %s", l.Name(), l.plainOld, chunk.MetaData.Codec)
				}
				file, _ := f.Schema().Lookup(l.Path...)
				if int(l.MaxDef) != file.MaxDefinitionLevel || int(l.MaxRep) != file.MaxRepetitionLevel {
					t.Errorf("%s: levels %d/%d, want %d/%d", l.Name(), l.MaxDef, l.MaxRep, file.MaxDefinitionLevel, file.MaxRepetitionLevel)
				}
			}
		})
	}
}

func hasEncoding(all []format.Encoding, one format.Encoding) bool {
	for _, e := range all {
		if e == one {
			return true
		}
	}
	return false
}

func TestMetaRoundTrip(t *testing.T) {
	t.Parallel()
	for _, name := range testkit.TempoBlocks {
		dir := realBlock(t, name)
		want, err := os.ReadFile(filepath.Join(dir, MetaName))
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(mustMeta(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s: meta.json\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestMetaRefused(t *testing.T) {
	t.Parallel()
	good := `{"format":"vParquet5","blockID":"1c22dafa-3eed-40fd-903d-268c662680b0","size":9,"totalObjects":1,"totalRecords":1,"bloomShards":1}`
	if _, err := ParseMeta([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for old, by := range map[string]string{
		"vParquet5":         "v2",
		"1c22dafa":          "1C22dafa",
		`"size":9`:          `"size":0`,
		`"totalRecords":1`:  `"totalRecords":0`,
		`"bloomShards":1}`:  `"bloomShards":1001}`,
		`"bloomShards":1,`:  ``,
		`"totalObjects":1,`: `"totalObjects":1,"dedicatedColumns":[{"n":"a","s":"link"}],`,
		`{"format"`:         `{{"format"`,
	} {
		bad := strings.Replace(good, old, by, 1)
		if bad == good {
			continue
		}
		if _, err := ParseMeta([]byte(bad)); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}
