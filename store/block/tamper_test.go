package block

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/parquet-go/parquet-go/format"

	"etude/internal/fs"
	"etude/internal/testkit"
	"etude/store/block/layout"
	"etude/trace"
)

// A damaged file gives an error or other spans. It never panics, and takes no more
// memory than a good one by much. Checksums are not looked at, so that the decoders
// see the damage.
func TestTamperedBlocks(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	dirs := map[string]string{"small pages": writtenAs(t, WriteOptions{PageSpans: 60}, "v5"), "weird small pages": writtenAs(t, WriteOptions{PageSpans: 9, Format: VParquet4}, "weird")}
	for _, name := range testkit.TempoBlocks {
		dirs[name] = realBlock(t, name)
	}
	for name, dir := range dirs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openBlock(t, dir)
			file := filepath.Join(b.dir, layout.DataName)
			good, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(uint64(len(good)), 1))
			failed := 0
			for range rounds {
				bad := tampered(random, good)
				if err := os.WriteFile(file, bad, 0o644); err != nil {
					t.Fatal(err)
				}
				if readAll(t, b.dir) != nil {
					failed++
				}
			}
			if failed == 0 || failed == rounds {
				t.Errorf("%d of %d damaged files were refused", failed, rounds)
			}
		})
	}
}

// tampered changes a few bytes; of half of the files in the footer.
func tampered(random *rand.Rand, good []byte) []byte {
	bad := append([]byte(nil), good...)
	from, n := 0, len(bad)
	if random.IntN(2) == 0 {
		from = max(0, n-20000)
	}
	for range 1 + random.IntN(4) {
		bad[from+random.IntN(n-from)] = byte(random.Uint32())
	}
	return bad
}

func readAll(t testing.TB, dir string) error {
	t.Helper()
	meta, err := layout.ReadMeta(fs.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b := &Block{Meta: meta, dir: dir, anySum: true, cache: NewCache(1 << 20)}
	if err := b.open(fs.OS); err != nil {
		return err
	}
	defer b.Close()
	for _, p := range b.parts {
		if err := readPages(p); err != nil {
			return err
		}
		v, err := p.open(context.Background(), trace.Everything())
		if err != nil {
			return err
		}
		dumpView(v)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<30 {
		t.Errorf("%d bytes were allocated", used)
	}
	return nil
}

// readPages seeks in a part and reads its pages.
func readPages(p *part) error {
	for _, c := range []trace.Condition{{Level: trace.SpanLevel, Key: "http.method", Texts: []string{"GET"}}, {Level: trace.SpanLevel, Key: "no such key"}, {Of: trace.Names, Texts: []string{"a"}},
		{Level: trace.ResourceLevel, Key: "service.name", Texts: []string{"a"}}} {
		if _, err := p.seek(context.Background(), &c); err != nil {
			return err
		}
	}
	first, err := p.pages(context.Background())
	if err != nil {
		return err
	}
	for page := range max(0, len(first)-1) {
		v, err := p.openKept(context.Background(), page, trace.Everything())
		if errors.Is(err, trace.ErrUnpaged) {
			return nil
		}
		if err != nil {
			return err
		}
		dumpView(v)
	}
	return nil
}

// FuzzLocations reads offset indexes.
func FuzzLocations(f *testing.F) {
	b := openBlock(f, writtenAs(f, WriteOptions{PageSpans: 60}, "v5"))
	for _, c := range b.footer.groups[0].chunks {
		data := make([]byte, c.indexSize)
		if _, err := b.file.ReadAt(data, c.index); err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := chunk{offset: 4, size: 1 << 20, indexSize: int32(len(b))}
		pages, err := c.locations(bytes.NewReader(b))
		for i := range pages {
			if l := pages[i]; err == nil && (l.offset < c.offset || l.offset+l.size > c.offset+c.size) {
				t.Errorf("page %d lies at %d, its column has %d bytes", i, l.offset, c.size)
			}
		}
	})
}

func FuzzFooter(f *testing.F) {
	for _, name := range testkit.TempoBlocks {
		data, err := os.ReadFile(filepath.Join(realBlock(f, name), layout.DataName))
		if err != nil {
			f.Fatal(err)
		}
		n := mustMeta(f, realBlock(f, name)).FooterSize
		f.Add(data[len(data)-8-int(n) : len(data)-8])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if footer, err := parseFooter(b, 1<<20); err == nil && len(footer.byPath) != len(footer.leaves) {
			t.Errorf("%d columns have %d names", len(footer.leaves), len(footer.byPath))
		}
	})
}

// FuzzChunk decodes column chunks. The numbers choose the levels and the type.
func FuzzChunk(f *testing.F) {
	for _, name := range []string{"v4", "v5dedicated"} {
		b := openBlock(f, realBlock(f, name))
		for _, c := range b.columns {
			at := &b.footer.groups[0].chunks[c.at]
			data := make([]byte, at.size)
			if _, err := b.file.ReadAt(data, at.offset); err != nil {
				f.Fatal(err)
			}
			f.Add(data, c.file.def, c.file.rep, uint8(c.file.typ), uint8(at.codec), at.entries)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, def, rep, typ, codec uint8, entries uint32) {
		column := &fileColumn{def: def % 9, rep: rep % 9, typ: format.Type(typ % 8)}
		c := &chunk{size: int64(len(b)), entries: entries % (1 << 16), codec: format.CompressionCodec(codec % 8)}
		v, err := decodeChunk(b, column, c, wants{rep: true, def: true, anySum: true})
		if err != nil {
			return
		}
		if column.def > 0 && len(v.def) != int(c.entries) || column.rep > 0 && len(v.rep) != int(c.entries) {
			t.Errorf("%d and %d levels of %d entries", len(v.def), len(v.rep), c.entries)
		}
		for i := range v.index {
			v.text(i)
		}
	})
}
