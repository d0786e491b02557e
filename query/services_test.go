package query_test

import (
	"fmt"
	"reflect"
	"testing"

	"etude/query"
	"etude/trace"
)

// TestServiceStats searches a trace of many resources, some of one service.
func TestServiceStats(t *testing.T) {
	t.Parallel()
	for _, resources := range []int{1, 3, 16, 17, 100} {
		table := trace.NewTable()
		var want []query.ServiceStats
		for n := range resources {
			service := fmt.Sprintf("service-%02d", n/2)
			key := fmt.Append(nil, n)
			resource, w := table.AddResource(key, 0, 0, 0)
			w.AddText([]byte("service.name"), trace.String, []byte(service))
			table.EndResource()
			scope, _ := table.AddScope(key, resource, 0, 0, 0, 0)
			table.EndScope()
			for i := range n%3 + 1 {
				status := trace.Status(i % 3) // the third is an error
				table.AddSpan(&trace.Span{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{6: byte(n), 7: byte(i + 1)}, Scope: scope,
					Start: origin + uint64(resources-n), End: origin + 1000, Status: uint8(status)})
				table.EndSpan()
				if i == 0 && n%2 == 0 {
					want = append(want, query.ServiceStats{Service: service})
				}
				last := &want[len(want)-1]
				last.Spans++
				if status == trace.StatusError {
					last.Errors++
				}
			}
		}
		found, err := query.New(views(table), query.Options{}).Search(t.Context(), query.Request{Query: "{ }"})
		if err != nil || len(found.Traces) != 1 {
			t.Fatalf("%d resources: %v, %v", resources, found, err)
		}
		if got := found.Traces[0].Services; !reflect.DeepEqual(got, want) {
			t.Errorf("%d resources: %v, want %v", resources, got, want)
		}
	}
}
