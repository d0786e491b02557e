package check_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"etude/traceql/check"
	"etude/traceql/syntax"
)

// TestQuery reads testdata/rules.txt: lines "query  =>  ok" or "query  =>  text
// that the error holds".
func TestQuery(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for line := range strings.Lines(string(text)) {
		query, want, ok := strings.Cut(strings.TrimSpace(line), "  =>  ")
		if !ok {
			continue
		}
		cases++
		q, err := syntax.Parse(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		switch err := check.Query(q); {
		case want == "ok" && err != nil:
			t.Errorf("%s: %v", query, err)
		case want != "ok" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %s", query, err, want)
		}
	}
	if cases < 50 {
		t.Errorf("%d cases read, want more than 50", cases)
	}
}

// BenchmarkQuery checks sums whose length doubles: so must the time.
func BenchmarkQuery(b *testing.B) {
	for _, n := range []int{1000, 2000, 4000, 8000} {
		q, err := syntax.Parse("{ " + strings.Repeat("span.a + ", n) + "1 > 1 }")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if err := check.Query(q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
