package block

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"etude/internal/testkit"
	"etude/trace"
)

// Whatever is declared is there, and is the same as when everything is read; in
// whatever order needs come, and when the cache keeps nothing.
func TestNeeds(t *testing.T) {
	t.Parallel()
	for _, name := range testkit.TempoBlocks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openBlock(t, realBlock(t, name))
			random := rand.New(rand.NewPCG(1, 2))
			for _, p := range b.parts[:min(3, len(b.parts))] {
				whole, err := p.open(context.Background(), trace.Everything())
				if err != nil {
					t.Fatal(err)
				}
				want := describeNeed(whole, trace.Everything())
				b.cache.drop(b)
				for range 12 {
					if random.IntN(4) == 0 {
						b.cache = NewCache(int64(random.IntN(1 << 16)))
						p.state = nil
					}
					need := randomNeed(random, whole)
					v, err := p.open(context.Background(), need)
					if err != nil {
						t.Fatal(err)
					}
					for what, got := range describeNeed(v, need) {
						if diff := cmp.Diff(want[what], got); diff != "" {
							t.Fatalf("%s of row group %d (-everything +%v):\n%s", what, p.number, need, diff)
						}
					}
				}
			}
		})
	}
}

func randomNeed(random *rand.Rand, v *trace.View) *trace.Need {
	some, others := random.Uint32(), random.Uint32() // a column in four
	need := &trace.Need{Columns: trace.Columns(some&others) & trace.AllColumns}
	for l := range trace.Level(trace.Levels) {
		need.AllKeys[l] = random.IntN(5) == 0
		for c := range v.Attrs(l).All() {
			if random.IntN(5) == 0 {
				need.Key(l, c.Key)
			}
		}
		if random.IntN(3) == 0 {
			need.Key(l, "no such key")
		}
	}
	return need
}

// describeNeed writes each column that is declared in words.
func describeNeed(v *trace.View, need *trace.Need) map[string]string {
	all := map[string]string{"frame": fmt.Sprint(v.TraceIDs, v.Trace, v.Scope, v.ScopeResource, v.Resources(), v.Scopes())}
	texts := func(codes []uint32) (texts []string) {
		for _, code := range codes {
			texts = append(texts, v.Text(code))
		}
		return texts
	}
	pairs := func(s *trace.Sparse, text bool) string {
		var w strings.Builder
		for row, value := range s.All() {
			if text {
				fmt.Fprintf(&w, "%d=%s ", row, v.Text(value))
			} else {
				fmt.Fprintf(&w, "%d=%d ", row, value)
			}
		}
		return w.String()
	}
	columns := map[trace.Columns]func() string{
		trace.SpanIDs:        func() string { return fmt.Sprint(v.SpanID) },
		trace.Parents:        func() string { return fmt.Sprint(v.Parent) },
		trace.Times:          func() string { return fmt.Sprint(v.Start, v.End) },
		trace.Names:          func() string { return fmt.Sprint(texts(v.Name)) },
		trace.Kinds:          func() string { return fmt.Sprint(v.Kind) },
		trace.Statuses:       func() string { return fmt.Sprint(v.Status) },
		trace.StatusMessages: func() string { return pairs(&v.StatusMessage, true) },
		trace.TraceStates:    func() string { return pairs(&v.TraceState, true) },
		trace.SpanFlags:      func() string { return pairs(&v.Flags, false) },
		trace.Dropped: func() string {
			return fmt.Sprint(pairs(&v.DroppedAttrs, false), pairs(&v.DroppedEvents, false), pairs(&v.DroppedLinks, false), v.ResourceDropped, v.ScopeDropped,
				pairs(&v.EventDropped, false), pairs(&v.LinkDropped, false))
		},
		trace.Sizes:          func() string { return fmt.Sprint(v.Size) },
		trace.ResourceFields: func() string { return fmt.Sprint(texts(v.ResourceSchemaURL), texts(v.ResourceExtra)) },
		trace.ScopeNames:     func() string { return fmt.Sprint(texts(v.ScopeName)) },
		trace.ScopeVersions:  func() string { return fmt.Sprint(texts(v.ScopeVersion)) },
		trace.ScopeSchemas:   func() string { return fmt.Sprint(texts(v.ScopeSchemaURL)) },
		trace.EventSpans:     func() string { return fmt.Sprint(v.EventSpan) },
		trace.EventTimes:     func() string { return fmt.Sprint(v.EventTime) },
		trace.EventNames:     func() string { return fmt.Sprint(texts(v.EventName)) },
		trace.LinkSpans:      func() string { return fmt.Sprint(v.LinkSpan) },
		trace.LinkIDs:        func() string { return fmt.Sprint(v.LinkTraceID, v.LinkSpanID) },
		trace.LinkFields:     func() string { return pairs(&v.LinkState, true) + pairs(&v.LinkFlags, false) },
		trace.Starts: func() string {
			var began []uint64
			for row := range uint32(v.Spans()) {
				began = append(began, v.Began(row))
			}
			return fmt.Sprint(began)
		},
		trace.TraceTimes: func() string { return fmt.Sprint(v.TraceStart, v.TraceEnd) },
	}
	for bit, columnText := range columns {
		if need.Columns&bit != 0 {
			all[fmt.Sprint("column ", bit)] = columnText()
		}
	}
	for l := range trace.Level(trace.Levels) {
		keys := need.Keys[l]
		if need.AllKeys[l] {
			keys = map[string]bool{"no such key": true}
			for c := range v.Attrs(l).All() {
				keys[c.Key] = true
			}
		}
		for key := range keys {
			var w strings.Builder
			for c := range v.Attrs(l).OfKey(key) {
				for i, row := range c.Rows {
					value := v.Attrs(l).At(c, i)
					fmt.Fprintf(&w, "%d:%s:%q/%d ", row, value.Type, value.Str(), value.Bits())
				}
			}
			all[fmt.Sprint(l, " attribute ", key)] = w.String()
		}
	}
	return all
}
