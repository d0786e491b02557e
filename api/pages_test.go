package api_test

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"

	"etude/store/block"
	"etude/trace"
)

// counted is a Source that counts how a search reads parts: whole with attributes, and by the page.
type counted struct {
	trace.Source
	whole, pages atomic.Int64
}

func (c *counted) Snapshot(ctx context.Context) (trace.Snapshot, error) {
	s, err := c.Source.Snapshot(ctx)
	return countedParts{s.(pagedSnapshot), c}, err
}

type pagedSnapshot interface {
	trace.Snapshot
	trace.Pager
}

type countedParts struct {
	pagedSnapshot
	c *counted
}

func (s countedParts) Open(ctx context.Context, part int, need *trace.Need) (*trace.View, error) {
	if !s.Parts()[part].Resident && (need.Columns&^trace.TraceTimes != 0 || len(need.Keys[trace.SpanLevel]) > 0) {
		s.c.whole.Add(1)
	}
	return s.pagedSnapshot.Open(ctx, part, need)
}

func (s countedParts) OpenPage(ctx context.Context, part, page int, need *trace.Need) (*trace.View, error) {
	s.c.pages.Add(1)
	return s.pagedSnapshot.OpenPage(ctx, part, page, need)
}

// rareQueries find few traces, in every way in which filters are combined.
var rareQueries = []string{
	`{ span.messaging.offset = 935439610776679 }`,
	`{ .messaging.offset = 935439610776679 }`,
	`{ span.messaging.offset = 935439610776679 || span.messaging.offset = 640978133492238 }`,
	`{ span.messaging.offset = 640978133492238 && span.scope.order = "from-span" && !(name = "x") } | select(span.thread.id, resource.cluster)`,
	`{ span.messaging.offset = 935439610776679 } && { span.messaging.offset = 640978133492238 }`,
	`{ span.messaging.offset = 935439610776679 } >> { span.messaging.offset = 640978133492238 }`,
	`{ span.messaging.offset = 935439610776679 } !>> { span.messaging.offset = 640978133492238 }`,
	`{ span.messaging.offset = 935439610776679 } || { span.messaging.offset = 1 }`,
	`({ span.messaging.offset = 935439610776679 } | count() > 0) && ({ span.messaging.offset = 640978133492238 } | count() > 0)`,
	`{ span.messaging.offset = 935439610776679 } | by(name) | max(duration) > 1ms`,
	`{ span.messaging.offset = 935439610776679 && span.messaging.system != "sqs" && span.nothing = nil } | { span.flags = true }`,
}

// TestRareValuesAreReadByThePage asks for values that few spans have, in columns of their own and in the lists of all
// attributes, and wants that no column of a whole part is read.
func TestRareValuesAreReadByThePage(t *testing.T) {
	t.Parallel()
	const base = 1795898580
	load := sortedByTrace(t, payloadsOf(t, "large", base))
	one := newServer(tablesOf(t, load, 1))
	for name, dedicated := range map[string][]block.Dedicated{"own columns": nil, "lists": {{Name: "no.such.key"}}} {
		src := &counted{Source: blocksOf(t, block.WriteOptions{PageSpans: 20, Dedicated: dedicated}, tablesOf(t, load, 1))}
		h := newServer(src)
		for _, query := range rareQueries {
			target := "/api/search?limit=1000&q=" + url.QueryEscape(query)
			want := getFrom(one, target)
			src.whole.Store(0)
			src.pages.Store(0)
			got := getFrom(h, target)
			if want.Code != http.StatusOK || !sameAnswer(got, want) {
				t.Errorf("%s, %s: %d %s", name, query, got.Code, firstDifference(got.Body.String(), want.Body.String()))
			}
			if whole, pages := src.whole.Load(), src.pages.Load(); whole > 0 || pages == 0 {
				t.Errorf("%s, %s: %d parts were read whole, and %d pages", name, query, whole, pages)
			}
		}
	}
}
