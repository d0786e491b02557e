package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"etude/store/block"
	"etude/trace"
)

// The cutter waits for a large block, but not for ever. A Table is the age of its last
// span, "+" means that it grows, "!" that it is being sealed.
func TestDue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		tables string
		filled float64 // share of the bound of the head
		cut    int
		idle   bool
	}{
		{"", 0, 0, false},
		{"1m 0s+", 0, 0, false},
		{"6m 1m 0s+", 0, 0, false},        // waits for more
		{"9m 8m 7m 6m 0s+", 0, 0, false},  // the same
		{"11m 6m 6m 6m 0s+", 0, 4, false}, // has waited long enough
		{"6m 6m", 0, 2, false},            // nothing more will come
		{"6m 6m 6m+", 0, 2, true},         // the same
		{"6m+", 0, 0, true},               // must be sealed first
		{"6m 6m!", 0, 0, false},           // waits for the one that is being sealed
		{"-20m 1m 0s+", 0, 1, false},      // the clock went back
		{strings.Repeat("6m ", 9) + "0s+", 0, 8, false},
		{strings.Repeat("6m ", 20) + "0s+", 0, 8, false},
		{"10s 9s 8s 7s 0s+", 0.6, 0, false}, // half full: waits for a large block
		{strings.Repeat("10s ", 8) + "0s+", 0.6, 8, false},
		{"10s 9s 8s 1s 0s+", 0.8, 3, false}, // nearly full: no longer
		{"10s 9s 1s 1s 0s+", 1, 4, true},    // full: the growing one as well
	} {
		now := time.Unix(1e9, 0)
		s := &Store{blocks: &blocks{o: BlockOptions{After: 5 * time.Minute}}}
		s.o.Now = func() time.Time { return now }
		for _, text := range strings.Fields(test.tables) {
			open, sealing := strings.HasSuffix(text, "+"), strings.HasSuffix(text, "!")
			age, err := time.ParseDuration(strings.TrimRight(text, "+!"))
			if err != nil {
				t.Fatal(err)
			}
			p := &part{open: open, spans: trace.MaxRows, newest: now.Add(-age).UnixNano()}
			if sealing || open {
				p.table = trace.NewTable()
			}
			s.head.parts = append(s.head.parts, p)
		}
		bounds := Bounds{}
		if test.filled > 0 {
			bounds.Spans = int64(float64(s.head.spans()) / test.filled)
		}
		s.bounds.Store(&bounds)
		if parts, idle := s.oldest(now); len(parts) != test.cut || idle != test.idle {
			t.Errorf("%q, %g: %d tables, idle %t; want %d, %t", test.tables, test.filled, len(parts), idle, test.cut, test.idle)
		}
	}
}

// Blocks that have full row groups stay as they are. A block is its spans in thousands.
func TestMergeable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		blocks string
		over   bool // the hour
		merge  string
	}{
		{"", true, ""},
		{"10 10 10", false, ""},
		{"10 10 10 10", false, "10 10 10 10"},
		{"10 10 10", true, "10 10 10"},
		{"524 524 524 524 524", false, ""}, // under load
		{"524 524", true, ""},
		{"524 10 20 524", true, "10 20"},
		{"524 10 524 10", true, ""}, // only neighbours merge
	} {
		b := &blocks{}
		for i, text := range strings.Fields(test.blocks) {
			var thousands int64
			fmt.Sscan(text, &thousands)
			at := int64(i+1) * int64(time.Second)
			b.held = append(b.held, &heldBlock{id: block.ID{byte(i)}, format: block.VParquet5, spans: thousands * 1000, bytes: thousands * 50_000, first: at, newest: at})
		}
		now := time.Unix(100, 0)
		if test.over {
			now = now.Add(2 * compactWindow)
		}
		var got []string
		for _, h := range b.mergeable(now, compactBytes) {
			got = append(got, fmt.Sprint(h.spans/1000))
		}
		if strings.Join(got, " ") != test.merge {
			t.Errorf("%q, over %t: merges %q, want %q", test.blocks, test.over, got, test.merge)
		}
	}
}
