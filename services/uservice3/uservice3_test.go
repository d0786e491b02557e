package uservice3

import (
	"testing"
	"testing/synctest"
	"time"
)

// Every value of the range comes up, both ends included, and none outside it; four values are enough to see.
func TestLatencyCoversTheRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait, err := newMock("100ms-100.000003ms")
		if err != nil {
			t.Fatal(err)
		}
		seen := map[time.Duration]int{}
		for range 1000 {
			began := time.Now()
			wait(t.Context())
			seen[time.Since(began)-100*time.Millisecond]++
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
