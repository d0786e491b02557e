package tenants

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRateLimit(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name        string
		rate, burst int64
		// steps are sizes and what becomes of them: "ok", or the delay that is
		// told; "+2s" lets time pass.
		steps string
	}{
		{"no limit", 0, 0, "1000000000 ok 1000000000 ok"},
		{"the burst, then the rate", 100, 300, "200 ok 100 ok 1 1s 100 1s +1s 100 ok 1 1s +2500ms 250 ok 100 1s"},
		{"a burst of a second", 100, 0, "100 ok 50 1s +500ms 50 ok 250 1s"},
		{"delays are whole seconds", 100, 1000, "1000 ok 150 2s 1000 10s +1s 150 1s +500ms 150 ok"},
		{"larger than the burst: when the bucket is full, and paid for", 100, 200, "500 ok 1 4s 500 5s +3s 1 1s +1s 100 ok +2s 500 ok 1 4s"},
		{"the bucket does not overflow", 100, 200, "200 ok +1h 200 ok 1 1s"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { limitSteps(t, newRateLimit(x.rate, x.burst), strings.Fields(x.steps)) })
		})
	}
}

func limitSteps(t *testing.T, l *rateLimit, steps []string) {
	for len(steps) > 0 {
		if pause, ok := strings.CutPrefix(steps[0], "+"); ok {
			d, err := time.ParseDuration(pause)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(d) // of the bubble
			steps = steps[1:]
			continue
		}
		var size int
		if _, err := fmt.Sscan(steps[0], &size); err != nil {
			t.Fatal(err)
		}
		got := "ok"
		if err := l.admit(size); err != nil {
			var later interface{ RetryAfter() time.Duration }
			if !errors.As(err, &later) || !strings.HasPrefix(err.Error(), "RATE_LIMITED: ") || !strings.Contains(err.Error(), "--max-ingest-rate") {
				t.Fatalf("refused by %v", err)
			}
			got = later.RetryAfter().String()
		}
		if got != steps[1] {
			t.Fatalf("%s bytes: %s, want %s; left: %v", steps[0], got, steps[1], steps[2:])
		}
		steps = steps[2:]
	}
}
