package query_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"etude/query"
	"etude/trace"
)

// benchSpans is how many spans the benchmarks store, ten a trace.
const benchSpans = 200_000

var benchViews = makeBenchViews()

// makeBenchViews returns a function that makes the tables once.
func makeBenchViews() func() source {
	var made source
	return func() source {
		if made == nil {
			for n := 0; n < benchSpans; {
				rows := min(benchSpans-n, trace.MaxRows/10*10)
				made = append(made, benchTable(n, rows).View())
				n += rows
			}
		}
		return made
	}
}

// held returns a Source of Views that takes one snapshot for all queries, as the head
// of a store does while no spans come.
func held(views source) trace.Source {
	snap, _ := views.Snapshot(context.Background())
	return heldSource{snap}
}

type heldSource struct{ snap trace.Snapshot }

func (h heldSource) Snapshot(context.Context) (trace.Snapshot, error) { return h.snap, nil }

func benchTable(first, rows int) *trace.Table { return spacedTable(first, rows, 1e6) }

// spacedTable makes traces of ten spans that begin spacing nanoseconds apart.
func spacedTable(first, rows int, spacing uint64) *trace.Table {
	t := trace.NewTable()
	r := rand.New(rand.NewPCG(1, uint64(first)))
	var scopes [20]uint32
	for i := range scopes {
		name := fmt.Sprintf("service-%d", i)
		resource, w := t.AddResource([]byte(name), 0, 0, 0)
		w.AddText([]byte("service.name"), trace.String, []byte(name))
		t.EndResource()
		scopes[i], _ = t.AddScope([]byte(name), resource, 0, 0, 0, 0)
		t.EndScope()
	}
	for n := first; n < first+rows; n++ {
		var id trace.TraceID
		binary.BigEndian.PutUint64(id[:], uint64(n/10)*0x9e3779b97f4a7c15+1)
		s := trace.Span{TraceID: id, Kind: uint8(n % 5), Scope: scopes[r.IntN(len(scopes))]}
		binary.BigEndian.PutUint64(s.SpanID[:], uint64(n)+1)
		if n%10 != 0 {
			binary.BigEndian.PutUint64(s.Parent[:], uint64(n/10*10+(n%10-1)/2)+1)
		}
		s.Name = fmt.Appendf(nil, "GET /route/%d", r.IntN(100))
		s.Start = origin + uint64(n/10)*spacing + uint64(n%10)*1e4
		s.End = s.Start + uint64(r.ExpFloat64()*50e6)
		if r.IntN(50) == 0 {
			s.Status = uint8(trace.StatusError)
		}
		w := t.AddSpan(&s)
		w.AddText([]byte("user.id"), trace.String, fmt.Appendf(nil, "user-%d", n))
		w.AddText([]byte("http.route"), trace.String, fmt.Appendf(nil, "/route/%d", r.IntN(100)))
		w.AddNum([]byte("http.status_code"), trace.Int, uint64(200+100*r.IntN(4)))
		t.EndSpan()
	}
	return t
}

func BenchmarkSearch(b *testing.B) {
	for _, c := range []struct{ name, query string }{
		{"service", `{ resource.service.name = "service-3" }`},
		{"name-and-duration", `{ name = "GET /route/7" && duration > 200ms }`},
		{"high-cardinality", `{ span.user.id = "user-4711" }`},
		{"absent", `{ span.user.id = "nobody" }`},
		{"regex", `{ span.http.route =~ "/route/1.*" && status = error }`},
		{"regex-distinct", `{ span.user.id =~ "us.*-512.." }`},
		{"regex-distinct-any-case", `{ span.user.id =~ "(?i)us.*-512.." }`},
		{"regex-distinct-absent", `{ span.user.id =~ "us.*nobody.*" }`},
		{"structural", `{ resource.service.name = "service-3" } >> { status = error }`},
		{"structural-none", `{ name = "nobody" } >> { status = error }`},
		{"aggregate", `{ status = error } | count() > 2`},
		{"every-trace", `{ } >> { kind = client } | count() > 100`},
		{"union", `{ } &>> { kind = client } | count() > 100`},
		{"trace-duration", `{ traceDuration > 600ms }`},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := query.New(held(benchViews()), query.Options{})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Search(b.Context(), query.Request{Query: c.query}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTrace(b *testing.B) {
	var id trace.TraceID
	n := uint64(777)
	binary.BigEndian.PutUint64(id[:], n*0x9e3779b97f4a7c15+1)
	e := query.New(held(benchViews()), query.Options{MaxTime: time.Minute})
	b.ReportAllocs()
	for b.Loop() {
		if whole, err := e.Trace(b.Context(), id, 0); err != nil || len(whole.Spans) != 10 {
			b.Fatalf("%v, %v", whole, err)
		}
	}
}

func BenchmarkTagNames(b *testing.B) {
	e := query.New(held(benchViews()), query.Options{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.TagNames(b.Context(), query.TagRequest{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTagValues(b *testing.B) {
	for _, tag := range []string{"resource.service.name", "span.http.route", "name", "span.http.status_code"} {
		b.Run(tag, func(b *testing.B) {
			e := query.New(held(benchViews()), query.Options{})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.TagValues(b.Context(), tag, query.TagRequest{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
