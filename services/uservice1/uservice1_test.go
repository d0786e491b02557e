package uservice1

import (
	"errors"
	"io"
	"log"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// away is a next service that fails at once, so that only the mock command takes time.
type away struct{}

func (away) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("away") }

// Every value of the range comes up, both ends included, and none outside it; four values are enough to see.
func TestLatencyCoversTheRange(t *testing.T) {
	real := client.Transport
	client.Transport = away{}
	defer func() { client.Transport = real }()
	synctest.Test(t, func(t *testing.T) {
		next, err := http.NewRequest(http.MethodGet, "http://next/", nil)
		if err != nil {
			t.Fatal(err)
		}
		s := &service{log: log.New(io.Discard, "", 0), next: next, low: 100 * time.Millisecond, high: 100*time.Millisecond + 3}
		seen := map[time.Duration]int{}
		for range 1000 {
			began := time.Now()
			if err := s.redisCall(t.Context()); err == nil {
				t.Fatal("no error although the next service is away")
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
