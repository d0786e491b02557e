package query_test

import (
	"fmt"
	"testing"

	"etude/internal/fs"
	"etude/query"
	"etude/store/block"
	"etude/trace"
)

// TestSearchReadsAhead searches few of many blocks, with and without a cache that keeps what is read ahead, and for so
// few traces that it ends before the reader ahead does.
func TestSearchReadsAhead(t *testing.T) {
	t.Parallel()
	const blocks, rows, spacing = 24, 400, 1e6
	dir := t.TempDir()
	var metas []*block.Meta
	for n := range blocks {
		written, err := block.Write(t.Context(), block.WriteOptions{Dir: dir, PageSpans: 40}, []*trace.View{spacedTable(n*rows, rows, spacing).View()})
		if err != nil {
			t.Fatal(err)
		}
		metas = append(metas, written...)
	}
	for _, limit := range []int64{0, 64 << 20} {
		h, cache := &history{}, block.NewCache(limit)
		for _, m := range metas {
			one, err := block.Open(t.Context(), fs.OS, block.Folder(dir, m.ID), cache)
			if err != nil {
				t.Fatal(err)
			}
			h.set.Swap(nil, []*block.Block{one}, nil)
			defer one.Close()
		}
		e := query.New(h, query.Options{})
		for round := range 12 {
			var or string
			for n := range 5 {
				or += fmt.Sprintf("|| span.user.id = `user-%d`", (5*n+1)*rows+round)
			}
			for most := 1; most <= 5; most += 2 {
				r := search(t, e, query.Request{Query: "{" + or[2:] + "}", Limit: most})
				if len(r.Traces) != most {
					t.Fatalf("%s: %d traces of %d", or, len(r.Traces), most)
				}
				for i, tr := range r.Traces[1:] {
					if tr.Start > r.Traces[i].Start {
						t.Errorf("%s: trace %d is newer than the one before", or, i+1)
					}
				}
			}
		}
	}
}
