package store

import (
	"log/slog"
	"sync"
	"time"
)

// clock tells by what time spans are old. It is the system's clock, except after that
// has jumped forward: a wrong time must not delete everything at once. The jump is
// believed when it has lasted for an hour. Until then spans grow old by
// the time that passes. A sleeping machine looks like a jump, too.
//
// After a jump back there is nothing to do: spans that came before it have arrivals
// in the future and stay longer.
type clock struct {
	now    func() time.Time // of the system
	opened time.Time        // with a monotonic reading
	log    *slog.Logger

	mu    sync.Mutex
	base  time.Time // the time when the clock was opened
	since time.Time // when the jump was noticed, with a monotonic reading; zero for none
}

const (
	clockJump    = time.Minute
	clockBelieve = time.Hour
)

func newClock(now func() time.Time, log *slog.Logger) *clock {
	return &clock{now: now, opened: time.Now(), base: now().Round(0), log: log}
}

// old is the time by which spans are judged.
func (c *clock) old() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, passed := c.now().Round(0), time.Since(c.opened)
	steady := c.base.Add(passed)
	switch ahead := now.Sub(steady); {
	case ahead <= clockJump: // Also back, and what adds up slowly.
	case c.since.IsZero():
		c.since = time.Now()
		c.log.Warn("the system's clock has jumped forward: spans grow old by the time that passes until the jump has lasted for an hour", "by", ahead.Round(time.Second))
		return steady
	case time.Since(c.since) < clockBelieve:
		return steady
	}
	c.base, c.since = now.Add(-passed), time.Time{}
	return now
}
