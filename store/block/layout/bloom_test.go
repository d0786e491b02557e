package layout

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"

	"etude/internal/testkit"
	"etude/trace"
)

func traceIDs(t testing.TB, f *parquet.File) (ids []trace.TraceID) {
	t.Helper()
	for _, g := range f.RowGroups() {
		pages := g.ColumnChunks()[0].Pages()
		for {
			page, err := pages.ReadPage()
			if err != nil {
				break
			}
			values := make([]parquet.Value, page.NumValues())
			n, _ := page.Values().ReadValues(values)
			for _, v := range values[:n] {
				ids = append(ids, trace.TraceID(v.ByteArray()))
			}
		}
		pages.Close()
	}
	return ids
}

// Tempo's filters come out of our rules, byte for byte.
func TestBloomIsTempos(t *testing.T) {
	t.Parallel()
	for _, name := range testkit.TempoBlocks {
		dir := realBlock(t, name)
		m, ids := mustMeta(t, dir), traceIDs(t, openParquet(t, dir))
		if len(ids) != int(m.Traces) {
			t.Fatalf("%s: %d ids, want %d", name, len(ids), m.Traces)
		}
		b := NewBloomShards(len(ids))
		b.Words = make([][]uint64, m.BloomShards)
		for i := range b.Words {
			want, err := os.ReadFile(filepath.Join(dir, BloomName(i)))
			if err != nil {
				t.Fatal(err)
			}
			f, err := ParseBloom(want)
			if err != nil {
				t.Fatal(err)
			}
			b.m, b.Words[i] = f.m, make([]uint64, f.m/64)
		}
		for _, id := range ids {
			b.Add(id)
		}
		for i := range b.Words {
			want, _ := os.ReadFile(filepath.Join(dir, BloomName(i)))
			if string(b.File(i)) != string(want) {
				t.Errorf("%s: %s differs from Tempo's", name, BloomName(i))
			}
		}
	}
}

func TestBloomFinds(t *testing.T) {
	t.Parallel()
	const n = 100_000
	b := NewBloomShards(n)
	if len(b.Words) != 2 {
		t.Errorf("%d shards for %d traces, want 2", len(b.Words), n)
	}
	id := func(i int) trace.TraceID {
		return trace.TraceID{byte(i), byte(i >> 8), byte(i >> 16), 9, 15: byte(i * 7)}
	}
	for i := range n {
		b.Add(id(i))
	}
	files := make([]BloomFile, len(b.Words))
	for i := range files {
		var err error
		if files[i], err = ParseBloom(b.File(i)); err != nil {
			t.Fatal(err)
		}
	}
	wrong := 0
	for i := range 2 * n {
		if may := files[ShardOf(id(i), len(files))].MayHave(id(i)); i < n && !may {
			t.Fatalf("trace %d is missing", i)
		} else if i >= n && may {
			wrong++
		}
	}
	if wrong > n/50 {
		t.Errorf("%d of %d absent traces are said to be there", wrong, n)
	}
}

func FuzzParseBloom(f *testing.F) {
	f.Add(NewBloomShards(1).File(0))
	f.Add(make([]byte, bloomHeader))
	f.Fuzz(func(t *testing.T, b []byte) {
		if f, err := ParseBloom(b); err == nil {
			f.MayHave(trace.TraceID{1})
		}
	})
}
