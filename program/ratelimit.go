package program

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"etude/receive"
)

// rateLimit bounds the bytes a second of one sender of spans: a bucket that
// fills at the rate up to the burst, and from which each request takes its size.
// A request larger than the burst passes when the bucket is full, and those that
// follow wait the longer; refused, it would be refused forever.
type rateLimit struct {
	perSecond, burst float64 // bytes

	mu      sync.Mutex
	tokens  float64 // may be below 0
	filled  time.Time
	refused atomic.Int64
}

// newRateLimit returns nil, which lets everything pass, for a rate of 0. A burst
// of 0 is what the rate gives in a second.
func newRateLimit(perSecond, burst int64) *rateLimit {
	if perSecond <= 0 {
		return nil
	}
	if burst <= 0 {
		burst = perSecond
	}
	return &rateLimit{perSecond: float64(perSecond), burst: float64(burst), tokens: float64(burst), filled: time.Now()}
}

// take lets a request of so many bytes pass, or says when to come back.
func (l *rateLimit) take(size int) error {
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

// rateLimitedError says that the same request passes later.
type rateLimitedError struct {
	limit *rateLimit
	after time.Duration
}

func (e *rateLimitedError) Error() string {
	return fmt.Sprintf("RATE_LIMITED: more than %.0f bytes a second (--max-ingest-rate) after a burst of %.0f (--max-ingest-burst): send again later",
		e.limit.perSecond, e.limit.burst)
}

// RetryAfter is when the bucket is full enough, in whole seconds as HTTP has them.
func (e *rateLimitedError) RetryAfter() time.Duration {
	return max(time.Second, (e.after + time.Second - 1).Truncate(time.Second))
}

// limitedSink is a Sink behind a rate limit.
type limitedSink struct {
	receive.Sink
	rate *rateLimit
}

func (s *limitedSink) Append(ctx context.Context, payload []byte) (receive.Rejected, error) {
	if err := s.rate.take(len(payload)); err != nil {
		return receive.Rejected{}, err
	}
	return s.Sink.Append(ctx, payload)
}
