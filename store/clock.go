package store

import (
	"log/slog"
	"sync"
	"time"
)

// clock gives the time by which the store computes the age of spans. It follows the system's clock, except
// after a jump forward: a wrong time must not delete everything at once. The clock accepts a jump after an
// hour. Until then it advances by the monotonic time that passes. A machine that wakes from sleep looks like a
// jump, too.
//
// A jump back needs no handling: older spans then have arrivals in the future and stay longer.
type clock struct {
	now    func() time.Time // of the system
	opened time.Time        // with a monotonic reading
	log    *slog.Logger

	mu    sync.Mutex
	base  time.Time // system time at the opening; an accepted jump corrects it
	since time.Time // when the clock noticed a jump, with a monotonic reading; zero for none
}

const (
	clockJump    = time.Minute
	clockBelieve = time.Hour
)

func newClock(now func() time.Time, log *slog.Logger) *clock {
	return &clock{now: now, opened: time.Now(), base: now().Round(0), log: log}
}

// old returns the time by which the store computes the age of spans.
func (c *clock) old() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, passed := c.now().Round(0), time.Since(c.opened)
	steady := c.base.Add(passed)
	switch ahead := now.Sub(steady); {
	case ahead <= clockJump: // Also a jump back, and slow drift.
	case c.since.IsZero():
		c.since = time.Now()
		c.log.Warn("the system's clock has jumped forward: until the jump has lasted for an hour, the retention counts elapsed time and ignores the jump", "by", ahead.Round(time.Second))
		return steady
	case time.Since(c.since) < clockBelieve:
		return steady
	}
	c.base, c.since = now.Add(-passed), time.Time{}
	return now
}
