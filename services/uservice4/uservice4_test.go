package uservice4

import (
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
)

// Every value of the range comes up, both ends included, and none outside it; four values are enough to see.
func TestLatencyCoversTheRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{low: 1000 * time.Millisecond, high: 1000*time.Millisecond + 3, tracer: noop.NewTracerProvider().Tracer("")}
		seen := map[time.Duration]int{}
		for range 1000 {
			began := time.Now()
			if err := s.databaseCall(t.Context()); err != nil {
				t.Fatal(err)
			}
			seen[time.Since(began)-s.low]++
		}
		for step := time.Duration(0); step <= 3; step++ {
			if seen[step] < 150 {
				t.Errorf("low + %d ns came up %d times in 1000, want about 250", step, seen[step])
			}
		}
		if len(seen) != 4 {
			t.Errorf("values outside the range: %v", seen)
		}
	})
}
