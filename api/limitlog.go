package api

import (
	"errors"
	"sync"
	"time"

	"etude/query"
)

// limitsTold is when each limit of queries was last logged. The backend's operator
// should hear that a limit is met, and no client can fill the log with it; metrics
// count all of them.
type limitsTold struct {
	mu   sync.Mutex
	last map[error]time.Time
}

// tellEvery is how often a limit is logged at most.
const tellEvery = time.Minute

// tellLimit logs an error that comes from a limit.
func (s *server) tellLimit(path string, err error) {
	for _, limit := range []error{query.ErrTimeLimit, query.ErrMemoryLimit, query.ErrMemoryBusy, query.ErrBusy, errTraceSize} {
		if errors.Is(err, limit) && s.told.now(limit) {
			s.Logger.Warn("a query met a limit; the next minute of such is only counted", "path", path, "error", err)
		}
	}
}

// now reports whether it is time to log a limit again.
func (l *limitsTold) now(limit error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := time.Since(l.last[limit]); since < tellEvery {
		return false
	}
	l.last[limit] = time.Now()
	return true
}
