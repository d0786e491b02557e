package api

import (
	"errors"
	"sync"
	"time"

	"etude/query"
)

// limitsTold records when each limit of queries was last logged. It lets the operator see that queries reach a
// limit, without letting clients fill the log; metrics count every case.
type limitsTold struct {
	mu   sync.Mutex
	last map[error]time.Time
}

// tellEvery is the minimum time between two log lines about one limit.
const tellEvery = time.Minute

// tellLimit logs an error caused by a limit.
func (s *server) tellLimit(path string, err error) {
	for _, limit := range []error{query.ErrTimeLimit, query.ErrMemoryLimit, query.ErrMemoryBusy, query.ErrBusy, errTraceSize} {
		if errors.Is(err, limit) && s.told.now(limit) {
			s.Logger.Warn("a query reached a limit; further cases in the next minute are only counted", "path", path, "error", err)
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
