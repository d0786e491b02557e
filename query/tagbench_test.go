package query_test

import (
	"testing"

	"etude/query"
	"etude/trace"
)

// manyViews are a million spans, each with a user.id of its own.
var manyViews = makeManyViews()

func makeManyViews() func() source {
	var made source
	return func() source {
		for n := len(made) * trace.MaxRows; n < 1_000_000; n += trace.MaxRows {
			made = append(made, benchTable(n, trace.MaxRows).View())
		}
		return made
	}
}

// BenchmarkTagsOfMillion asks what an editor asks while a user types.
func BenchmarkTagsOfMillion(b *testing.B) {
	e := query.New(held(manyViews()), query.Options{})
	b.Run("names", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.TagNames(b.Context(), query.TagRequest{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, c := range []struct {
		name, tag string
		req       query.TagRequest
	}{
		{"service", "resource.service.name", query.TagRequest{}},
		{"service-unscoped", ".service.name", query.TagRequest{}},
		{"span-name", "name", query.TagRequest{}},
		{"status-code", "span.http.status_code", query.TagRequest{}},
		{"user-limit", "span.user.id", query.TagRequest{Limit: 1000}},
		{"user", "span.user.id", query.TagRequest{}},
		{"user-of-service", "span.user.id", query.TagRequest{Limit: 1000, Query: `{ resource.service.name = "service-3" }`}},
		{"name-of-user", "name", query.TagRequest{Query: `{ span.user.id = "user-4711" }`}},
		{"root-name", "rootName", query.TagRequest{Limit: 1000}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.TagValues(b.Context(), c.tag, c.req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
