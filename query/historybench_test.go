package query_test

import (
	"context"
	"testing"
	"time"

	"etude/internal/fs"
	"etude/query"
	"etude/store/block"
	"etude/trace"
)

// history is a Source of blocks.
type history struct{ set block.Set }

func (h *history) Snapshot(context.Context) (trace.Snapshot, error) { return h.set.Snapshot(), nil }

// BenchmarkHistory asks half a million spans in eight blocks, with a cache that keeps everything or nothing.
func BenchmarkHistory(b *testing.B) {
	const blocks, rows, spacing = 8, 60_000, 1e6
	dir := b.TempDir()
	var metas []*block.Meta
	for n := range blocks {
		written, err := block.Write(b.Context(), block.WriteOptions{Dir: dir}, []*trace.View{spacedTable(n*rows, rows, spacing).View()})
		if err != nil {
			b.Fatal(err)
		}
		metas = append(metas, written...)
	}
	id := spacedTable(200_000, 10, spacing).View().TraceIDs[0]
	search := func(q string) func(context.Context, *query.Engine) (int, error) {
		return func(ctx context.Context, e *query.Engine) (int, error) {
			r, err := e.Search(ctx, query.Request{Query: q})
			return len(r.Traces), err
		}
	}
	for _, c := range []struct {
		name string
		ask  func(context.Context, *query.Engine) (int, error)
	}{
		{"rare-value", search(`{ span.user.id = "user-123456" }`)},
		{"by-service", search(`{ resource.service.name = "service-3" }`)},
		{"structure", search(`{ span.user.id = "user-123450" } >> { name =~ "GET.*" }`)},
		{"rate-by-service", func(ctx context.Context, e *query.Engine) (int, error) {
			r, err := e.Metrics(ctx, query.MetricsRequest{Query: `{ } | rate() by(resource.service.name)`, Start: origin - 1, End: origin + uint64(time.Hour), Step: uint64(time.Minute)})
			return len(r.Series), err
		}},
		{"trace-by-id", func(ctx context.Context, e *query.Engine) (int, error) {
			r, err := e.Trace(ctx, id, 0)
			return len(r.Spans), err
		}},
	} {
		for name, limit := range map[string]int64{"warm": 256 << 20, "cold": 0} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				h, cache := &history{}, block.NewCache(limit)
				for _, m := range metas {
					one, err := block.Open(b.Context(), fs.OS, block.Folder(dir, m.ID), cache)
					if err != nil {
						b.Fatal(err)
					}
					h.set.Swap(nil, []*block.Block{one}, nil)
					defer one.Close()
				}
				e := query.New(h, query.Options{})
				b.ReportAllocs()
				for b.Loop() {
					if n, err := c.ask(b.Context(), e); err != nil || n == 0 {
						b.Fatal(n, err)
					}
				}
			})
		}
	}
}
