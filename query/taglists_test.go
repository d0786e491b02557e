package query_test

import (
	"fmt"
	"reflect"
	"sync"
	"testing"

	"etude/query"
	"etude/trace"
)

// TestTagValuesTogether: many ask for the same lists at once, each for another
// part of them.
func TestTagValuesTogether(t *testing.T) {
	t.Parallel()
	s := source{benchTable(0, 3000).View(), motleyTable(1, true).View()}
	want := map[string][]query.TagValue{}
	tags := []string{"span.user.id", "span.http.status_code", "resource.service.name", "rootName", "statusMessage"}
	for _, tag := range tags {
		for limit := range 9 {
			values, err := query.New(s, query.Options{}).TagValues(t.Context(), tag, query.TagRequest{Limit: 1 << limit})
			if err != nil {
				t.Fatal(err)
			}
			want[fmt.Sprint(tag, limit)] = values
		}
	}
	e := query.New(s, query.Options{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				tag, limit := tags[(g+i)%len(tags)], (g*5+i)%9
				got, err := e.TagValues(t.Context(), tag, query.TagRequest{Limit: 1 << limit})
				if err != nil || !reflect.DeepEqual(got, want[fmt.Sprint(tag, limit)]) {
					t.Errorf("%s limit %d: %d values (%v), alone others", tag, 1<<limit, len(got), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestListsAreForgotten asks for more columns than lists are kept for.
func TestListsAreForgotten(t *testing.T) {
	t.Parallel()
	table := trace.NewTable()
	resource, _ := table.AddResource([]byte("r"), 0, 0, 0)
	table.EndResource()
	scope, _ := table.AddScope([]byte("s"), resource, 0, 0, 0, 0)
	table.EndScope()
	for n := range 100 {
		w := table.AddSpan(&trace.Span{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: byte(n + 1)}, Scope: scope})
		for key := range 50 {
			w.AddNum(fmt.Append(nil, "key", key), trace.Int, uint64(n))
		}
		table.EndSpan()
	}
	e := query.New(views(table), query.Options{})
	for range 3 {
		for key := range 50 {
			if got := valuesOf(t, e, fmt.Sprint("span.key", key), query.TagRequest{}); len(got) != 100 {
				t.Errorf("key%d has %d values, want 100", key, len(got))
			}
		}
	}
}

// BenchmarkTagsOfNewView asks of a View that was not asked before, as every
// request finds the growing Table while spans come in.
func BenchmarkTagsOfNewView(b *testing.B) {
	s := manyViews()[:1]
	for _, tag := range []string{"resource.service.name", "name", "span.http.status_code", "span.user.id", "rootName"} {
		b.Run(tag, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := query.New(s, query.Options{}).TagValues(b.Context(), tag, query.TagRequest{Limit: 1000}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestValuesOfLaterTable asks for values of a Table that was made like another.
func TestValuesOfLaterTable(t *testing.T) {
	t.Parallel()
	fill := func(table *trace.Table) *trace.View {
		resource, _ := table.AddResource([]byte("r"), 0, 0, 0)
		table.EndResource()
		scope, _ := table.AddScope([]byte("s"), resource, 0, 0, 0, 0)
		table.EndScope()
		for n := range 3 {
			w := table.AddSpan(&trace.Span{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: byte(n + 1)}, Scope: scope})
			w.AddNum([]byte("int"), trace.Int, uint64(n))
			w.AddNum([]byte("double"), trace.Double, uint64(n))
			w.AddNum([]byte("bool"), trace.Bool, uint64(n%2))
			w.AddText([]byte("text"), trace.String, []byte{'a' + byte(n)})
			table.EndSpan()
		}
		return table.View()
	}
	first := fill(trace.NewTable())
	later := fill(trace.NewTableLike(first))
	for _, tag := range []string{"span.int", "span.double", "span.bool", "span.text"} {
		want, err := query.New(source{first}, query.Options{}).TagValues(t.Context(), tag, query.TagRequest{})
		if err != nil || len(want) < 2 {
			t.Fatalf("%s: %v, %v", tag, want, err)
		}
		got, err := query.New(source{later}, query.Options{}).TagValues(t.Context(), tag, query.TagRequest{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v; want %v", tag, got, err, want)
		}
	}
}
