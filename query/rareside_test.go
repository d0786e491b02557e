package query_test

import (
	"context"
	"sync"
	"testing"

	"etude/internal/testkit"
	"etude/query"
	"etude/trace"
)

// opening counts the parts that a query opens.
type opening struct {
	mu    sync.Mutex
	parts map[int]bool
}

func (o *opening) note(_ context.Context, part int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.parts == nil {
		o.parts = map[int]bool{}
	}
	o.parts[part] = true
	return nil
}

// TestRareSideOpensFewParts wants that a query opens only the parts that have spans of its rare side, and those
// that have their traces.
func TestRareSideOpensFewParts(t *testing.T) {
	t.Parallel()
	const parts = 30
	var views testkit.Views
	for part := range parts {
		table := trace.NewTable()
		begin := uint64(1000 * part)
		for n := range 8 {
			add(table, span{trace: byte(8*part + n), id: 1, service: "s", name: "common", user: "all", start: begin + uint64(n), end: begin + uint64(n) + 10})
		}
		switch part {
		case 4: // the same trace as in part 20
			add(table, span{trace: 250, id: 9, service: "s", name: "rare", start: begin, end: begin + 5})
			add(table, span{trace: 251, id: 9, service: "s", name: "early", start: begin, end: begin + 5})
		case 20:
			add(table, span{trace: 250, id: 10, parent: 9, service: "s", name: "common", user: "all", start: begin, end: begin + 5})
		case 21:
			add(table, span{trace: 249, id: 9, service: "s", name: "rare", start: begin, end: begin + 5})
			add(table, span{trace: 249, id: 10, parent: 9, service: "s", name: "common", user: "all", start: begin, end: begin + 5})
		}
		views = append(views, table.View())
	}
	window := [2]uint64{origin + 10_000, origin + 30_000}
	for _, c := range []struct {
		query    string
		windowed bool
		traces   int
	}{
		{"{ name = `rare` } >> { name = `common` }", false, 2},
		{"{ name = `common` && .user.id = `all` } << { name = `rare` }", false, 2},
		{"{ name = `rare` } && { name = `common` }", false, 2},
		{"{ name = `rare` } > ({ name = `common` } && { .user.id = `all` })", false, 2},
		{"{ name = `nobody` } >> { name = `common` }", false, 0},
		{"{ name = `rare` } >> { name = `common` }", true, 2},
		{"{ name = `rare` }", true, 2},
		{"{ name = `early` }", true, 0},
		{"{ name = `early` } && { name = `common` }", true, 0},
	} {
		for _, warm := range []int{0, 5} {
			var o opening
			req := query.Request{Query: c.query, Limit: 100}
			if c.windowed {
				req.Start, req.End = window[0], window[1]
			}
			found, err := query.New(testkit.Cold{Views: views, Warm: warm, Opening: o.note}, query.Options{}).Search(t.Context(), req)
			if err != nil || len(found.Traces) != c.traces {
				t.Fatalf("%s, window %t: %v, %v, want %d traces", c.query, c.windowed, found, err, c.traces)
			}
			// A part of another trace is opened when Find names it, see testkit.Cold.
			if most := 6 + 2*warm; len(o.parts) > most {
				t.Errorf("%s, window %t, %d in memory: %d parts were opened, want at most %d: %v", c.query, c.windowed, warm, len(o.parts), most, o.parts)
			}
		}
	}
}
