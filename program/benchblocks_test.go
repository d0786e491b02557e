package program

import (
	"encoding/json"
	"strings"
	"testing"

	"etude/bench"
)

// TestBenchBlocks measures a small history with the real program.
func TestBenchBlocks(t *testing.T) {
	t.Parallel()
	args := []string{"bench", "blocks", "--dir", t.TempDir(), "--starts", "1", "--count", "2", "--json"}
	b := start(t, nil, append(args, "--spans", "2000", "--after", "1s")...)
	if status := b.ended(); status != 0 {
		t.Fatalf("exit status %d:\n%s", status, b.out)
	}
	var r bench.BlocksReport
	_, text, _ := strings.Cut(b.out.String(), "\n{")
	if err := json.Unmarshal([]byte("{"+text), &r); err != nil {
		t.Fatalf("%v:\n%s", err, b.out)
	}
	if r.Spans < 2000 || r.InBlocks != r.Spans || r.Blocks < 1 || r.BlockBytes < 10*r.Spans || r.Sidecars < 1 || r.Sidecars >= r.BlockBytes {
		t.Errorf("what it holds: %+v", r)
	}
	if r.Ready <= 0 || len(r.Queries) != 7 {
		t.Errorf("ready in %v ms, %d queries", r.Ready, len(r.Queries))
	}
	for _, q := range r.Queries {
		if q.Errors > 0 || q.Asked != 2 || q.P50 <= 0 || q.Cold.P50 <= 0 || strings.Contains(q.Query, "$") {
			t.Errorf("%+v", q)
		}
	}
}

func TestBenchBlocksRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for flag, want := range map[string]string{"--spans=-1": "--spans", "--starts=0": "--starts", "--after=0s": "--after", "--budget=0s": "--budget", "--cardinality=-1": "--cardinality"} {
		b := start(t, nil, "bench", "blocks", "--dir", dir, flag)
		if status := b.ended(); status == 0 || !strings.Contains(b.out.String(), want) {
			t.Errorf("%s: status %d:\n%s", flag, status, b.out)
		}
	}
}
