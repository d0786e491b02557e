package api_test

import (
	"context"
	"encoding/json"
	"hash/crc32"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etude/internal/fs"
	"etude/internal/testkit"
	"etude/otlp"
	"etude/store/block"
	"etude/trace"
)

// blocksAnd is a Source of blocks, and of Views that are in memory.
type blocksAnd struct {
	set  block.Set
	head testkit.Views
}

func (s *blocksAnd) Snapshot(ctx context.Context) (trace.Snapshot, error) {
	head, err := s.head.Snapshot(ctx)
	return trace.Join(s.set.Snapshot(), head), err
}

// blockLayouts returns the ways in which spans may lie in blocks: one block of each
// format, with its own choice of dedicated columns and with those of an operator; a
// block of small pages; traces that straddle two blocks and the head; and
// blocks that were joined.
func blockLayouts(t *testing.T, load [][]byte) []layout {
	whole, spread := viewsOf(growingTables(t, load, 1)), tablesOf(t, load, 3)
	chosen := []block.Dedicated{{Name: "http.method"}, {Name: "http.status_code", Type: "int"}, {Scope: "resource", Name: "telemetry.sdk.language"},
		{Name: "shared.attr", Options: []string{"array"}}, {Scope: "event", Name: "exception.message", Options: []string{"blob"}}}
	straddling := blocksOf(t, block.WriteOptions{}, spread[:1], spread[1:2])
	straddling.head = testkit.Views(spread[2:])
	small := blocksOf(t, block.WriteOptions{PageSpans: 15}, spread[:1], spread[1:2])
	small.head = testkit.Views(spread[2:])
	return []layout{
		{"a block", newServer(blocksOf(t, block.WriteOptions{}, whole)), false},
		{"a block of vParquet4", newServer(blocksOf(t, block.WriteOptions{Format: block.VParquet4}, whole)), false},
		{"a block of chosen columns", newServer(blocksOf(t, block.WriteOptions{Dedicated: chosen}, whole)), false},
		{"a block of small pages", newServer(blocksOf(t, block.WriteOptions{PageSpans: 25, Dedicated: chosen}, whole)), false},
		{"blocks and the head", newServer(straddling), true},
		{"blocks of small pages and the head", newServer(small), true},
		{"blocks that were joined", newServer(blocksOf(t, block.WriteOptions{}, readAgain(t, blocksOf(t, block.WriteOptions{}, spread[:1], spread[1:])))), true},
	}
}

// blocksOf writes a block for each list of Views.
func blocksOf(t *testing.T, o block.WriteOptions, lists ...[]*trace.View) *blocksAnd {
	t.Helper()
	o.Dir = t.TempDir()
	var all []*block.Meta
	for _, views := range lists {
		metas, err := block.Write(t.Context(), o, views)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, metas...)
	}
	return openBlocks(t, o.Dir, all)
}

// openBlocks opens blocks that were written, in that order.
func openBlocks(t *testing.T, dir string, metas []*block.Meta) *blocksAnd {
	t.Helper()
	s := &blocksAnd{}
	cache := block.NewCache(1 << 20) // less than the blocks have
	for _, m := range metas {
		b, err := block.Open(t.Context(), fs.OS, block.Folder(dir, m.ID), cache)
		if err != nil {
			t.Fatal(err)
		}
		s.set.Swap(nil, []*block.Block{b}, nil)
	}
	t.Cleanup(func() {
		for _, m := range s.set.Blocks() {
			s.set.Swap([]block.ID{m.ID}, nil, func(block.ID) {})
		}
	})
	return s
}

// readAgain returns everything as Views.
func readAgain(t *testing.T, s *blocksAnd) (views []*trace.View) {
	snap := s.set.Snapshot()
	defer snap.Close()
	for i := range snap.Parts() {
		v, err := snap.Open(t.Context(), i, trace.Everything())
		if err != nil {
			t.Fatal(err)
		}
		views = append(views, v)
	}
	return views
}

// sortedByTrace returns requests, of one trace each, in the order in which a block
// has its traces.
func sortedByTrace(t *testing.T, load [][]byte) [][]byte {
	id := func(payload []byte) string {
		table := trace.NewTable()
		if _, err := otlp.Append(table, payload, 1); err != nil {
			t.Fatal(err)
		}
		return string(table.View().TraceIDs[0][:])
	}
	return slices.SortedFunc(slices.Values(load), func(a, b []byte) int { return strings.Compare(id(a), id(b)) })
}

// compareBlocks asks what was asked of a table in the order of blocks. An answer has
// the same bytes; that of blocks that have the spans in another order may be another
// that passes.
func compareBlocks(t *testing.T, c *conformanceCase, base int64, sorted http.Handler, blocks []layout, may *exceptions) {
	want := askCase(sorted, c, base)
	n := int(crc32.ChecksumIEEE([]byte(c.ID)))
	for i, b := range blocks {
		if !strings.HasPrefix(c.ID, "small") && (n+i)%len(blocks) != 0 {
			continue // Of the larger sets each case goes to one layout.
		}
		got := askCase(b.h, c, base)
		if sameAnswer(got, want) || b.reordered && may.judge(t, c, judgeCase(got, c, base)) {
			continue
		}
		t.Errorf("%s (%s) %s %v: %s answers otherwise: %d %s", c.ID, c.Group, c.Path, c.Params, b.name, got.Code, firstDifference(got.Body.String(), want.Body.String()))
	}
}

// realBlocks are blocks that a real Tempo wrote, and the data set each was written from.
var realBlocks = map[string]string{"v4": "small", "v5": "small", "v5dedicated": "small", "v5groups": "large"}

// TestTemposBlocks asks over blocks that a real Tempo wrote, and wants the answers
// that were recorded.
func TestTemposBlocks(t *testing.T) {
	t.Parallel()
	const base = 1795898580
	for name, set := range realBlocks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			may := readUnsupported(t, "testdata/unsupported.txt")
			h := newServer(realBlock(t, name))
			asked := 0
			for line := range readLines(t, set+".cases.jsonl.gz") {
				var c conformanceCase
				if err := json.Unmarshal(line, &c); err != nil {
					t.Fatal(err)
				}
				if asked++; testing.Short() && asked%5 != 0 {
					continue
				}
				may.judge(t, &c, judgeCase(askCase(h, &c, base), &c, base))
			}
		})
	}
}

// realBlock opens a copy of a block.
func realBlock(t *testing.T, name string) *blocksAnd {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("..", "store", "block", "testdata", "tempo", name, "single-tenant", "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("find block %s: %d found, %v", name, len(found), err)
	}
	dir := filepath.Join(t.TempDir(), filepath.Base(found[0]))
	if err := os.CopyFS(dir, os.DirFS(found[0])); err != nil {
		t.Fatal(err)
	}
	b, err := block.Open(t.Context(), fs.OS, dir, block.NewCache(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	s := &blocksAnd{}
	s.set.Swap(nil, []*block.Block{b}, nil)
	t.Cleanup(func() { s.set.Swap([]block.ID{b.Meta.ID}, nil, func(block.ID) {}) })
	return s
}
