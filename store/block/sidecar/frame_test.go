package sidecar

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"etude/trace"
)

// FuzzFrame wants that a tally counts what the rows of a frame are, and that no frame makes a panic.
func FuzzFrame(f *testing.F) {
	names, err := filepath.Glob(filepath.Join("..", "testdata", "own", "*", "*", "etude.sidecar"))
	if err != nil || len(names) == 0 {
		f.Fatalf("find sidecars: %d found, %v", len(names), err)
	}
	added := 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		stamp, groups := stampOf(data)
		all, err := Parse(data, stamp, groups)
		if err != nil {
			continue // an old version
		}
		for i := range all {
			_ = all[i].unpack(bytes.NewReader(data), func(b []byte) error {
				added++
				f.Add(bytes.Clone(b), all[i].Spans, all[i].traces)
				return nil
			})
		}
	}
	if added == 0 {
		f.Fatal("no sidecar has a frame")
	}
	f.Fuzz(func(t *testing.T, data []byte, spans, traces int) {
		if spans < 0 || spans > 1<<16 {
			return
		}
		facts := &Facts{traces: traces}
		facts.Spans = spans
		frame, frameErr := parseFrame(data, trace.NewDict(), facts)
		tally, counts, err := parseTally(data, trace.NewDict(), facts)
		if err == nil && frameErr != nil {
			t.Fatalf("a tally of a frame that is wrong: %v", frameErr)
		}
		if err != nil {
			return
		}
		want := make([]uint32, len(frame.ScopeResource))
		for _, scope := range frame.Scope {
			want[scope]++
		}
		if len(counts) != len(want) || len(tally.ScopeResource) != len(want) {
			t.Fatalf("%d scopes, want %d", len(counts), len(want))
		}
		for i, n := range want {
			if counts[i] != n {
				t.Fatalf("scope %d has %d spans, want %d", i, counts[i], n)
			}
		}
	})
}
