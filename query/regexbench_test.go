package query_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"etude/query"
	"etude/trace"
)

// pathViews hold a million spans, each with a url.path of its own.
var pathViews = sync.OnceValue(func() (views source) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := 0; n < 1_000_000; n += trace.MaxRows {
		t := trace.NewTable()
		resource, w := t.AddResource([]byte("r"), 0, 0, 0)
		w.AddText([]byte("service.name"), trace.String, []byte("shop"))
		t.EndResource()
		scope, _ := t.AddScope([]byte("s"), resource, 0, 0, 0, 0)
		t.EndScope()
		for i := n; i < n+trace.MaxRows; i++ {
			s := trace.Span{Kind: 2, Scope: scope, Name: []byte("GET"), Start: origin + uint64(i)*1e6}
			binary.BigEndian.PutUint64(s.TraceID[:], uint64(i/10)*0x9e3779b97f4a7c15+1)
			binary.BigEndian.PutUint64(s.SpanID[:], uint64(i)+1)
			s.End = s.Start + uint64(r.ExpFloat64()*50e6)
			w := t.AddSpan(&s)
			w.AddText([]byte("url.path"), trace.String, fmt.Appendf(nil, "/api/v1/users/%d/orders/%d", r.IntN(100_000), i))
			t.EndSpan()
		}
		views = append(views, t.View())
	}
	return views
})

// BenchmarkRegexOfMillion matches a pattern against a million distinct values.
func BenchmarkRegexOfMillion(b *testing.B) {
	for _, c := range []struct{ name, pattern string }{
		{"found", "/api/v1/.*/orders/512.."},
		{"absent", "/api/v1/.*/nothere/512.."},
		{"any-case", "(?i)/API/v1/.*/orders/512.."},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := query.New(held(pathViews()), query.Options{})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Search(b.Context(), query.Request{Query: `{ span.url.path =~ "` + c.pattern + `" }`}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
