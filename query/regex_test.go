package query_test

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"etude/internal/testkit"
	"etude/query"
	"etude/trace"
)

// TestPatternsOfManyValues searches more distinct values than are matched one by one, before and after the engine has
// prepared the Table for patterns, and compares with package regexp.
func TestPatternsOfManyValues(t *testing.T) {
	t.Parallel()
	const spans = 3000
	odd := []string{"\u212aelvin", "1 KELVIN", "kelvi", "mas\u017fe", "MASSE 1", "maße", "word Up", "\xff\xfe kelvin", "ab\nKeLvIn"}
	texts := make([]string, spans)
	table := trace.NewTable()
	resource, _ := table.AddResource([]byte("r"), 0, 0, 0)
	table.EndResource()
	scope, _ := table.AddScope([]byte("s"), resource, 0, 0, 0, 0)
	table.EndScope()
	for n := range spans {
		texts[n] = fmt.Sprintf("/Api/%d/item/%d", n%7, n)
		if n%3 == 2 {
			texts[n] = fmt.Sprintf("%s %d", odd[n/3%len(odd)], n)
		}
		s := trace.Span{Scope: scope, Start: origin, End: origin + 1}
		binary.BigEndian.PutUint64(s.TraceID[:], uint64(n)+1)
		binary.BigEndian.PutUint64(s.SpanID[:], uint64(n)+1)
		w := table.AddSpan(&s)
		w.AddText([]byte("text"), trace.String, []byte(texts[n]))
		w.AddText([]byte("pad"), trace.String, fmt.Appendf(nil, "%60d", n)) // so that the Table is worth preparing
		table.EndSpan()
	}
	e := query.New(views(table), query.Options{})
	patterns := []string{"/Api/.*/item/12.", "/api/.*/item/12.", "(?i)/api/.*/item/12.", "(?i).*kelvin.*", "(?i).*MASSE.*",
		".*KELVIN.*", ".*(?i:Kelv).*9", ".*nowhere.*", "(?i).*nowhere.*", ".*item/(1|2)7.*", "(?i:.*WORD) .*1"}
	for _, pattern := range patterns {
		checkPattern(t, e, texts, pattern)
	}
	testkit.Until(t, "the Table is prepared", func() bool { return !table.View().Strings.Learns() })
	if dict := &table.View().Strings; !dict.Lacks("nowhere", false) || dict.Lacks("item/12", false) {
		t.Error("the engine has prepared the Table, and it rules out the wrong texts")
	}
	for _, pattern := range patterns {
		checkPattern(t, e, texts, pattern)
	}
}

func checkPattern(t *testing.T, e *query.Engine, texts []string, pattern string) {
	t.Helper()
	found, err := e.Search(t.Context(), query.Request{Query: "{ span.text =~ `" + pattern + "` }", Limit: len(texts)})
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint64]bool{}
	for _, f := range found.Traces {
		got[binary.BigEndian.Uint64(f.ID[:])] = true
	}
	re := regexp.MustCompile("^(?s:" + pattern + ")$")
	matches := 0
	for n, text := range texts {
		want := re.MatchString(text)
		if want {
			matches++
		}
		if got[uint64(n)+1] != want {
			t.Fatalf("%s, %q: found %t, want %t", pattern, text, got[uint64(n)+1], want)
		}
	}
	if matches == 0 && !strings.Contains(pattern, "nowhere") && pattern != "/api/.*/item/12." {
		t.Errorf("%s matches nothing", pattern)
	}
}
