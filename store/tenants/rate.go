package tenants

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// rateLimit bounds the bytes a second of one tenant: a bucket that fills at the rate up to the burst, and from
// which each request takes its size. A request larger than the burst passes when the bucket is full, and the
// following requests wait longer. Otherwise such a request could never pass.
type rateLimit struct {
	perSecond, burst float64 // bytes

	mu      sync.Mutex
	tokens  float64 // may be below 0
	filled  time.Time
	refused atomic.Int64
}

// For a rate of 0, newRateLimit returns nil, which admits every request. A burst of 0 means the bytes of one second.
func newRateLimit(perSecond, burst int64) *rateLimit {
	if perSecond <= 0 {
		return nil
	}
	if burst <= 0 {
		burst = perSecond
	}
	return &rateLimit{perSecond: float64(perSecond), burst: float64(burst), tokens: float64(burst), filled: time.Now()}
}

// admit admits a request of the given bytes, or returns an error with the time to wait.
func (l *rateLimit) admit(size int) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.tokens = min(l.burst, l.tokens+l.perSecond*now.Sub(l.filled).Seconds())
	l.filled = now
	missing := min(float64(size), l.burst) - l.tokens
	if missing <= 0 {
		l.tokens -= float64(size)
		return nil
	}
	l.refused.Add(1)
	return &rateLimitedError{l, time.Duration(missing / l.perSecond * float64(time.Second))}
}

// refusals returns the number of refused requests.
func (l *rateLimit) refusals() int64 {
	if l == nil {
		return 0
	}
	return l.refused.Load()
}

// rateLimitedError reports that a tenant exceeds its rate. The same request can pass later.
type rateLimitedError struct {
	limit *rateLimit
	after time.Duration
}

func (e *rateLimitedError) Error() string {
	return fmt.Sprintf("RATE_LIMITED: more than %.0f bytes a second (--max-ingest-rate) after a burst of %.0f (--max-ingest-burst): send again later",
		e.limit.perSecond, e.limit.burst)
}

// RetryAfter returns the time until the bucket is full enough, in whole seconds, as HTTP requires.
func (e *rateLimitedError) RetryAfter() time.Duration {
	return max(time.Second, (e.after + time.Second - 1).Truncate(time.Second))
}
